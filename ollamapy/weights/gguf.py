"""Reads the header of GGUF files, versions 2 and 3, little-endian. Never reads weights, never trusts a file.

    magic "GGUF" | version u32 | number of tensors u64 | number of metadata pairs u64
    per pair:    key string | type u32 | value
    per tensor:  name string | number of dimensions u32 | dimensions u64 each | type u32 | offset u64
    padding to the alignment | tensor data, each tensor at its offset from here

The bytes are read by `reader.HeaderReader`; this module knows their order and what they must add up to.
"""

import os
import stat
from collections.abc import Mapping, Sized
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from ollamapy.errors import ModelFileError
from ollamapy.weights.reader import NOT_WHOLE, ArrayInfo, HeaderReader
from ollamapy.weights.tables import FILE_TYPES, TENSOR_TYPES

__all__ = ["ArrayInfo", "GgufFile", "TensorInfo", "inspect", "is_gguf"]

MAGIC = b"GGUF"
_MAX_KEY_BYTES = 65535
_MAX_DIMENSIONS = 4
_MAX_PAIRS = 1 << 16
_MAX_TENSORS = 1 << 17
"""Real files have some fifty pairs and at most some ten thousand tensors."""
_LEAST_PAIR_BYTES = 8 + 4 + 1
_LEAST_TENSOR_BYTES = 8 + 4 + 8 + 4 + 8


