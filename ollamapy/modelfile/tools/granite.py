"""Granite 3 and Phi 4 mini: `<|tool_call|>[{"name": …, "arguments": {…}}]`; Phi closes with `<|/tool_call|>`.

Granite 3.2 and 3.3 write `<tool_call>` for the same at times.
"""

from collections.abc import Sequence

from ollamapy.modelfile.tools.machine import Content, Machine, State, ToolParser
from ollamapy.modelfile.tools.tagged import JsonCalls, Syntax
from ollamapy.wire.native import Tool

MARKS = ("<|tool_call|>", "<|/tool_call|>", "<tool_call>", "</tool_call>")
_SPECIAL = Syntax("<|tool_call|>", "<|/tool_call|>")
_PLAIN = Syntax("<tool_call>", "</tool_call>")


def new(tools: Sequence[Tool]) -> ToolParser:
    """The parser for one answer."""
    return Machine(_CONTENT)


def _special(start: int) -> State:
    return JsonCalls(_SPECIAL, start, _CONTENT)


def _plain(start: int) -> State:
    return JsonCalls(_PLAIN, start, _CONTENT)


_CONTENT = Content({_SPECIAL.opening: _special, _PLAIN.opening: _plain})
