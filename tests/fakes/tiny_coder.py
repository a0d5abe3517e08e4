"""The tiny attention model as one that fills gaps: bytes that no text has are marks around gaps in its vocabulary."""

from pathlib import Path

import gguf
import numpy as np
from fakes import tiny_models

PREFIX, SUFFIX, MIDDLE, REPOSITORY, FILE = MARKS = tuple(3 + byte for byte in range(0xF8, 0xFD))
_TEXTS = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|repo_name|>", "<|file_sep|>")
_OWN = ("general.architecture", "tokenizer.ggml.tokens", "tokenizer.ggml.token_type")


def write(path: Path) -> None:
    """Token ids are those of `tiny_models`: 1 begins a text, a byte's id is 3 more than the byte."""
    source = path.with_suffix(".source")
    tiny_models.attention(source)
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(path, "qwen3")
    for field in reader.fields.values():
        if field.name not in _OWN and not field.name.startswith("GGUF."):
            kind = field.types[0]
            sub_type = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), kind, sub_type=sub_type)
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    kinds = reader.fields["tokenizer.ggml.token_type"].contents()
    for token, text in zip(MARKS, _TEXTS, strict=True):
        tokens[token], kinds[token] = text, gguf.TokenType.CONTROL
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, np.asarray(tensor.data))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
