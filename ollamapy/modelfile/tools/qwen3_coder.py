"""Qwen 3 Coder, Qwen 3.5, Nemotron 3, Seed OSS: a call as XML, one element for each argument.

    <tool_call>
    <function=NAME>
    <parameter=KEY>
    VALUE
    </parameter>
    </function>
    </tool_call>

Values are bare text; the schema of the offered tool says which type they have. These models leave out `<tool_call>`
at times: `<function=` alone opens a call only when it names an offered tool, else it is content like any other.
"""

import re
from collections.abc import Sequence
from typing import Any

from ollamapy.modelfile.tools.found import Call, Found
from ollamapy.modelfile.tools.jsontext import Unreadable
from ollamapy.modelfile.tools.machine import Content, Enter, Gap, Machine, Move, State, ToolParser, give_back
from ollamapy.modelfile.tools.typed import typed_value
from ollamapy.wire.native import Tool

MARKS = ("<tool_call>", "</tool_call>", "<seed:tool_call>", "</seed:tool_call>")
_CLOSING_OF = {"<tool_call>": "</tool_call>", "<seed:tool_call>": "</seed:tool_call>", "": "</tool_call>"}
_FUNCTION, _PARAMETER, _END = "<function=", "<parameter=", "</function>"
_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"[^<>\n]*")
_CLOSE = "</parameter>"
_VALUE_END = re.compile(rf"{_CLOSE}\s*(?={_PARAMETER}|{_END})")

Schemas = dict[str, dict[str, Any]]


def new(tools: Sequence[Tool]) -> ToolParser:
    """The parser for one answer."""
    schemas = {tool.function.name: tool.function.parameters for tool in tools}

    def enter(opening: str) -> Enter:
        return lambda start: _Element(opening, start, schemas, content)

    content = Content({opening or _FUNCTION: enter(opening) for opening in _CLOSING_OF})
    return Machine(content)


class _Element:
    """Reads one call from `opening` at `start` on; without an opening, `<function=` stands there.

    What has been read is kept, so that a long value is not read again for each piece of it.
    """

    def __init__(self, opening: str, start: int, schemas: Schemas, content: State) -> None:
        self._opening = opening
        self._begin = start + len(opening or _FUNCTION)
        self._position = start + len(opening)
        self._schemas = schemas
        self._content = content
        self._name: str | None = None
        self._arguments: dict[str, Any] = {}
        self._searched = 0

    def __call__(self, text: str, is_end: bool) -> Move | None:
        try:
            is_complete = self._read(text)
        except Unreadable as error:
            return self._give_back(text, str(error))
        if is_complete:
            call = Call(self._name or "", self._arguments)
            return Move(Found(calls=(call,)), text[self._position :], _Tail(_CLOSING_OF[self._opening], self._content))
        return self._give_back(text, "it is not complete") if is_end else None

    def _give_back(self, text: str, reason: str) -> Move:
        end = max(self._position, self._begin)
        if self._opening or self._name is not None:
            return give_back(text, end, reason, self._content)
        return Move(Found(content=text[:end]), text[end:], self._content)

    def _read(self, text: str) -> bool:
        """True when the call is complete. Raises Unreadable."""
        if self._name is None and not self._read_head(text):
            return False
        while not text.startswith(_END, self._position):
            if not self._read_argument(text):
                return False
        self._position += len(_END)
        return True

    def _read_head(self, text: str) -> bool:
        tag = _tag(text, _skip_space(text, self._position), _FUNCTION)
        if tag is None:
            return False
        name, position = tag
        if not name or not (self._opening or name in self._schemas):
            raise Unreadable("it names no tool")
        self._name, self._position = name, _skip_space(text, position)
        return True

    def _read_argument(self, text: str) -> bool:
        self._position = _skip_space(text, self._position)
        if _END.startswith(text[self._position : self._position + len(_END)]):
            return text.startswith(_END, self._position)
        tag = _tag(text, self._position, _PARAMETER)
        end = self._value_end(text, tag[1]) if tag else None
        if not tag or not end:
            return False
        self._arguments[tag[0]] = self._typed(tag[0], text[tag[1] : end.start()])
        self._position = end.end()
        return True

    def _value_end(self, text: str, begin: int) -> re.Match[str] | None:
        """The end of the value at `begin`: the first closing tag that the next tag follows.

        Only the last closing tag of the text can be undecided, so the next search begins there.
        """
        begin = max(begin, self._searched)
        match = _VALUE_END.search(text, begin)
        if not match:
            last = text.rfind(_CLOSE, begin)
            self._searched = max(begin, len(text) - len(_CLOSE)) if last < 0 else last
        return match

    def _typed(self, key: str, text: str) -> Any:
        properties = self._schemas.get(self._name or "", {}).get("properties")
        schema = properties.get(key) if isinstance(properties, dict) else None
        return typed_value(text.removeprefix("\n").removesuffix("\n"), schema)


def _skip_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _tag(text: str, position: int, opening: str) -> tuple[str, int] | None:
    """The name in a tag at `position` and where the tag ends, None while it has not. Raises Unreadable."""
    if opening.startswith(text[position : position + len(opening)]) and not text.startswith(opening, position):
        return None
    match = _NAME.match(text, position + len(opening)) if text.startswith(opening, position) else None
    if match is None or text[match.end() : match.end() + 1] not in ("", ">"):
        raise Unreadable(f"no {opening}…> where one is due")
    return (match[0].strip(), match.end() + 1) if match.end() < len(text) else None


class _Tail:
    """Leaves out the mark that closes a call, if it comes."""

    def __init__(self, closing: str, content: State) -> None:
        self._closing = closing
        self._content = content

    def __call__(self, text: str, is_end: bool) -> Move | None:
        rest = text.lstrip()
        if not is_end and self._closing.startswith(rest) and rest != self._closing:
            return None
        return Move(Found(), rest.removeprefix(self._closing), Gap(self._content))
