"""Reads safetensors files: a header of JSON, then the tensors. Never trusts the header.

    length of the header u64 | header: {name: {dtype, shape, data_offsets}, "__metadata__": …} | data

Every tensor must lie inside the file and be as large as its shape says, before an array of it is made. Arrays are maps
of the file: nothing is read before it is used.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ollamapy.errors import ModelFileError

MAX_HEADER_BYTES = 100 << 20
"""The format's own bound."""
_MAX_DIMENSIONS = 8
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
"""BF16 has no name in numpy: its bits are the upper half of an F32."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: `start` is the offset of its first byte in the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int


@dataclass(frozen=True, slots=True)
class Safetensors:
    """An opened file: its tensors by name."""

    path: Path
    tensors: Mapping[str, Tensor]

    def array(self, name: str) -> npt.NDArray[np.float32]:
        """The tensor as F32. Raises ModelFileError for a type that holds no weights."""
        tensor = self.tensors[name]
        if tensor.dtype not in _DTYPES:
            raise _fault(self.path, f"wanted {', '.join(_DTYPES)} for {name!r}, found {tensor.dtype}")
        data = np.memmap(self.path, _DTYPES[tensor.dtype], "r", tensor.start, tensor.shape)
        if tensor.dtype == "BF16":
            return (data.astype(np.uint32) << 16).view(np.float32)
        return np.asarray(data, np.float32)


def read(path: Path) -> Safetensors:
    """The header of `path`. Raises ModelFileError for a file that cannot be read, breaks the format or ends early."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            header, data_start = _header(path, file, size)
    except OSError as error:
        raise ModelFileError(f"{path.name}: cannot be read: {error}") from error
    tensors = {name: _tensor(path, name, entry, data_start, size) for name, entry in header.items()}
    return Safetensors(path, tensors)


def _header(path: Path, file: BinaryIO, size: int) -> tuple[dict[str, Any], int]:
    first = file.read(8)
    if len(first) < 8:
        raise _fault(path, f"not a safetensors file: it has {len(first)} bytes")
    (length,) = struct.unpack("<Q", first)
    if length > min(MAX_HEADER_BYTES, size - 8):
        raise _fault(path, f"the header should have {length} bytes, the file has {size}")
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError) as error:
        raise _fault(path, f"the header is not JSON: {error}") from error
    if not isinstance(header, dict):
        raise _fault(path, f"wanted tensors by name in the header, found {type(header).__name__}")
    header.pop("__metadata__", None)
    return header, 8 + length


def _tensor(path: Path, name: str, entry: Any, data_start: int, size: int) -> Tensor:
    try:
        dtype, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
    except (TypeError, KeyError, ValueError) as error:
        raise _fault(path, f"wanted dtype, shape and data_offsets for {name!r}") from error
    numbers = (*shape, begin, end)
    if len(shape) > _MAX_DIMENSIONS or not all(type(number) is int and number >= 0 for number in numbers):
        raise _fault(path, f"the shape or place of {name!r} is no list of numbers")
    if begin > end or data_start + end > size:
        raise _fault(path, f"{name!r} should lie in bytes {begin} to {end}, past the end of the file")
    if dtype in _DTYPES and prod(shape) * np.dtype(_DTYPES[dtype]).itemsize != end - begin:
        raise _fault(path, f"{name!r} has {end - begin} bytes, its shape {list(shape)} says otherwise")
    return Tensor(dtype, shape, data_start + begin)


def _fault(path: Path, text: str) -> ModelFileError:
    return ModelFileError(f"{path.name}: {text}")
