"""Safetensors files, honest and lying."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes.tiny_bert import safetensors as encoded

from ollamapy.errors import ModelFileError
from ollamapy.weights.convert import safetensors

ARRAY = np.array([[1.0, -2.5], [3.0, 1e-8]], np.float32)


def written(folder: Path, data: bytes) -> Path:
    path = folder / "model.safetensors"
    path.write_bytes(data)
    return path


def lying(header: Any, data: bytes = bytes(64)) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype: Any = "F32", shape: Any = (4,), begin: Any = 0, end: Any = 16) -> dict[str, Any]:
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}}


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16])
def test_an_array_comes_back_as_f32_with_its_shape(tmp_path: Path, kind: type) -> None:
    file = safetensors.read(written(tmp_path, encoded({"first": np.ones(3, np.float32), "a": ARRAY.astype(kind)})))

    assert np.array_equal(file.array("a"), ARRAY.astype(kind).astype(np.float32))
    assert file.array("a").dtype == np.float32


def test_bf16_is_the_upper_half_of_f32(tmp_path: Path) -> None:
    halves = (np.array([1.0, -2.5, 3.0], np.float32).view(np.uint32) >> 16).astype(np.uint16)

    file = safetensors.read(written(tmp_path, encoded({"a": halves})))

    assert file.array("a").tolist() == [1.0, -2.5, 3.0]


def test_an_array_of_whole_numbers_holds_no_weights(tmp_path: Path) -> None:
    file = safetensors.read(written(tmp_path, encoded({"a": np.arange(3)})))

    with pytest.raises(ModelFileError, match=r"model.safetensors: wanted F64, .* for 'a', found I64"):
        file.array("a")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it has 0 bytes"),
        (b"1234567", "it has 7 bytes"),
        (struct.pack("<Q", 2**63) + bytes(100), "the header should have 9223372036854775808 bytes"),
        (struct.pack("<Q", 101) + bytes(100), "the header should have 101 bytes"),
        (lying(b"{"), "the header is not JSON"),
        (lying(b"\xff\xff"), "the header is not JSON"),
        (lying(b"[" * 100_000), "the header is not JSON"),
        (lying([]), "wanted tensors by name"),
        (lying({"a": 5}), "wanted dtype, shape and data_offsets for 'a'"),
        (lying({"a": {"dtype": "F32", "shape": [4]}}), "wanted dtype, shape and data_offsets"),
        (lying(entry(end=80)), "past the end of the file"),
        (lying(entry(begin=32, end=16)), "past the end of the file"),
        (lying(entry(begin=-16, end=0)), "is no list of numbers"),
        (lying(entry(shape=(-4, -1))), "is no list of numbers"),
        (lying(entry(shape=(2.0, 2))), "is no list of numbers"),
        (lying(entry(shape=(True, 4))), "is no list of numbers"),
        (lying(entry(shape=(1,) * 9)), "is no list of numbers"),
        (lying(entry(shape=(2**40, 2**40))), "its shape .* says otherwise"),
        (lying(entry(shape=(5,))), "has 16 bytes, its shape"),
    ],
)
def test_a_file_that_lies_is_refused_before_anything_is_allocated(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(ModelFileError, match=reason):
        safetensors.read(written(tmp_path, data))


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"model.safetensors: cannot be read"):
        safetensors.read(tmp_path / "model.safetensors")
