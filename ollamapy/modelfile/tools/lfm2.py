"""LFM 2: `<|tool_call_start|>[f(a=1), g(b="x")]<|tool_call_end|>`, Python unless the user asked for JSON."""

import re
from collections.abc import Sequence

from ollamapy.modelfile.tools import jsontext, pythonic
from ollamapy.modelfile.tools.between import Between
from ollamapy.modelfile.tools.found import Call
from ollamapy.modelfile.tools.machine import Content, Machine, State, ToolParser
from ollamapy.wire.native import Tool

OPENING, _CLOSING = "<|tool_call_start|>", "<|tool_call_end|>"
MARKS = (OPENING, _CLOSING)
_JSON = re.compile(r"\s*\[?\s*\{")


def new(tools: Sequence[Tool]) -> ToolParser:
    """The parser for one answer."""
    return Machine(_CONTENT)


def read(text: str) -> tuple[Call, ...]:
    """The calls in either notation. Raises Unreadable."""
    return jsontext.read_calls(text) if _JSON.match(text) else pythonic.read_calls(text)


def _calls(start: int) -> State:
    return Between(start + len(OPENING), _CLOSING, read, _CONTENT)


_CONTENT = Content({OPENING: _calls})
