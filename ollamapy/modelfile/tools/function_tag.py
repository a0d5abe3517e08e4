"""Functionary 3.1, and Llama 3.1 when told so: `<function=NAME>{…}</function>`."""

import re
from collections.abc import Sequence

from ollamapy.modelfile.tools.between import Between
from ollamapy.modelfile.tools.found import Call
from ollamapy.modelfile.tools.jsontext import Unreadable, arguments_of
from ollamapy.modelfile.tools.machine import Content, Machine, State, ToolParser
from ollamapy.wire.native import Tool

OPENING, _CLOSING = "<function=", "</function>"
MARKS = (OPENING, _CLOSING)
_NAME = re.compile(r"[\w.:/-]+")


def new(tools: Sequence[Tool]) -> ToolParser:
    """The parser for one answer."""
    return Machine(_CONTENT)


def _read(text: str) -> tuple[Call, ...]:
    name, mark, written = text.partition(">")
    if not mark or not _NAME.fullmatch(name.strip()):
        raise Unreadable("it names no tool")
    return (Call(name.strip(), arguments_of(written)),)


def _call(start: int) -> State:
    return Between(start + len(OPENING), _CLOSING, _read, _CONTENT)


_CONTENT = Content({OPENING: _call})