class TensorInfo(NamedTuple):
    """One tensor: `shape` with the row length first, `offset` from the start of the file."""

    name: str
    type: str
    shape: tuple[int, ...]
    offset: int
    size_bytes: int

    @property
    def num_elements(self) -> int:
        """How many numbers the tensor holds."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class GgufFile:
    """What the header says. Metadata keys have any type the file gave them; the properties answer safely."""

    version: int
    metadata: Mapping[str, Any]
    tensors: tuple[TensorInfo, ...]
    size_bytes: int
    alignment: int
    data_offset: int

    @property
    def architecture(self) -> str:
        """`general.architecture`, empty when absent."""
        return self._text("general.architecture")

    @property
    def parameter_count(self) -> int:
        """Counted from the tensors."""
        return sum(tensor.num_elements for tensor in self.tensors)

    @property
    def file_type(self) -> str:
        """The quantization, such as `Q4_K_M`; `unknown` when the file does not say."""
        number = self.metadata.get("general.file_type")
        return FILE_TYPES.get(number, "unknown") if isinstance(number, int) else "unknown"

    @property
    def context_length(self) -> int:
        """Tokens the model was trained for, 0 when absent."""
        return self._number("context_length")

    @property
    def embedding_length(self) -> int:
        """Length of a hidden state, 0 when absent."""
        return self._number("embedding_length")

    @property
    def chat_template(self) -> str | None:
        """The Jinja template that the file carries."""
        return self._text("tokenizer.chat_template") or None

    @property
    def tool_template(self) -> str | None:
        """The Jinja template for chats with tools, when the file has one of its own for them."""
        return self._text("tokenizer.chat_template.tool_use") or None

    def template_for(self, tools: Sized) -> str | None:
        """The Jinja template that renders a chat which offers `tools`."""
        return (self.tool_template if tools else None) or self.chat_template

    @property
    def has_pooling(self) -> bool:
        """True for embedding models."""
        return f"{self.architecture}.pooling_type" in self.metadata

    @property
    def kind(self) -> Literal["model", "adapter", "projector"]:
        """Which kind of layer the file makes."""
        declared = self._text("general.type")
        if declared == "adapter":
            return "adapter"
        is_vision_only = not self._number("block_count") and self._number("vision.block_count") > 0
        return "projector" if declared in {"projector", "mmproj"} or is_vision_only else "model"

    def of_architecture(self, key: str) -> Any:
        """The value of `<architecture>.<key>`, or None."""
        return self.metadata.get(f"{self.architecture}.{key}")

    def _text(self, key: str) -> str:
        value = self.metadata.get(key)
        return value if isinstance(value, str) else ""

    def _number(self, key: str) -> int:
        value = self.of_architecture(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else 0


def is_gguf(path: Path) -> bool:
    """True when the file begins as GGUF files do. Raises ModelFileError when it cannot be read."""
    with _opened(path) as file:
        return file.read(len(MAGIC)) == MAGIC


def inspect(path: Path, *, arrays: bool = True) -> GgufFile:
    """The header of `path`. Without `arrays`, an array's members stay unread and its value is an ArrayInfo.

    Raises ModelFileError for a file that cannot be read, is not GGUF, breaks the format or ends too early.
    """
    with _opened(path) as file:
        try:
            return _read(HeaderReader(file, path.name, os.fstat(file.fileno()).st_size), arrays=arrays)
        except OSError as error:
            raise ModelFileError(f"{path}: cannot be read: {error}") from error


def _opened(path: Path) -> BinaryIO:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ModelFileError(f"{path}: wanted a file, found a folder or device")
        return path.open("rb")
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{path}: cannot be read: {error}") from error


def _read(reader: HeaderReader, *, arrays: bool) -> GgufFile:
    version = _version(reader)
    num_tensors = reader.count("tensors", _LEAST_TENSOR_BYTES, _MAX_TENSORS)
    metadata = _metadata(reader, arrays=arrays)
    alignment = _alignment(reader, metadata)
    stored = _tensors(reader, num_tensors)
    data_offset = -(-reader.position // alignment) * alignment
    tensors = tuple(_placed(reader, tensor, data_offset, alignment) for tensor in stored)
    return GgufFile(version, metadata, tensors, reader.size_bytes, alignment, data_offset)


def _version(reader: HeaderReader) -> int:
    magic: int = reader.number(4, "the magic number")
    if (found := magic.to_bytes(4, "little")) != MAGIC:
        reader.fail(f"not a GGUF file: wanted {MAGIC!r} in front, found {found!r}")
    version: int = reader.number(4, "the version")
    if version and version & 0xFFFF == 0:
        reader.fail("wanted a little-endian file, found a big-endian one", hint="convert the model again")
    if version not in (2, 3):
        reader.fail(f"wanted GGUF version 2 or 3, found {version}", hint="convert the model again")
    return version


def _metadata(reader: HeaderReader, *, arrays: bool) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    for index in range(reader.count("metadata pairs", _LEAST_PAIR_BYTES, _MAX_PAIRS)):
        key = reader.string(f"the key of metadata pair {index}", _MAX_KEY_BYTES)
        if key in metadata:
            reader.fail(f"the metadata key {_cut(key)} occurs twice")
        metadata[key] = reader.value(f"the value of {_cut(key)}", arrays=arrays)
    return metadata


def _alignment(reader: HeaderReader, metadata: dict[str, Any]) -> int:
    alignment = metadata.get("general.alignment", 32)
    if isinstance(alignment, bool) or not isinstance(alignment, int):
        reader.fail(f"wanted a power of two as general.alignment, found a {type(alignment).__name__}")
    if alignment < 1 or alignment.bit_count() != 1:
        reader.fail(f"wanted a power of two as general.alignment, found {alignment}")
    return alignment


def _tensors(reader: HeaderReader, count: int) -> list[TensorInfo]:
    """The tensors as stored: offsets still count from the start of the data."""
    tensors: dict[str, TensorInfo] = {}
    for index in range(count):
        tensor = _tensor(reader, index)
        if tensor.name in tensors:
            reader.fail(f"the tensor name {_cut(tensor.name)} occurs twice")
        tensors[tensor.name] = tensor
    return list(tensors.values())


def _tensor(reader: HeaderReader, index: int) -> TensorInfo:
    name = reader.string(f"the name of tensor {index}", _MAX_KEY_BYTES)
    what = f"tensor {_cut(name)}"
    (num_dimensions,) = reader.fields("I", what)
    if not 1 <= num_dimensions <= _MAX_DIMENSIONS:
        reader.fail(f"wanted 1 to {_MAX_DIMENSIONS} dimensions for {what}, found {num_dimensions}")
    *shape, kind, offset = reader.fields(f"{num_dimensions}qIQ", what)
    if min(shape) < 1:
        reader.fail(f"wanted dimensions above zero for {what}, found {shape}")
    if kind not in TENSOR_TYPES:
        reader.fail(f"wanted a known type for {what}, found number {kind}")
    type_name, block_elements, block_bytes = TENSOR_TYPES[kind]
    if shape[0] % block_elements:
        reader.fail(f"rows of {type_name} are multiples of {block_elements}, found {shape} for {what}")
    return TensorInfo(name, type_name, tuple(shape), offset, prod(shape) // block_elements * block_bytes)


def _placed(reader: HeaderReader, tensor: TensorInfo, data_offset: int, alignment: int) -> TensorInfo:
    """The tensor with its offset from the start of the file, when all of it is there."""
    what = f"tensor {_cut(tensor.name)}"
    if tensor.offset % alignment:
        reader.fail(f"the offset of {what} must be a multiple of {alignment}, found {tensor.offset}")
    start = data_offset + tensor.offset
    end = start + tensor.size_bytes
    if end > reader.size_bytes:
        reader.fail(f"{what} should lie in bytes {start} to {end}, past the end of the file", hint=NOT_WHOLE)
    return tensor._replace(offset=start)


def _cut(name: str) -> str:
    """A name from the file as error texts show it: quoted, at most 80 characters."""
    return repr(name if len(name) <= 80 else name[:79] + "…")
