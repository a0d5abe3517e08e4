"""OLMo 3: `<function_calls>`, one call as Python a line, `</function_calls>`."""

from collections.abc import Sequence

from ollamapy.modelfile.tools import pythonic
from ollamapy.modelfile.tools.between import Between
from ollamapy.modelfile.tools.machine import Content, Machine, State, ToolParser
from ollamapy.wire.native import Tool

OPENING, _CLOSING = "<function_calls>", "</function_calls>"
MARKS = (OPENING, _CLOSING)


def new(tools: Sequence[Tool]) -> ToolParser:
    """The parser for one answer."""
    return Machine(_CONTENT)


def _calls(start: int) -> State:
    return Between(start + len(OPENING), _CLOSING, pythonic.read_calls, _CONTENT)


_CONTENT = Content({OPENING: _calls})
