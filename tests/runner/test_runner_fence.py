"""Where a line ends an answer, whatever pieces the text comes in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamapy.runner.fence import fence_of
from ollamapy.wire.options import Options


def read(options: Options, *pieces: tuple[str, float]) -> tuple[str, bool]:
    lines = fence_of(options)
    assert lines
    return "".join(lines.push(text, seconds) for text, seconds in pieces), lines.is_over


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x\n    y\nz", ("x\n    y\n", True)),
        ("x\n  y", ("x\n  ", True)),
        ("x\n\n    y", ("x\n\n    y", False)),
        ("x\n\t\t\t\ty", ("x\n\t\t\t\ty", False)),
        ("x", ("x", False)),
    ],
)
def test_a_line_that_begins_too_far_left_ends_the_answer(text: str, found: tuple[str, bool]) -> None:
    assert read(Options(n_indent=4), (text, 0.0)) == found


def test_the_first_line_goes_on_from_the_prompt_and_may_begin_anywhere() -> None:
    assert read(Options(n_indent=4), ("return x", 0.0)) == ("return x", False)


def test_past_its_time_an_answer_ends_with_its_line() -> None:
    options = Options(t_max_predict_ms=1000)

    assert read(options, ("a\n", 0.5), ("b", 1.5), ("c\nd", 1.6), ("e", 1.7)) == ("a\nbc", True)
    assert read(options, ("a", 99.0)) == ("a", False)


def test_without_bounds_nothing_is_looked_at() -> None:
    assert fence_of(Options()) is None


@given(st.text("ab \n\t", max_size=30), st.integers(1, 4), st.data())
def test_the_cut_of_the_text_makes_no_difference(text: str, min_indent: int, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))

    whole = read(Options(n_indent=min_indent), (text, 0.0))

    assert read(Options(n_indent=min_indent), (text[:at], 0.0), (text[at:], 0.0)) == whole
