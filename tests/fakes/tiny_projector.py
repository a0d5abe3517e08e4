"""Random image encoders for `tiny_models`: LLaVA's, whose rows are causal, and Gemma 3's, whose are not."""

from io import BytesIO
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from fakes.tiny_models import WIDTH as TEXT_WIDTH
from PIL import Image

SIDE, PATCH, WIDTH, INNER, LAYERS = 32, 8, 16, 32, 2
NUM_ROWS = (SIDE // PATCH) ** 2
GEMMA_SIDE = 64
"""Gemma 3 makes one row of 4 x 4 patches."""


class _Writer:
    """A projector file of one kind; `random` adds a tensor."""

    def __init__(self, path: Path, kind: str, side: int, text_width: int) -> None:
        self.file = gguf.GGUFWriter(path, "clip")
        self._numbers = np.random.default_rng(3)
        self._describe(kind, side, text_width)
        for layer in range(LAYERS):
            block = f"v.blk.{layer}"
            for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
                self.linear(f"{block}.{name}", WIDTH, WIDTH)
            self.norm(f"{block}.ln1")
            self.norm(f"{block}.ln2")
            self.linear(f"{block}.ffn_up", INNER, WIDTH)
            self.linear(f"{block}.ffn_down", WIDTH, INNER)
        self.random("v.patch_embd.weight", WIDTH, 3, PATCH, PATCH)
        self.norm("v.post_ln")

    def _describe(self, kind: str, side: int, text_width: int) -> None:
        self.file.add_type("mmproj")
        self.file.add_bool("clip.has_vision_encoder", True)
        self.file.add_string("clip.projector_type", kind)
        self.file.add_bool("clip.use_gelu", True)
        sizes = {
            "image_size": side,
            "patch_size": PATCH,
            "embedding_length": WIDTH,
            "feed_forward_length": INNER,
            "projection_dim": text_width,
            "block_count": LAYERS,
            "attention.head_count": 2,
        }
        for name, size in sizes.items():
            self.file.add_uint32(f"clip.vision.{name}", size)
        self.file.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
        self.file.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
        self.file.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])

    def random(self, name: str, *shape: int, shift: float = 0.0) -> None:
        self.file.add_tensor(name, (self._numbers.standard_normal(shape) * 0.3 + shift).astype(np.float32))

    def linear(self, name: str, size: int, inputs: int) -> None:
        self.random(f"{name}.weight", size, inputs)
        self.random(f"{name}.bias", size)

    def norm(self, name: str) -> None:
        self.random(f"{name}.weight", WIDTH, shift=1.0)
        self.random(f"{name}.bias", WIDTH)

    def write(self) -> None:
        self.file.write_header_to_file()
        self.file.write_kv_data_to_file()
        self.file.write_tensors_to_file()
        self.file.close()


def write(path: Path, text_width: int = TEXT_WIDTH) -> None:
    """LLaVA's: 16 rows."""
    new = _Writer(path, "mlp", SIDE, text_width)
    new.random("v.class_embd", WIDTH)
    new.random("v.position_embd.weight", NUM_ROWS + 1, WIDTH)
    new.norm("v.pre_ln")
    new.linear("mm.0", text_width, WIDTH)
    new.linear("mm.2", text_width, text_width)
    new.write()


def write_gemma(path: Path) -> None:
    """Gemma 3's: four rows that see each other, between two texts."""
    new = _Writer(path, "gemma3", GEMMA_SIDE, TEXT_WIDTH)
    new.random("v.patch_embd.bias", WIDTH)
    new.random("v.position_embd.weight", (GEMMA_SIDE // PATCH) ** 2, WIDTH)
    new.random("mm.input_projection.weight", WIDTH, TEXT_WIDTH)
    new.random("mm.soft_emb_norm.weight", WIDTH, shift=1.0)
    new.write()


def write_qwen(path: Path) -> None:
    """Qwen 2 VL's: as many rows as the image has blocks of 2 x 2 patches, in fewer positions."""
    new = _Writer(path, "qwen2vl_merger", 56, TEXT_WIDTH)
    new.random("v.patch_embd.weight.1", WIDTH, 3, PATCH, PATCH)
    new.linear("mm.0", 4 * WIDTH, 4 * WIDTH)
    new.linear("mm.2", TEXT_WIDTH, 4 * WIDTH)
    new.write()


def picture(seed: int, kind: str = "PNG", size: tuple[int, int] = (40, 50), **fields: Any) -> bytes:
    """An image file of random colours."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    data = BytesIO()
    Image.fromarray(pixels).save(data, kind, **fields)
    return data.getvalue()
