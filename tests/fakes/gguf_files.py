"""Writes tiny GGUF files, honest and lying ones, as bytes. Run as a program it writes registry/echo.gguf anew.

`gguf` puts a well-formed file together; the pieces below it (`header`, `string`, `pair`, `tensor`) let a test
say something else in any place. `LYING` has a file for every kind of lie that a reader must see through.
"""

import struct
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
TENSOR_F32, TENSOR_F16, TENSOR_Q4_0, TENSOR_Q8_0 = 0, 1, 2, 8
_CODES = dict(zip(range(13), "BbHhIif??QQqd", strict=True))
_BLOCKS = {TENSOR_F32: (1, 4), TENSOR_F16: (1, 2), TENSOR_Q4_0: (32, 18), TENSOR_Q8_0: (32, 34)}


@dataclass(frozen=True)
class Typed:
    """A metadata value with the GGUF type spelled out; for an array `kind` is the type of its members."""

    kind: int
    value: Any


@dataclass(frozen=True)
class Tensor:
    """A tensor of zeros."""

    name: str
    shape: tuple[int, ...]
    kind: int = TENSOR_F32

    @property
    def size_bytes(self) -> int:
        elements, size = _BLOCKS[self.kind]
        return prod(self.shape) // elements * size


def gguf(
    metadata: Mapping[str, Any], tensors: Iterable[Tensor] = (), *, version: int = 3, alignment: int = 32
) -> bytes:
    """A well-formed file. Plain ints are written as u32, floats as f32, lists by their first member."""
    tensors = list(tensors)
    pairs = dict(metadata) | ({"general.alignment": alignment} if alignment != 32 else {})
    head = header(num_tensors=len(tensors), num_pairs=len(pairs), version=version)
    head += b"".join(pair(key, value) for key, value in pairs.items())
    data = b""
    for item in tensors:
        head += tensor(item.name, item.shape, item.kind, offset=len(data))
        data += padded(bytes(item.size_bytes), alignment)
    return padded(head, alignment) + data if tensors else head


def header(*, num_tensors: int = 0, num_pairs: int = 0, version: int = 3, magic: bytes = b"GGUF") -> bytes:
    return magic + struct.pack("<IQQ", version, num_tensors, num_pairs)


def string(text: str | bytes, length: int | None = None) -> bytes:
    """A string; `length` is what the file claims."""
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(data) if length is None else length) + data


def pair(key: str | bytes, value: Any) -> bytes:
    return string(key) + typed_value(value)


def typed_value(value: Any) -> bytes:
    """The number of the type, then the value."""
    if isinstance(value, list):
        kind = _kind_of(value[0]) if value else STRING
        return array(kind, b"".join(_bare(kind, member) for member in value), len(value))
    if isinstance(value, Typed) and isinstance(value.value, list):
        return array(value.kind, b"".join(_bare(value.kind, member) for member in value.value), len(value.value))
    if isinstance(value, Typed):
        return struct.pack("<I", value.kind) + _bare(value.kind, value.value)
    return struct.pack("<I", _kind_of(value)) + _bare(_kind_of(value), value)


def array(kind: int, members: bytes, count: int) -> bytes:
    """An array value; `count` is what the file claims."""
    return struct.pack("<IIQ", ARRAY, kind, count) + members


def tensor(name: str | bytes, shape: Iterable[int], kind: int = TENSOR_F32, *, offset: int = 0) -> bytes:
    shape = tuple(shape)
    return string(name) + struct.pack(f"<I{len(shape)}qIQ", len(shape), *shape, kind, offset)


def padded(data: bytes, alignment: int = 32) -> bytes:
    return data + bytes(-len(data) % alignment)


def _kind_of(value: Any) -> int:
    return {str: STRING, bool: BOOL, int: U32, float: F32}[type(value)]


def _bare(kind: int, value: Any) -> bytes:
    return string(value) if kind == STRING else struct.pack("<" + _CODES[kind], value)


