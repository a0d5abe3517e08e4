"""DeepSeek V3 and R1: a call is its type, its name and fenced JSON; V3.1: its name and JSON.

<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME
```json
{…}
```<｜tool▁call▁end｜><｜tool▁calls▁end｜>

<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>NAME<｜tool▁sep｜>{…}<｜tool▁call▁end｜><｜tool▁calls▁end｜>
"""

import re
from collections.abc import Sequence

from ollamapy.modelfile.tools.found import Call, Found
from ollamapy.modelfile.tools.jsontext import Unreadable, arguments_of
from ollamapy.modelfile.tools.machine import Content, Finder, Gap, Machine, Move, State, ToolParser, give_back
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


class _Call:
    """Reads one call from its opening mark at `start` on, up to the closing one or the end of the answer."""

    def __init__(self, start: int) -> None:
        self._begin = start + len(OPENING)
        self._end = Finder((_CLOSING, _LISTS[1]), self._begin)

    def __call__(self, text: str, is_end: bool) -> Move | None:
        match = self._end.find(text)
        if not match and not is_end:
            return None
        stop = match.start() if match else len(text)
        end = match.end() if match and match[0] == _CLOSING else stop
        try:
            return Move(Found(calls=(_read(text[self._begin : stop]),)), text[end:], Gap(_CONTENT))
        except Unreadable as error:
            return give_back(text, end, str(error), _CONTENT)


def _read(text: str) -> Call:
    """The call between two marks. Raises Unreadable."""
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
    return Call(name.strip(), arguments_of(written))


def _call(start: int) -> State:
    return _Call(start)


_CONTENT = Content({OPENING: _call}, _LISTS)
