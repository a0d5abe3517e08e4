"""Nemotron Nano 2 and Llama Nemotron: `<TOOLCALL>[{"name": …, "arguments": {…}}]</TOOLCALL>`."""

from collections.abc import Sequence

from ollamapy.modelfile.tools.machine import Content, Machine, State, ToolParser
from ollamapy.modelfile.tools.tagged import JsonCalls, Syntax
from ollamapy.wire.native import Tool

MARKS = ("<TOOLCALL>", "</TOOLCALL>")
_SYNTAX = Syntax(*MARKS)


def new(tools: Sequence[Tool]) -> ToolParser:
    """The parser for one answer."""
    return Machine(_CONTENT)


def _calls(start: int) -> State:
    return JsonCalls(_SYNTAX, start, _CONTENT)


_CONTENT = Content({_SYNTAX.opening: _calls})
