"""Reads answers for the tests of the tool parsers, in one piece and in many."""

from collections.abc import Iterable, Sequence
from typing import Any

from hypothesis import strategies as st

from ollamapy.modelfile.tools.found import Call, Found, join
from ollamapy.modelfile.tools.machine import NewParser
from ollamapy.wire.native import Tool, ToolFunction


def tool(name: str, **properties: Any) -> Tool:
    return Tool(ToolFunction(name, parameters={"type": "object", "properties": properties}))


WEATHER = tool("get_weather", city={"type": "string"}, days={"type": "integer"})
TIME = tool("get_time")
TOOLS = (WEATHER, TIME)
PARIS = Call("get_weather", {"city": "Paris"})
NOW = Call("get_time", {})


def read_pieces(new: NewParser, pieces: Iterable[str], tools: Sequence[Tool] = TOOLS) -> Found:
    parser = new(tools)
    return join([*[parser.push(piece) for piece in pieces], parser.finish()])


def read(new: NewParser, text: str, tools: Sequence[Tool] = TOOLS) -> Found:
    """What is found in `text`, the same in one piece, letter by letter and cut at any one place."""
    found = read_pieces(new, [text], tools)
    assert read_pieces(new, text, tools) == found
    for cut in range(1, len(text)):
        assert read_pieces(new, [text[:cut], text[cut:]], tools) == found
    return found


def warned(found: Found) -> tuple[str, tuple[Call, ...], int]:
    """Content, calls and the number of warnings."""
    return found.content, found.calls, len(found.warnings)


@st.composite
def cut_text(draw: st.DrawFn, fragments: Sequence[str]) -> list[str]:
    """Some of the fragments one after the other, and letters, cut anywhere."""
    letters = st.text(st.sampled_from('ab \n{}[]",:\\<é'), max_size=4)
    parts = st.one_of(st.sampled_from(fragments), letters)
    text = "".join(draw(st.lists(parts, max_size=12)))
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
