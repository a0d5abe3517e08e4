"""Tables, times and shares, as list and ps show them."""

from datetime import UTC, datetime

import pytest

from ollamapy.cli import render
from ollamapy.wire.native import Details, ListedModel, LoadedModel

NOW = datetime(2026, 8, 22, 12, 0, tzinfo=UTC)


def listed(name: str, **fields: object) -> ListedModel:
    values = {"modified_at": "2026-08-01T01:02:03.5Z", "size": 2_019_393_189, "digest": "a80c4f17acd5" + "0" * 52}
    return ListedModel(name=name, model=name, details=Details(), **(values | fields))  # type: ignore[arg-type]


def loaded(**fields: object) -> LoadedModel:
    values = {"size": 1000, "size_vram": 0, "expires_at": "2026-08-22T12:04:30Z", "context_length": 4096}
    names = {"name": "m:latest", "model": "m:latest", "digest": "0" * 64, "details": Details()}
    return LoadedModel(**(names | values | fields))  # type: ignore[arg-type]


def test_a_list_is_the_contracts_example() -> None:
    assert render.list_table([listed("llama3.2:latest")], NOW) == (
        "NAME               ID              SIZE      MODIFIED\n"
        "llama3.2:latest    a80c4f17acd5    2.0 GB    3 weeks ago\n"
    )


def test_a_list_of_nothing_is_its_header() -> None:
    assert render.list_table([], NOW) == "NAME    ID    SIZE    MODIFIED\n"


def test_ps_tells_where_a_model_is_and_until_when() -> None:
    assert render.ps_table([loaded(size=1000, size_vram=335)], NOW) == (
        "NAME        ID              SIZE    PROCESSOR          CONTEXT    UNTIL\n"
        "m:latest    000000000000    1 KB    67%/33% CPU/GPU    4096       4 minutes from now\n"
    )


@pytest.mark.parametrize(
    ("size", "vram", "text"),
    [
        (1000, 0, "100% CPU"),
        (0, 0, "100% CPU"),
        (1000, 1000, "100% GPU"),
        (1000, 1001, "Unknown"),
        (0, 5, "Unknown"),
        (1000, 335, "67%/33% CPU/GPU"),
        (1000, 995, "1%/99% CPU/GPU"),
        (1000, 996, "0%/100% CPU/GPU"),
        (200, 101, "50%/50% CPU/GPU"),
        (200, 99, "51%/49% CPU/GPU"),
    ],
)
def test_the_processor_column_rounds_half_away_from_zero(size: int, vram: int, text: str) -> None:
    assert render.processor(size, vram) == text


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        ("2318-11-22T00:00:00.123456789Z", "Forever"),
        ("2026-08-22T11:59:59Z", "Stopping..."),
        ("0001-01-01T00:00:00Z", "Never"),
        ("2026-08-22T14:05:00+02:00", "5 minutes from now"),
        ("soon", "soon"),
    ],
)
def test_the_until_column(moment: str, text: str) -> None:
    assert render.until(moment, NOW) == text


def test_wide_characters_take_two_columns_of_a_table() -> None:
    assert render.table([("你好", "a"), ("abcde", "b"), ("é\u0301", "c")]) == (
        "你好     a\nabcde    b\né\u0301        c\n"
    )
