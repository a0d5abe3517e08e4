"""FunctionGemma: `<start_function_call>call:NAME{key:<escape>text<escape>,other:[1,true]}<end_function_call>`.

Values are strings between `<escape>`, numbers, `true`, `false`, `null`, lists and objects; keys are bare.
"""

import re
from collections.abc import Sequence
from typing import Any

from ollamapy.modelfile.tools.found import Call, Found
from ollamapy.modelfile.tools.jsontext import Unreadable, decode
from ollamapy.modelfile.tools.machine import Content, Finder, Gap, Machine, Move, State, ToolParser, give_back
from ollamapy.wire.native import Tool

OPENING, _END, _ESCAPE = "<start_function_call>", "<end_function_call>", "<escape>"
MARKS = (OPENING, _END, _ESCAPE)
_MAX_DEPTH = 100
_HEAD = re.compile(r"\s*call:\s*([^\s{}]+)\s*(?=\{)")
_KEY = re.compile(r"\s*([^\s:{}\[\],<>]+)\s*:\s*")
_WORD = re.compile(r"[^,{}\[\]<>]+")
_SPACE = re.compile(r"\s*")


def new(tools: Sequence[Tool]) -> ToolParser:
    """The parser for one answer."""
    return Machine(_CONTENT)


class _Call:
    """Reads one call from its opening mark at `start` on, up to the closing one or the end of the answer."""

    def __init__(self, start: int) -> None:
        self._begin = start + len(OPENING)
        self._finder = Finder((_END,), self._begin)

    def __call__(self, text: str, is_end: bool) -> Move | None:
        end = self._end(text)
        if end < 0 and not is_end:
            return None
        stop = len(text) if end < 0 else end
        after = len(text) if end < 0 else end + len(_END)
        try:
            return Move(Found(calls=(_read(text[self._begin : stop]),)), text[after:], Gap(_CONTENT))
        except Unreadable as error:
            return give_back(text, after, str(error), _CONTENT)

    def _end(self, text: str) -> int:
        """Where the closing mark stands, outside of strings; -1 while it has not come."""
        while (match := self._finder.find(text)) and text.count(_ESCAPE, self._begin, match.start()) % 2:
            self._finder = Finder((_END,), match.end())
        return match.start() if match else -1


def _read(text: str) -> Call:
    """The call between two marks. Raises Unreadable."""
    head = _HEAD.match(text)
    if not head:
        raise Unreadable("it does not begin with call: and a name")
    reader = _Reader(text, head.end())
    arguments = reader.object(0)
    reader.finish()
    return Call(head[1], arguments)


class _Reader:
    """Reads the values of a call from `position` on. Every method raises Unreadable."""

    def __init__(self, text: str, position: int) -> None:
        self._text = text
        self._position = position

    def object(self, depth: int) -> dict[str, Any]:
        members: dict[str, Any] = {}
        self._expect("{")
        while not self._accept("}"):
            key = _KEY.match(self._text, self._position)
            if not key:
                raise Unreadable("a key is missing")
            self._position = key.end()
            members[key[1].removeprefix(_ESCAPE).removesuffix(_ESCAPE)] = self._value(depth + 1)
            self._separate("}")
        return members

    def finish(self) -> None:
        """Nothing more may come."""
        if self._text[self._position :].strip():
            raise Unreadable("text follows its arguments")

    def _list(self, depth: int) -> list[Any]:
        items = []
        self._expect("[")
        while not self._accept("]"):
            items.append(self._value(depth + 1))
            self._separate("]")
        return items

    def _value(self, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise Unreadable("its arguments are nested too deeply")
        self._skip_space()
        if self._text.startswith("{", self._position):
            return self.object(depth)
        if self._text.startswith("[", self._position):
            return self._list(depth)
        return self._string() if self._text.startswith(_ESCAPE, self._position) else self._word()

    def _string(self) -> str:
        begin = self._position + len(_ESCAPE)
        end = self._text.find(_ESCAPE, begin)
        if end < 0:
            raise Unreadable("a string does not end")
        self._position = end + len(_ESCAPE)
        return self._text[begin:end]

    def _word(self) -> Any:
        """A number or the like; what is none is taken as a string that lost its marks."""
        word = _WORD.match(self._text, self._position)
        if not word:
            raise Unreadable("a value is missing")
        self._position = word.end()
        try:
            return decode(word[0])
        except Unreadable:
            return word[0].strip()

    def _separate(self, closing: str) -> None:
        self._skip_space()
        if not self._text.startswith(closing, self._position):
            self._expect(",")

    def _expect(self, mark: str) -> None:
        if not self._accept(mark):
            raise Unreadable(f"{mark} is missing")

    def _accept(self, mark: str) -> bool:
        self._skip_space()
        if not self._text.startswith(mark, self._position):
            return False
        self._position += len(mark)
        return True

    def _skip_space(self) -> None:
        match = _SPACE.match(self._text, self._position)
        self._position = match.end() if match else self._position


def _call(start: int) -> State:
    return _Call(start)


_CONTENT = Content({OPENING: _call})