def tiny_model(architecture: str = "llama", **metadata: Any) -> bytes:
    """A model file of two small tensors: 2,080 parameters. Keywords add or replace metadata, dots written as `__`.

    It is whole and well-formed, but no engine can run it.
    """
    pairs = {
        "general.architecture": architecture,
        "general.name": "Tiny",
        "general.file_type": 1,
        f"{architecture}.context_length": 2048,
        f"{architecture}.embedding_length": 32,
        f"{architecture}.block_count": 1,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": ["<s>", "</s>", "a", "b"],
        "tokenizer.ggml.merges": Typed(STRING, []),
        "tokenizer.chat_template": "{{ messages[-1].content }}",
    }
    pairs |= {key.replace("__", "."): value for key, value in metadata.items()}
    pairs = {key: value for key, value in pairs.items() if value is not None}
    return gguf(pairs, [Tensor("token_embd.weight", (32, 64), TENSOR_F16), Tensor("output_norm.weight", (32,))])


def tiny_adapter() -> bytes:
    """A LoRA file."""
    metadata = {"general.architecture": "llama", "general.type": "adapter", "adapter.type": "lora"}
    return gguf(metadata, [Tensor("blk.0.attn_q.weight.lora_a", (32, 4))])


def tiny_projector() -> bytes:
    """A vision projector."""
    metadata = {"general.architecture": "clip", "general.type": "mmproj", "clip.vision.block_count": 1}
    return gguf(metadata, [Tensor("v.patch_embd.weight", (4, 4))])


def echo_gguf(
    *,
    context_length: int = 4096,
    chat_template: str = "{{ messages[-1].content }}",
    step_seconds: float | None = None,
    load_seconds: float | None = None,
    fault: str | None = None,
) -> bytes:
    """The weights of the echo engine: no tensors. Without arguments this is registry/echo.gguf, byte for byte.

    The last three are read by the echo engine alone: how long a step or a load takes, and how the runner dies.
    """
    switches = {"echo.step_seconds": step_seconds, "echo.load_seconds": load_seconds, "echo.fault": fault}
    metadata = {
        "general.architecture": "echo",
        "general.type": "model",
        "general.name": "Echo",
        "general.license": "MIT",
        "echo.context_length": context_length,
        "tokenizer.chat_template": chat_template,
    }
    return gguf(metadata | {key: value for key, value in switches.items() if value is not None})


def _one_pair(data: bytes) -> bytes:
    return header(num_pairs=1) + data


def _one_tensor(data: bytes, *, data_bytes: int = 4096) -> bytes:
    return padded(header(num_tensors=1) + data) + bytes(data_bytes)


_HUGE = 2**60

