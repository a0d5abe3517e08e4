"""Several headers that are one model's, and those that are not."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.tiny_models import attention, attention_in_parts

from ollamapy.errors import ModelFileError
from ollamapy.weights.gguf import GgufFile, inspect
from ollamapy.weights.shards import joined, place_of


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Sequence[GgufFile]:
    return [inspect(path) for path in attention_in_parts(tmp_path_factory.mktemp("parts") / "m.gguf")]


def test_parts_are_read_as_the_whole_model(parts: Sequence[GgufFile], tmp_path: Path) -> None:
    attention(tmp_path / "whole.gguf")
    whole = inspect(tmp_path / "whole.gguf")

    found = joined(parts)

    assert [place_of(part) for part in parts] == [(1, 3), (2, 3), (3, 3)]
    assert found.metadata == whole.metadata
    assert found.parameter_count == whole.parameter_count
    assert {tensor.name for tensor in found.tensors} == {tensor.name for tensor in whole.tensors}
    assert found.size_bytes == sum(part.size_bytes for part in parts)
    assert joined([whole]) is whole


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        ([0], "1 of 3"),
        ([0, 1], "1 of 3, 2 of 3"),
        ([1, 0, 2], "2 of 3, 1 of 3, 3 of 3"),
        ([0, 1, 1], "1 of 3, 2 of 3, 2 of 3"),
        ([0, 1, 2, 2], "1 of 3, 2 of 3, 3 of 3, 3 of 3"),
    ],
)
def test_parts_that_are_missing_or_out_of_order_are_named(
    parts: Sequence[GgufFile], chosen: list[int], found: str
) -> None:
    with pytest.raises(ModelFileError, match=f"found {found}$"):
        joined([parts[n] for n in chosen])


def test_parts_of_another_version_are_noticed_by_their_tensors(parts: Sequence[GgufFile]) -> None:
    stale = replace(parts[1], tensors=parts[1].tensors[:-1])
    twice = replace(parts[1], tensors=parts[0].tensors[: len(parts[1].tensors)])

    for second in (stale, twice):
        with pytest.raises(ModelFileError, match=r"^split GGUF: the parts have \d+ tensors, the first one promises 68"):
            joined([parts[0], second, parts[2]])


@pytest.mark.parametrize("count", ["3", True, 3.0, None, [3]])
def test_a_count_that_is_none_makes_no_part(parts: Sequence[GgufFile], count: object) -> None:
    assert place_of(replace(parts[0], metadata={"split.count": count})) is None
