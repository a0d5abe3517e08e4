"""Random models of each kind of memory, small enough to run in milliseconds: written with `gguf`, run by llama.cpp."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np

WIDTH, HEADS, INNER, LAYERS, WINDOW = 32, 4, 64, 6, 8
_SPECIALS = ["<unk>", "<s>", "</s>"]


class _Writer:
    """A GGUF file with a vocabulary of bytes; `random` adds a tensor."""

    def __init__(self, path: Path, architecture: str, max_tensors: int = 0) -> None:
        """With `max_tensors` the model is split into files that have at most so many."""
        self.file = gguf.GGUFWriter(path, architecture, split_max_tensors=max_tensors)
        self._numbers = np.random.default_rng(7)
        self._add_vocabulary()
        self.file.add_context_length(1024)
        self.file.add_embedding_length(WIDTH)
        self.file.add_block_count(LAYERS)
        self.file.add_layer_norm_rms_eps(1e-5)
        self.random("token_embd.weight", len(_SPECIALS) + 256, WIDTH)

    def _add_vocabulary(self) -> None:
        kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
        self.file.add_tokenizer_model("llama")
        self.file.add_token_list([*_SPECIALS, *(f"<0x{byte:02X}>" for byte in range(256))])
        self.file.add_token_scores([0.0] * (len(_SPECIALS) + 256))
        self.file.add_token_types([*kinds, *[gguf.TokenType.BYTE] * 256])
        self.file.add_bos_token_id(1)
        self.file.add_eos_token_id(2)
        self.file.add_add_space_prefix(False)

    def random(self, name: str, *shape: int, scale: float = 0.3, shift: float = 0.0) -> None:
        numbers = self._numbers.standard_normal(shape) * scale + shift
        self.file.add_tensor(name, numbers.astype(np.float32))

    def norm(self, name: str, size: int = WIDTH) -> None:
        self.random(f"{name}.weight", size, scale=0.1, shift=1.0)

    def attention(self, block: str, num_heads_kv: int = HEADS) -> None:
        head = WIDTH // HEADS
        for name, rows in (("q", HEADS), ("k", num_heads_kv), ("v", num_heads_kv)):
            self.random(f"{block}.attn_{name}.weight", rows * head, WIDTH)
        self.random(f"{block}.attn_output.weight", WIDTH, WIDTH)
        self.norm(f"{block}.attn_q_norm", head)
        self.norm(f"{block}.attn_k_norm", head)

    def feed_forward(self, block: str) -> None:
        self.norm(f"{block}.ffn_norm")
        self.random(f"{block}.ffn_gate.weight", INNER, WIDTH)
        self.random(f"{block}.ffn_up.weight", INNER, WIDTH)
        self.random(f"{block}.ffn_down.weight", WIDTH, INNER)

    def write(self) -> None:
        self.file.write_header_to_file()
        self.file.write_kv_data_to_file()
        self.file.write_tensors_to_file()
        self.file.close()


def sliding_window(path: Path) -> None:
    """Gemma 3: five layers of six see the last eight tokens only."""
    new = _Writer(path, "gemma3")
    new.file.add_feed_forward_length(INNER)
    new.file.add_head_count(HEADS)
    new.file.add_head_count_kv(HEADS)
    new.file.add_key_length(WIDTH // HEADS)
    new.file.add_value_length(WIDTH // HEADS)
    new.file.add_sliding_window(WINDOW)
    new.norm("output_norm")
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        for name in ("attn_norm", "post_attention_norm", "post_ffw_norm"):
            new.norm(f"{block}.{name}")
        new.attention(block)
        new.feed_forward(block)
    new.write()


def recurrent(path: Path) -> None:
    """Mamba: a state and no cells."""
    new = _Writer(path, "mamba")
    inner, state, rank, kernel = 2 * WIDTH, 8, 4, 4
    new.file.add_feed_forward_length(0)
    new.file.add_head_count(0)
    new.file.add_ssm_conv_kernel(kernel)
    new.file.add_ssm_inner_size(inner)
    new.file.add_ssm_state_size(state)
    new.file.add_ssm_time_step_rank(rank)
    new.norm("output_norm")
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        new.norm(f"{block}.attn_norm")
        new.random(f"{block}.ssm_in.weight", 2 * inner, WIDTH)
        new.random(f"{block}.ssm_conv1d.weight", inner, kernel)
        new.random(f"{block}.ssm_conv1d.bias", inner)
        new.random(f"{block}.ssm_x.weight", rank + 2 * state, inner)
        new.random(f"{block}.ssm_dt.weight", inner, rank)
        new.random(f"{block}.ssm_dt.bias", inner)
        new.random(f"{block}.ssm_a", inner, state, scale=0.1, shift=-0.5)
        new.random(f"{block}.ssm_d", inner)
        new.random(f"{block}.ssm_out.weight", WIDTH, inner)
    new.write()


def hybrid(path: Path) -> None:
    """LFM2: convolutions with a state, and attention in every third layer."""
    new = _Writer(path, "lfm2")
    has_attention = [layer % 3 == 2 for layer in range(LAYERS)]
    new.file.add_feed_forward_length(INNER)
    new.file.add_head_count(HEADS)
    new.file.add_head_count_kv([HEADS if attends else 0 for attends in has_attention])
    new.file.add_shortconv_l_cache(3)
    new.norm("token_embd_norm")
    for layer, attends in enumerate(has_attention):
        block = f"blk.{layer}"
        new.norm(f"{block}.attn_norm")
        new.feed_forward(block)
        if attends:
            new.attention(block)
        else:
            new.random(f"{block}.shortconv.conv.weight", WIDTH, 3)
            new.random(f"{block}.shortconv.in_proj.weight", 3 * WIDTH, WIDTH)
            new.random(f"{block}.shortconv.out_proj.weight", WIDTH, WIDTH)
    new.write()


def attention(path: Path, max_tensors: int = 0) -> None:
    """Qwen 3: every layer sees everything, so any prefix can be cut."""
    new = _Writer(path, "qwen3", max_tensors)
    new.file.add_feed_forward_length(INNER)
    new.file.add_head_count(HEADS)
    new.file.add_head_count_kv(HEADS)
    new.file.add_key_length(WIDTH // HEADS)
    new.file.add_value_length(WIDTH // HEADS)
    new.norm("output_norm")
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        new.norm(f"{block}.attn_norm")
        new.attention(block)
        new.feed_forward(block)
    new.write()


def attention_in_parts(path: Path, num_parts: int = 3) -> list[Path]:
    """The model of `attention` in files named after `path`."""
    num_tensors = 2 + LAYERS * 11
    attention(path, max_tensors=-(-num_tensors // num_parts))
    parts = sorted(path.parent.glob(f"{path.stem}-*-of-{num_parts:05d}.gguf"))
    assert len(parts) == num_parts, parts
    return parts


def two_dimensions(path: Path) -> None:
    """Qwen 3 VL: attention whose positions have parts for height and width (M-RoPE)."""
    new = _Writer(path, "qwen3vl")
    new.file.add_feed_forward_length(INNER)
    new.file.add_head_count(HEADS)
    new.file.add_head_count_kv(HEADS)
    new.file.add_key_length(WIDTH // HEADS)
    new.file.add_value_length(WIDTH // HEADS)
    new.file.add_rope_dimension_sections([2, 1, 1, 0])
    new.file.add_uint32("qwen3vl.n_deepstack_layers", 0)
    new.norm("output_norm")
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        new.norm(f"{block}.attn_norm")
        new.attention(block)
        new.feed_forward(block)
    new.write()


KINDS: dict[str, Callable[[Path], Any]] = {
    "attention": attention,
    "sliding window": sliding_window,
    "recurrent": recurrent,
    "hybrid": hybrid,
}
