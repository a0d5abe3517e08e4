"""Hermes, Qwen 2.5 and 3, Granite 4, SmolLM 3 and many more: `<tool_call>{"name": …, "arguments": {…}}</tool_call>`.

A call is passed on whether or not its tool was offered, as with every format whose marks make the intent plain.
"""

from collections.abc import Sequence

from ollamapy.modelfile.tools.machine import Content, Machine, State, ToolParser
from ollamapy.modelfile.tools.tagged import JsonCalls, Syntax
from ollamapy.wire.native import Tool

MARKS = ("<tool_call>", "</tool_call>")
_SYNTAX = Syntax(*MARKS)


def new(tools: Sequence[Tool]) -> ToolParser:
    """The parser for one answer."""
    return Machine(_CONTENT)


def _calls(start: int) -> State:
    return JsonCalls(_SYNTAX, start, _CONTENT)


_CONTENT = Content({_SYNTAX.opening: _calls})
