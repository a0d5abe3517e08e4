"""The header reader on files that lie: always ModelFileError with a clear text, never slow, never much memory."""

import contextlib
import time
import tracemalloc
from pathlib import Path

import pytest
from fakes import gguf_files as files
from hypothesis import given, settings
from hypothesis import strategies as st

from ollamapy.errors import ModelFileError
from ollamapy.weights import gguf, reader
from ollamapy.weights.gguf import inspect

WHOLE = files.tiny_model(general__extra=[1.5, 2.5], general__alignment=32)


def write(folder: Path, content: bytes) -> Path:
    path = folder / "hostile.gguf"
    path.write_bytes(content)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.mark.parametrize("arrays", [True, False])
@pytest.mark.parametrize("lie", files.LYING)
def test_a_lie_is_an_error_that_names_file_and_place(folder, lie, arrays):
    path = write(folder, files.LYING[lie])

    with pytest.raises(ModelFileError, match=r"^hostile\.gguf: .+ \(at byte \d+ of \d+\)$") as caught:
        inspect(path, arrays=arrays)

    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("lie", "text"),
    [
        ("another format", r"not a GGUF file: wanted b'GGUF' in front, found b'PK"),
        ("version 1", r"wanted GGUF version 2 or 3, found 1"),
        ("big-endian", r"wanted a little-endian file, found a big-endian one"),
        ("2^60 tensors", r"has room for 3 tensors, found a count of 1152921504606846976 \(at byte 8 of 124\)"),
        ("a key twice", r"the metadata key 'a' occurs twice"),
        ("a string of 2^60 bytes", r"wanted 1152921504606846976 bytes for the value of 'a', found 1 in the rest"),
        ("an unknown value type", r"the value of 'a' should have a type from 0 to 12, found 13"),
        ("an alignment of 48", r"wanted a power of two as general.alignment, found 48"),
        ("a dimension below zero", r"wanted dimensions above zero for tensor 't', found \[-4, -4\]"),
        ("an unknown tensor type", r"wanted a known type for tensor 't', found number 77"),
        ("a tensor that reaches past the end", r"tensor 't' should lie in bytes 64 to 4164, past the end of the file"),
    ],
)
def test_the_error_says_what_was_wanted_and_what_was_found(folder, lie, text):
    with pytest.raises(ModelFileError, match=text):
        inspect(write(folder, files.LYING[lie]))


def test_a_cut_file_comes_with_the_advice_to_fetch_it_again(folder):
    for content in (WHOLE[:-100], WHOLE[:300]):
        with pytest.raises(ModelFileError) as caught:
            inspect(write(folder, content))

        assert caught.value.hint == "the file is not whole: copy or download it again"


@pytest.mark.slow
def test_a_file_that_is_cut_anywhere_is_refused(folder):
    """Only padding at the very end may be missing."""
    for length in range(len(WHOLE)):
        with pytest.raises(ModelFileError):
            inspect(write(folder, WHOLE[:length]))


@pytest.mark.parametrize("arrays", [True, False])
@settings(max_examples=400, deadline=None, database=None)
@given(data=st.data())
def test_flipped_and_cut_bytes_never_raise_anything_else(folder, arrays, data):
    content = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255))
    path = write(folder, bytes(content[: data.draw(st.integers(0, len(content)))]))

    try:
        file = inspect(path, arrays=arrays)
    except ModelFileError:
        return
    assert all(0 < tensor.offset + tensor.size_bytes <= file.size_bytes for tensor in file.tensors)
    assert file.kind in {"model", "adapter", "projector"}
    assert file.parameter_count >= 0


@settings(max_examples=200, deadline=None, database=None)
@given(rest=st.binary(max_size=300), counts=st.tuples(st.integers(0, 9), st.integers(0, 9)))
def test_any_bytes_behind_an_honest_start_never_raise_anything_else(folder, rest, counts):
    content = files.header(num_tensors=counts[0], num_pairs=counts[1]) + rest

    with contextlib.suppress(ModelFileError):
        inspect(write(folder, content))


def test_lies_cost_neither_time_nor_memory(folder):
    paths = []
    for index, content in enumerate(files.LYING.values()):
        paths.append(folder / f"lie{index}")
        paths[-1].write_bytes(content)
    tracemalloc.start()
    started = time.process_time()

    for path in paths:
        with pytest.raises(ModelFileError):
            inspect(path)

    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.process_time() - started < 30, "each takes milliseconds"
    assert peak_bytes < 4 << 20


def test_a_count_that_fits_a_sparse_file_still_ends_soon(folder):
    """A file may be petabytes of holes, so the size of the file alone does not make a count believable."""
    path = folder / "sparse.gguf"
    path.write_bytes(files.header(num_pairs=1) + files.string("a") + files.array(files.U8, b"", 2**40))
    with path.open("r+b") as file:
        file.truncate(2**41)

    with pytest.raises(ModelFileError, match="has room for"):
        inspect(path)


def test_too_many_array_members_are_refused_before_they_are_read(folder, monkeypatch):
    monkeypatch.setattr(reader, "MAX_ARRAY_ITEMS", 5)

    for arrays in (True, False):
        with pytest.raises(ModelFileError, match="at most 5 array members, found 6 up to the value of 'b'"):
            inspect(write(folder, files.gguf({"a": [1, 2, 3], "b": [1, 2, 3]})), arrays=arrays)
        with pytest.raises(ModelFileError, match="at most 5 members of the value of 'c', found a count of 6"):
            inspect(write(folder, files.gguf({"c": ["x"] * 6})), arrays=arrays)


def test_more_pairs_or_tensors_than_any_model_has_are_refused(folder, monkeypatch):
    """A file of many small pairs would cost minutes and gigabytes although it is as large as it says."""
    monkeypatch.setattr(gguf, "_MAX_PAIRS", 1)
    monkeypatch.setattr(gguf, "_MAX_TENSORS", 1)

    with pytest.raises(ModelFileError, match="wanted at most 1 metadata pairs, found a count of 2"):
        inspect(write(folder, files.gguf({"a": 1, "b": 2})))
    with pytest.raises(ModelFileError, match="wanted at most 1 tensors, found a count of 2"):
        inspect(write(folder, files.gguf({}, [files.Tensor("a", (4,)), files.Tensor("b", (4,))])))


def test_a_header_without_end_is_refused(folder, monkeypatch):
    monkeypatch.setattr(reader, "MAX_HEADER_BYTES", 100)
    path = write(folder, files.gguf({"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}))

    with pytest.raises(ModelFileError, match="in a header of at most 100 bytes"):
        inspect(path)
