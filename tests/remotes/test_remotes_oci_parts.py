"""The parts of a blob: how it is cut, and the files that Ollama and ollamapy both go on from."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamapy.remotes.oci import parts as plans
from ollamapy.remotes.oci.parts import Part

MB = 1_000_000


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        (0, []),
        (1, [1]),
        (100 * MB, [100 * MB]),
        (250 * MB, [100 * MB, 100 * MB, 50 * MB]),
        (3200 * MB, [200 * MB] * 16),
        (20_000 * MB, [1000 * MB] * 20),
    ],
)
def test_a_blob_is_cut_as_the_contract_says(size: int, sizes: list[int]) -> None:
    assert [part.size for part in plans.plan(size)] == sizes


@given(st.integers(0, 10**12))
def test_parts_cover_a_blob_without_gaps(size: int) -> None:
    parts = plans.plan(size)

    assert plans.total(parts) == size
    assert all(before.end == after.offset for before, after in pairwise(parts))


def write(folder: Path, *states: dict[str, int], data: int | None = None) -> Path:
    partial = folder / "sha256-00-partial"
    for state in states:
        (folder / f"{partial.name}-{state['N']}").write_text(json.dumps(state))
    if data is not None:
        partial.write_bytes(b"x" * data)
    return partial


def state(n: int, offset: int, size: int, completed: int = 0) -> dict[str, int]:
    return {"N": n, "Offset": offset, "Size": size, "Completed": completed}


def test_ollamas_own_files_are_gone_on_from(tmp_path: Path) -> None:
    partial = write(tmp_path, state(1, 10, 5, 2), state(0, 0, 10, 10), data=15)

    assert plans.load(partial) == [Part(0, 0, 10, 10), Part(1, 10, 5, 2)]


def test_what_is_saved_is_what_ollama_writes(tmp_path: Path) -> None:
    plans.save(tmp_path / "b-partial", Part(3, 30, 10, 4))

    assert (tmp_path / "b-partial-3").read_text() == '{"N":3,"Offset":30,"Size":10,"Completed":4}'


def test_states_without_their_data_count_for_nothing(tmp_path: Path) -> None:
    assert plans.load(write(tmp_path, state(0, 0, 10, 10))) == [Part(0, 0, 10, 0)]
    assert plans.load(write(tmp_path, state(0, 0, 10, 10), data=9)) == [Part(0, 0, 10, 0)]


@pytest.mark.parametrize(
    "states",
    [
        [],
        [state(1, 0, 10)],
        [state(0, 0, 10), state(1, 11, 5)],
        [state(0, 0, 10, 11)],
        [state(0, 0, -10)],
        [state(0, 5, 10)],
    ],
    ids=["none", "no first", "a gap", "too much", "negative", "no start"],
)
def test_states_that_describe_no_blob_are_forgotten(tmp_path: Path, states: list[dict[str, int]]) -> None:
    assert plans.load(write(tmp_path, *states, data=15)) == []


def test_a_state_that_cannot_be_read_makes_all_of_them_worthless(tmp_path: Path) -> None:
    partial = write(tmp_path, state(0, 0, 10), data=10)
    (tmp_path / f"{partial.name}-1").write_text("{")

    assert plans.load(partial) == []


def test_the_frontier_is_where_the_first_gap_begins() -> None:
    assert plans.frontier([Part(0, 0, 10, 10), Part(1, 10, 10, 3), Part(2, 20, 10, 10)]) == 13
    assert plans.frontier([Part(0, 0, 10, 10), Part(1, 10, 10, 10)]) == 20
    assert plans.frontier([]) == 0
