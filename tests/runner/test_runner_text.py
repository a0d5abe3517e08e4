"""The text of an answer: whole characters, nothing of a stop string, whatever pieces the bytes come in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamapy.runner.text import TextStream

SMALL_TEXT = st.text("ab é€😀", max_size=30)
STOPS = st.lists(st.text("ab é", max_size=4), max_size=4)


@st.composite
def cut_bytes(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> tuple[str, list[bytes]]:
    """A text and its bytes in pieces of any length, empty ones too."""
    text = draw(texts)
    data = text.encode()
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    return text, [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def one_byte_each(text: str) -> list[bytes]:
    return [bytes([byte]) for byte in text.encode()]


def read(stream: TextStream, pieces: list[bytes]) -> str:
    return "".join([*map(stream.push, pieces), stream.finish()])


def until_stop(text: str, stops: list[str]) -> tuple[str, bool]:
    """The slow way: look at the whole text after each character; of stops that end together the longest counts."""
    for end in range(1, len(text) + 1):
        matches = [stop for stop in stops if stop and text[:end].endswith(stop)]
        if matches:
            return text[: end - max(map(len, matches))], True
    return text, False


@given(cut_bytes(st.text()))
def test_pieces_of_any_size_give_the_text(case: tuple[str, list[bytes]]) -> None:
    text, pieces = case

    assert read(TextStream(), pieces) == text


@given(cut_bytes(SMALL_TEXT), STOPS)
def test_the_text_ends_before_the_stop_that_is_complete_first(case: tuple[str, list[bytes]], stops: list[str]) -> None:
    text, pieces = case
    stream = TextStream(stops)

    assert (read(stream, pieces), stream.is_stopped) == until_stop(text, stops)


@given(cut_bytes(SMALL_TEXT), STOPS)
def test_what_came_out_is_never_taken_back(case: tuple[str, list[bytes]], stops: list[str]) -> None:
    """Streamed text is gone: all of it must be a beginning of the final text, at every moment."""
    text, pieces = case
    stream = TextStream(stops)
    sent = ""

    for piece in pieces:
        sent += stream.push(piece)
        assert until_stop(text, stops)[0].startswith(sent)


@given(st.lists(st.binary(max_size=6), max_size=8))
def test_bytes_that_are_no_text_become_replacement_characters(pieces: list[bytes]) -> None:
    data = b"".join(pieces)

    text = read(TextStream(), pieces)

    assert data.decode("utf-8", "replace").startswith(text)


def test_a_character_comes_out_with_its_last_byte() -> None:
    stream = TextStream()

    assert [stream.push(byte) for byte in one_byte_each("é😀")] == ["", "é", "", "", "", "😀"]


def test_a_character_that_stays_incomplete_is_dropped() -> None:
    stream = TextStream()
    stream.push("a😀".encode()[:-1])

    assert stream.finish() == ""


def test_text_without_stops_is_not_held_back() -> None:
    assert TextStream().push(b"abc") == "abc"


def test_the_beginning_of_a_stop_waits_until_it_is_refuted() -> None:
    stream = TextStream(["###"])

    assert [stream.push(byte) for byte in one_byte_each("a##b")] == ["a", "", "", "##b"]


def test_only_the_end_that_may_still_be_a_stop_is_held() -> None:
    stream = TextStream(["aab"])

    assert [stream.push(byte) for byte in one_byte_each("aaaab")] == ["", "", "a", "a", ""]
    assert stream.is_stopped


def test_held_text_comes_at_the_end() -> None:
    stream = TextStream(["STOP"])
    assert stream.push(b"go STO") == "go "

    assert stream.finish() == "STO"
    assert stream.finish() == ""


def test_a_stop_across_pieces_is_found() -> None:
    stream = TextStream(["\n\n"])

    assert read(stream, [b"one\n", b"\ntwo"]) == "one"
    assert stream.is_stopped


def test_a_stop_of_several_bytes_a_character_is_found() -> None:
    assert read(TextStream(["😀"]), one_byte_each("a😀b")) == "a"


@pytest.mark.parametrize("pieces", [[b"xabcdy"], one_byte_each("xabcdy"), [b"xab", b"cdy"]])
def test_a_short_stop_inside_a_long_one_wins_however_the_text_is_cut(pieces: list[bytes]) -> None:
    """The pieces are tokens: the same answer in other tokens must not end elsewhere."""
    assert read(TextStream(["abcd", "bc"]), pieces) == "xa"


def test_of_stops_that_end_together_the_longest_counts() -> None:
    assert read(TextStream(["c", "abc"]), one_byte_each("xabc")) == "x"


def test_nothing_comes_out_after_a_stop() -> None:
    stream = TextStream(["."])
    assert stream.push(b"a.b") == "a"

    assert stream.push(b"c") == ""
    assert stream.finish() == ""


def test_an_empty_stop_is_no_stop() -> None:
    stream = TextStream([""])

    assert read(stream, [b"abc"]) == "abc"
    assert not stream.is_stopped