LYING: dict[str, bytes] = {
    "an empty file": b"",
    "three bytes": b"GGU",
    "only the magic number": b"GGUF",
    "another format": b"PK\x03\x04" + bytes(100),
    "the older magic number": header(magic=b"ggjt"),
    "version 1": header(version=1),
    "version 4": header(version=4),
    "version 0": header(version=0),
    "big-endian": b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
    "2^60 tensors": header(num_tensors=_HUGE) + bytes(100),
    "2^64-1 tensors": header(num_tensors=2**64 - 1) + bytes(100),
    "2^60 metadata pairs": header(num_pairs=_HUGE) + bytes(100),
    "a tensor more than there are": header(num_tensors=1),
    "a pair more than there are": header(num_pairs=2) + pair("a", 1),
    "a key of 2^60 bytes": _one_pair(string(b"a", _HUGE) + bytes(100)),
    "a key that is too long": _one_pair(pair("k" * 70000, 1)),
    "a key that is not UTF-8": _one_pair(pair(b"\xff\xfe", 1)),
    "a key twice": header(num_pairs=2) + pair("a", 1) + pair("a", 2),
    "a string of 2^60 bytes": _one_pair(string("a") + struct.pack("<I", STRING) + string(b"x", _HUGE)),
    "a string of 2^64-1 bytes": _one_pair(string("a") + struct.pack("<I", STRING) + string(b"x", 2**64 - 1)),
    "a string past the end": _one_pair(string("a") + struct.pack("<I", STRING) + string(b"xyz", 4)),
    "a string that is not UTF-8": _one_pair(pair("a", Typed(STRING, b"\xc3\x28"))),
    "an unknown value type": _one_pair(string("a") + struct.pack("<II", 13, 0)),
    "a huge value type": _one_pair(string("a") + struct.pack("<II", 2**32 - 1, 0)),
    "an array of 2^60 numbers": _one_pair(string("a") + array(U32, bytes(100), _HUGE)),
    "an array of 2^60 strings": _one_pair(string("a") + array(STRING, bytes(100), _HUGE)),
    "an array of 2^64-1 bytes": _one_pair(string("a") + array(U8, bytes(100), 2**64 - 1)),
    "an array with a string of 2^60 bytes": _one_pair(string("a") + array(STRING, string(b"x", _HUGE), 1)),
    "an array with a string of 2^64-1 bytes": _one_pair(
        string("a") + array(STRING, string(b"x", 2**64 - 1) + bytes(16), 2)
    ),
    "an array with a string past the end": _one_pair(string("a") + array(STRING, string("x") + string(b"x", 2), 2)),
    "an array that is cut": _one_pair(string("a") + array(U32, bytes(7), 2)),
    "an array of unknown type": _one_pair(string("a") + array(99, bytes(8), 1)),
    "an array of arrays": _one_pair(string("a") + array(ARRAY, array(U32, bytes(4), 1)[4:], 1)),
    "an alignment of zero": gguf({"general.alignment": 0}),
    "an alignment of 48": gguf({"general.alignment": 48}),
    "an alignment below zero": gguf({"general.alignment": Typed(I32, -32)}),
    "an alignment in words": gguf({"general.alignment": "32"}),
    "a true alignment": gguf({"general.alignment": True}),
    "an alignment that is a list": gguf({"general.alignment": [32, 32]}),
    "an alignment past the end": padded(
        header(num_tensors=1, num_pairs=1) + pair("general.alignment", 2**31) + tensor("t", (4,))
    ),
    "no dimensions": _one_tensor(tensor("t", ())),
    "five dimensions": _one_tensor(tensor("t", (1, 1, 1, 1, 1))),
    "2^32-1 dimensions": _one_tensor(string("t") + struct.pack("<I", 2**32 - 1)),
    "a dimension of zero": _one_tensor(tensor("t", (4, 0))),
    "a dimension below zero": _one_tensor(tensor("t", (-4, -4))),
    "dimensions that overflow 64 bits": _one_tensor(tensor("t", (2**62, 2**62, 2**62, 2**62))),
    "a row that is no multiple of its block": _one_tensor(tensor("t", (33,), TENSOR_Q4_0)),
    "an unknown tensor type": _one_tensor(tensor("t", (4,), 77)),
    "a tensor type that was withdrawn": _one_tensor(tensor("t", (32,), 4)),
    "a tensor type of 2^32-1": _one_tensor(tensor("t", (4,), 2**32 - 1)),
    "an offset past the end": _one_tensor(tensor("t", (4,), offset=8192)),
    "an offset of 2^63": _one_tensor(tensor("t", (4,), offset=2**63)),
    "an offset between the alignments": _one_tensor(tensor("t", (4,), offset=4)),
    "a tensor that reaches past the end": _one_tensor(tensor("t", (1025,))),
    "a tensor name that is not UTF-8": _one_tensor(tensor(b"\xff", (4,))),
    "a tensor name of 2^60 bytes": _one_tensor(string(b"t", _HUGE)),
    "a tensor name twice": padded(header(num_tensors=2) + tensor("t", (4,)) + tensor("t", (4,))) + bytes(64),
    "tensor data that is cut": tiny_model()[:-200],
    "no tensor data at all": header(num_tensors=1) + tensor("t", (4,)),
}
"""What is wrong with the file, and the file. None of them may be taken for a model."""


if __name__ == "__main__":
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "registry" / "echo.gguf"
    place.write_bytes(echo_gguf())
