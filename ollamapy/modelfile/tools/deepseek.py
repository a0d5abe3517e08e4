"""DeepSeek V3 and R1: a call is its type, its name and fenced JSON; V3.1: its name and JSON.

<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME
```json
{…}
```<｜tool▁call▁end｜><｜tool▁calls▁end｜>

<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>NAME<｜tool▁sep｜>{…}<｜tool▁call▁end｜><｜tool▁calls▁end｜>
"""

import re
from collections.abc import Sequence

from ollamapy.modelfile.tools.between import Between
from ollamapy.modelfile.tools.found import Call
from ollamapy.modelfile.tools.jsontext import Unreadable, arguments_of
from ollamapy.modelfile.tools.machine import Content, Machine, State, ToolParser
from ollamapy.wire.native import Tool

OPENING = "<｜tool▁call▁begin｜>"
_SEPARATOR = "<｜tool▁sep｜>"
_CLOSING = "<｜tool▁call▁end｜>"
_LISTS = ("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>")
MARKS = (OPENING, _SEPARATOR, _CLOSING, *_LISTS)
_NAME = re.compile(r"[\w.:/-]+")
_FENCE = re.compile(r"\s*```(?:json)?\s*(.*?)\s*(?:```)?\s*", re.DOTALL)


def new(tools: Sequence[Tool]) -> ToolParser:
    """The parser for one answer."""
    return Machine(_CONTENT)


def _read(text: str) -> tuple[Call, ...]:
    head, separator, tail = text.partition(_SEPARATOR)
    if not separator:
        raise Unreadable(f"it has no {_SEPARATOR}")
    if tail.lstrip().startswith("{"):
        name, written = head, tail
    else:
        name, _, code = tail.partition("\n")
        fenced = _FENCE.fullmatch(code)
        written = fenced[1] if fenced else code
    if not _NAME.fullmatch(name.strip()):
        raise Unreadable("it names no tool")
    return (Call(name.strip(), arguments_of(written)),)


def _call(start: int) -> State:
    return Between(start + len(OPENING), _CLOSING, _read, _CONTENT, outer=_LISTS[1:])


_CONTENT = Content({OPENING: _call}, _LISTS)
