"""Calls written as XML with an element for each argument: what the formats of this kind share.

Values are bare text; the schema of the offered tool says which type they have.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ollamapy.modelfile.tools.found import Call, Found
from ollamapy.modelfile.tools.jsontext import Unreadable, decode
from ollamapy.modelfile.tools.machine import Gap, Move, State, give_back
from ollamapy.modelfile.tools.typed import typed_value, types_of
from ollamapy.wire.native import Tool

_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"[^<>\n\"]*")

Schemas = dict[str, dict[str, Any]]


def schemas_of(tools: Sequence[Tool]) -> Schemas:
    """The schemas of the arguments by the name of the tool."""
    return {tool.function.name: tool.function.parameters for tool in tools}


@dataclass(frozen=True, slots=True)
class Tag:
    """`opening`, a name, and what `ending` matches: at most `longest` characters."""

    opening: str
    ending: re.Pattern[str]
    longest: int

    def read(self, text: str, position: int) -> tuple[str, str, int] | None:
        """The name in the tag at `position`, its ending, where that ends; None while it has not. Raises Unreadable."""
        begin = position + len(self.opening)
        if len(text) < begin and self.opening.startswith(text[position:]):
            return None
        if text.startswith(self.opening, position) and (name := _NAME.match(text, begin)):
            if ending := self.ending.match(text, name.end()):
                return name[0].strip(), ending[0], ending.end()
            if len(text) < name.end() + self.longest:
                return None
        raise Unreadable(f"no {self.opening}… where one is due" if self.opening else "no name where one is due")


@dataclass(frozen=True, slots=True)
class Syntax:
    """`opening`, then calls: `function`, then `parameter`, a value, `value_end` for each argument, then `end`.

    `closing` may follow. White space may stand between any two of them, but not around a value.
    """

    opening: str
    closing: str
    function: Tag
    parameter: Tag
    value_end: str
    end: str
    is_repeated: bool = False
    """More than one call may stand in an `opening`."""
    has_lines: bool = False
    """A value has a line break before and after it that is no part of it."""
    _after_value: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        texts = (self.value_end, self.parameter.opening, self.end)
        value_end, parameter, end = map(re.escape, texts)
        object.__setattr__(self, "_after_value", re.compile(rf"{value_end}\s*(?={parameter}|{end})"))

    def find_value_end(self, text: str, begin: int) -> re.Match[str] | None:
        """The first end of a value after `begin` that another argument or the end of the call follows."""
        return self._after_value.search(text, begin)


class Element:
    """Reads one call at `start`, where `mark` stands: the syntax's opening, or nothing.

    What has been read is kept, so that a long value is not read again for each piece of it. `is_sure`: without an
    opening, a function is a call only when it was offered.
    """

    def __init__(
        self, syntax: Syntax, start: int, mark: str, schemas: Schemas, content: State, *, is_sure: bool = True
    ) -> None:
        self._syntax = syntax
        self._position = start + len(mark)
        self._begin = self._position if mark else start + len(syntax.function.opening)
        self._schemas = schemas
        self._content = content
        self._is_sure = is_sure
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
            return Move(Found(calls=(call,)), text[self._position :], _Tail(self._syntax, self._schemas, self._content))
        return self._give_back(text, "it is not complete") if is_end else None

    def _give_back(self, text: str, reason: str) -> Move:
        end = max(self._position, self._begin)
        if self._is_sure or self._name is not None:
            return give_back(text, end, reason, self._content)
        return Move(Found(content=text[:end]), text[end:], self._content)

    def _read(self, text: str) -> bool:
        """True when the call is complete. Raises Unreadable."""
        if self._name is None and not self._read_head(text):
            return False
        while not text.startswith(self._syntax.end, self._position):
            if not self._read_argument(text):
                return False
        self._position += len(self._syntax.end)
        return True

    def _read_head(self, text: str) -> bool:
        tag = self._syntax.function.read(text, _skip_space(text, self._position))
        if tag is None:
            return False
        name, _, position = tag
        if not name or not (self._is_sure or name in self._schemas):
            raise Unreadable("it names no tool")
        self._name, self._position = name, _skip_space(text, position)
        return True

    def _read_argument(self, text: str) -> bool:
        self._position = _skip_space(text, self._position)
        end_mark = self._syntax.end
        if end_mark.startswith(text[self._position : self._position + len(end_mark)]):
            return text.startswith(end_mark, self._position)
        tag = self._syntax.parameter.read(text, self._position)
        end = self._value_end(text, tag[2]) if tag else None
        if not tag or not end:
            return False
        self._arguments[tag[0]] = self._typed(tag[0], tag[1], text[tag[2] : end.start()])
        self._position = end.end()
        return True

    def _value_end(self, text: str, begin: int) -> re.Match[str] | None:
        """The end of the value at `begin`.

        Only the last closing tag of the text can be undecided, so the next search begins there.
        """
        begin = max(begin, self._searched)
        match = self._syntax.find_value_end(text, begin)
        if not match:
            closing = self._syntax.value_end
            last = text.rfind(closing, begin)
            self._searched = max(begin, len(text) - len(closing)) if last < 0 else last
        return match

    def _typed(self, key: str, ending: str, text: str) -> Any:
        """The value of an argument. A tag may say itself whether it is a string."""
        if 'string="true"' in ending:
            return text
        if 'string="false"' in ending:
            return _decoded(text)
        types = types_of(self._schemas.get(self._name or "", {}), key)
        return typed_value(text.removeprefix("\n").removesuffix("\n") if self._syntax.has_lines else text, types)


def _decoded(text: str) -> Any:
    try:
        return decode(text)
    except Unreadable:
        return text


def _skip_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


class _Tail:
    """What follows a call: another one, the mark that closes it, which is left out, or neither."""

    def __init__(self, syntax: Syntax, schemas: Schemas, content: State) -> None:
        self._syntax = syntax
        self._schemas = schemas
        self._content = content

    def __call__(self, text: str, is_end: bool) -> Move | None:
        rest = text.lstrip()
        closing, function = self._syntax.closing, self._syntax.function.opening
        if self._syntax.is_repeated and rest.startswith(function):
            return Move(Found(), rest, Element(self._syntax, 0, "", self._schemas, self._content))
        may_become = (closing, function) if self._syntax.is_repeated else (closing,)
        if not is_end and rest != closing and any(mark.startswith(rest) for mark in may_become):
            return None
        return Move(Found(), rest.removeprefix(closing), Gap(self._content))
