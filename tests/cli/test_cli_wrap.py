"""Word wrap, seen on a terminal that only knows the few sequences it may use."""

import re

from hypothesis import given
from hypothesis import strategies as st

from ollamapy.cli.render import char_width, width
from ollamapy.cli.wrap import MARGIN_COLUMNS, WordWrap, without_controls


def screen(written: str) -> list[str]:
    """The lines that a terminal shows: cursor back and erase, newline, text."""
    lines = [""]
    for part in re.findall(r"\x1b\[(\d+)D\x1b\[K|(.)", written, re.DOTALL):
        back, char = part
        if back:
            left = int(back)
            while left > 0:
                left -= char_width(lines[-1][-1])
                lines[-1] = lines[-1][:-1]
        elif char == "\n":
            lines.append("")
        else:
            lines[-1] += char
    return lines


def wrapped(text: str, columns: int, piece: int = 3) -> list[str]:
    wrap = WordWrap()
    pieces = [text[start : start + piece] for start in range(0, len(text), piece)]
    return screen("".join(wrap.push(part, columns) for part in pieces))


def test_a_word_that_does_not_fit_moves_to_the_next_line_whole() -> None:
    assert wrapped("the quick brown fox jumps", 20) == ["the quick brown", "fox jumps"]


def test_a_word_longer_than_a_line_is_cut() -> None:
    assert wrapped("a" * 40, 20) == ["a" * 15, "a" * 15, "a" * 10]


def test_line_ends_start_over() -> None:
    assert wrapped("one two three\nfour five six", 20) == ["one two three", "four five six"]


def test_wide_characters_break_anywhere() -> None:
    assert wrapped("你" * 10, 20) == ["你" * 7, "你" * 3]


def test_a_terminal_too_narrow_to_wrap_gets_the_text_as_it_is() -> None:
    assert WordWrap().push("one two three four", 9) == "one two three four"


@given(st.text(alphabet="ab 你\n\u0301", max_size=200), st.integers(10, 60), st.integers(1, 20))
def test_wrapping_keeps_every_word_and_every_margin(text: str, columns: int, piece: int) -> None:
    lines = wrapped(text, columns, piece)

    assert "".join(lines).replace(" ", "") == text.replace(" ", "").replace("\n", "")
    assert all(width(line) <= columns - MARGIN_COLUMNS for line in lines)


def test_a_model_cannot_steer_the_terminal() -> None:
    assert without_controls("a\x1b[2Jb\x07\x9b31m\tc\n\r") == "a[2Jb31m\tc\n"
