"""A random image encoder for the models of `tiny_models`: LLaVA's, for images of 32 x 32 pixels in 16 patches."""

from io import BytesIO
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from fakes.tiny_models import WIDTH as TEXT_WIDTH
from PIL import Image

SIDE, PATCH, WIDTH, INNER, LAYERS = 32, 8, 16, 32, 2
NUM_ROWS = (SIDE // PATCH) ** 2


def write(path: Path, text_width: int = TEXT_WIDTH, seed: int = 3) -> None:
    """Writes the projector file."""
    file = gguf.GGUFWriter(path, "clip")
    numbers = np.random.default_rng(seed)

    def random(name: str, *shape: int, shift: float = 0.0) -> None:
        file.add_tensor(name, (numbers.standard_normal(shape) * 0.3 + shift).astype(np.float32))

    def linear(name: str, size: int, inputs: int) -> None:
        random(f"{name}.weight", size, inputs)
        random(f"{name}.bias", size)

    def norm(name: str) -> None:
        random(f"{name}.weight", WIDTH, shift=1.0)
        random(f"{name}.bias", WIDTH)

    _describe(file, text_width)
    random("v.class_embd", WIDTH)
    random("v.patch_embd.weight", WIDTH, 3, PATCH, PATCH)
    random("v.position_embd.weight", NUM_ROWS + 1, WIDTH)
    norm("v.pre_ln")
    norm("v.post_ln")
    for layer in range(LAYERS):
        block = f"v.blk.{layer}"
        for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
            linear(f"{block}.{name}", WIDTH, WIDTH)
        norm(f"{block}.ln1")
        norm(f"{block}.ln2")
        linear(f"{block}.ffn_up", INNER, WIDTH)
        linear(f"{block}.ffn_down", WIDTH, INNER)
    linear("mm.0", text_width, WIDTH)
    linear("mm.2", text_width, text_width)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()


def _describe(file: gguf.GGUFWriter, text_width: int) -> None:
    file.add_type("mmproj")
    file.add_bool("clip.has_vision_encoder", True)
    file.add_string("clip.projector_type", "mlp")
    file.add_bool("clip.use_gelu", True)
    sizes = {
        "image_size": SIDE,
        "patch_size": PATCH,
        "embedding_length": WIDTH,
        "feed_forward_length": INNER,
        "projection_dim": text_width,
        "block_count": LAYERS,
        "attention.head_count": 2,
    }
    for name, size in sizes.items():
        file.add_uint32(f"clip.vision.{name}", size)
    file.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    file.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    file.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])


def picture(seed: int, kind: str = "PNG", size: tuple[int, int] = (40, 50), **fields: Any) -> bytes:
    """An image file of random colours."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    data = BytesIO()
    Image.fromarray(pixels).save(data, kind, **fields)
    return data.getvalue()
