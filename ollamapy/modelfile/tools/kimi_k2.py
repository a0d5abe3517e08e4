"""Kimi K2: `<|tool_call_begin|>functions.NAME:0<|tool_call_argument_begin|>{…}<|tool_call_end|>`, in a section.

The number after the name counts the calls of the whole chat. `functions.` and the number are no part of the name.
"""

import re
from collections.abc import Sequence

from ollamapy.modelfile.tools.between import Between
from ollamapy.modelfile.tools.found import Call
from ollamapy.modelfile.tools.jsontext import Unreadable, arguments_of
from ollamapy.modelfile.tools.machine import Content, Machine, State, ToolParser
from ollamapy.wire.native import Tool

OPENING, _SEPARATOR, _CLOSING = "<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>"
_SECTION = ("<|tool_calls_section_begin|>", "<|tool_calls_section_end|>")
MARKS = (OPENING, _SEPARATOR, _CLOSING, *_SECTION)
_NAME = re.compile(r"\s*(?:functions\.)?([\w./-]+?)(?::\d+)?\s*")


def new(tools: Sequence[Tool]) -> ToolParser:
    """The parser for one answer."""
    return Machine(_CONTENT)


def _read(text: str) -> tuple[Call, ...]:
    head, separator, written = text.partition(_SEPARATOR)
    if not separator:
        raise Unreadable(f"it has no {_SEPARATOR}")
    name = _NAME.fullmatch(head)
    if not name:
        raise Unreadable("it names no tool")
    return (Call(name[1], arguments_of(written)),)


def _call(start: int) -> State:
    return Between(start + len(OPENING), _CLOSING, _read, _CONTENT, outer=_SECTION[1:])


_CONTENT = Content({OPENING: _call}, _SECTION)
