"""What a parser may hold back, and how two of them read one answer."""

import pytest
from tool_answers import NOW, TOOLS

from ollamapy.modelfile.tools import deepseek, generic, hermes, lfm2, llama3
from ollamapy.modelfile.tools.found import Found, join
from ollamapy.modelfile.tools.machine import MAX_HELD, Chain, NewParser

TIME = '<tool_call>{"name": "get_time", "arguments": {}}</tool_call>'


@pytest.mark.parametrize(
    ("new", "opening"),
    [
        (hermes.new, '<tool_call>{"name": "'),
        (deepseek.new, "<｜tool▁call▁begin｜>"),
        (lfm2.new, "<|tool_call_start|>["),
        (llama3.new, "[get_time(a='"),
        (generic.new, '{"a": "'),
    ],
)
@pytest.mark.parametrize("size", [1000, MAX_HELD * 2])
def test_a_call_without_an_end_becomes_content_and_a_warning(new: NewParser, opening: str, size: int) -> None:
    """However large the pieces are that it comes in."""
    parser, text = new(TOOLS), opening + "x" * (MAX_HELD * 2)

    found = join([parser.push(text[at : at + size]) for at in range(0, len(text), size)])

    assert found.content == text
    assert [str(MAX_HELD) in warning for warning in found.warnings] == [True]
    assert parser.push(f"more {TIME}") == Found(f"more {TIME}")


def test_calls_in_a_large_piece_are_found_one_by_one() -> None:
    parser = hermes.new(())
    count = MAX_HELD // len(TIME) + 1

    assert parser.push(TIME * count).calls == (NOW,) * count


def test_the_second_of_two_parsers_reads_what_the_first_leaves() -> None:
    parser = Chain((deepseek.new(()), hermes.new(())))

    first = parser.push(f"a <｜tool▁call▁begin｜>get_time<｜tool▁sep｜>{{}}<｜tool▁call▁end｜>b {TIME[:-5]}")
    rest = join((parser.push(TIME[-5:] + " c"), parser.finish()))

    assert (first, rest) == (Found("ab", calls=(NOW, NOW)), Found("c"))
