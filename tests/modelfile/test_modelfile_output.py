"""Thinking and content are told apart however the text is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamapy.modelfile.output import ThinkingSplitter, reply_frame


def split(chunks: list[str], *, is_inside: bool = False) -> tuple[str, str]:
    splitter = ThinkingSplitter("<think>", "</think>", is_inside=is_inside)
    pieces = [splitter.push(chunk) for chunk in chunks] + [splitter.finish()]
    return "".join(p.thinking for p in pieces), "".join(p.content for p in pieces)


def test_reasoning_in_tags_is_thinking_and_the_rest_content() -> None:
    assert split(["<think>\nhm\n</think>\n\nfour"]) == ("hm\n", "four")


def test_an_answer_without_the_opening_tag_is_content_untouched() -> None:
    assert split(["  four <think>no</think>"]) == ("", "  four <think>no</think>")


def test_white_space_before_the_opening_tag_goes_with_it() -> None:
    assert split(["\n <think>a</think>b"]) == ("a", "b")


def test_a_prompt_that_opened_the_tag_starts_inside() -> None:
    assert split(["so</think> four"], is_inside=True) == ("so", "four")


def test_thinking_that_never_ends_is_all_thinking() -> None:
    assert split(["<think>on and on </thi"]) == ("on and on </thi", "")


def test_a_partial_tag_is_held_back() -> None:
    splitter = ThinkingSplitter("<think>", "</think>")
    splitter.push("<think>a")

    assert splitter.push("</thi").thinking == ""


@pytest.mark.parametrize(
    ("answer", "content"),
    [
        ("<response>four</response>", "four"),
        ("\n<response>\nfour", "four"),
        ("four </response>", "four </response>"),
        ("<respond>", "<respond>"),
        ("<resp", "<resp"),
        ("<response>a</respond>", "a</respond>"),
    ],
)
def test_the_frame_around_a_reply_is_left_out(answer: str, content: str) -> None:
    for chunks in ([f"<think>a</think>{answer}"], list(f"<think>a</think>{answer}")):
        splitter = ThinkingSplitter("<think>", "</think>", frame=("<response>", "</response>"))
        pieces = [*map(splitter.push, chunks), splitter.finish()]

        assert "".join(piece.content for piece in pieces) == content


def test_an_answer_that_does_not_think_keeps_what_looks_like_a_frame() -> None:
    splitter = ThinkingSplitter("<think>", "</think>", frame=("<response>", "</response>"))

    assert splitter.push("<response>a</response>").content == "<response>a</response>"


def test_a_template_tells_of_the_frame() -> None:
    assert reply_frame("<think></think><response></response>") == ("<response>", "</response>")
    assert reply_frame("<response></response>") == reply_frame("") == ("", "")


@given(st.text(st.sampled_from("ab <>/\n"), max_size=12), st.text(st.sampled_from("xy <\n"), max_size=12), st.data())
def test_every_split_gives_the_same_pieces(thinking: str, content: str, data: st.DataObject) -> None:
    text = f"<think>{thinking}</think>{content}"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    chunks = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    assert split(chunks) == split([text])
    assert split([text]) == (thinking.lstrip(), content.lstrip())
