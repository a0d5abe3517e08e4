"""FunctionGemma: `<start_function_call>call:NAME{key:<escape>text<escape>,other:[1,true]}<end_function_call>`.

Values are strings between `<escape>`, numbers, `true`, `false`, `null`, lists and objects; keys are bare. Gemma 4
writes the same between other marks: `<|tool_call>call:NAME{key:<|"|>text<|"|>}<tool_call|>`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ollamapy.modelfile.tools.found import Call, Found
from ollamapy.modelfile.tools.jsontext import Unreadable, decode
from ollamapy.modelfile.tools.machine import Content, Finder, Gap, Machine, Move, State, ToolParser, give_back
from ollamapy.wire.native import Tool


@dataclass(frozen=True, slots=True)
class Marks:
    """What stands around a call, and on both sides of a string."""

    opening: str
    end: str
    quote: str

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.opening, self.end, self.quote)


FUNCTIONGEMMA = Marks("<start_function_call>", "<end_function_call>", "<escape>")
GEMMA4 = Marks("<|tool_call>", "<tool_call|>", '<|"|>')
_MAX_DEPTH = 100
_HEAD = re.compile(r"\s*call:\s*([^\s{}]+)\s*(?=\{)")
_KEY = re.compile(r"\s*([^\s:{}\[\],<>]+)\s*:\s*")
_WORD = re.compile(r"[^,{}\[\]<>]+")
_SPACE = re.compile(r"\s*")


def new(tools: Sequence[Tool], marks: Marks = FUNCTIONGEMMA) -> ToolParser:
    """The parser for one answer."""

    def enter(start: int) -> State:
        return _Call(start, marks, content)

    content = Content({marks.opening: enter})
    return Machine(content)


new_gemma4 = partial(new, marks=GEMMA4)


class _Call:
    """Reads one call from its opening mark at `start` on, up to the closing one or the end of the answer."""

    def __init__(self, start: int, marks: Marks, content: State) -> None:
        self._marks = marks
        self._content = content
        self._begin = start + len(marks.opening)
        self._finder = Finder((marks.end,), self._begin)
        self._counted = self._begin
        self._num_quotes = 0

    def __call__(self, text: str, is_end: bool) -> Move | None:
        end = self._end(text)
        if end < 0 and not is_end:
            return None
        stop = len(text) if end < 0 else end
        after = len(text) if end < 0 else end + len(self._marks.end)
        try:
            call = _read(text[self._begin : stop], self._marks.quote)
            return Move(Found(calls=(call,)), text[after:], Gap(self._content))
        except Unreadable as error:
            return give_back(text, after, str(error), self._content)

    def _end(self, text: str) -> int:
        """Where the closing mark stands, outside of strings; -1 while it has not come."""
        while (match := self._finder.find(text)) and self._is_in_string(text, match.start()):
            self._finder = Finder((self._marks.end,), match.end())
        return match.start() if match else -1

    def _is_in_string(self, text: str, position: int) -> bool:
        self._num_quotes += text.count(self._marks.quote, self._counted, position)
        self._counted = position
        return self._num_quotes % 2 == 1


def _read(text: str, quote: str) -> Call:
    """The call between two marks. Raises Unreadable."""
    head = _HEAD.match(text)
    if not head:
        raise Unreadable("it does not begin with call: and a name")
    reader = _Reader(text, head.end(), quote)
    arguments = reader.object(0)
    reader.finish()
    return Call(head[1], arguments)


class _Reader:
    """Reads the values of a call from `position` on. Every method raises Unreadable."""

    def __init__(self, text: str, position: int, quote: str) -> None:
        self._text = text
        self._position = position
        self._quote = quote

    def object(self, depth: int) -> dict[str, Any]:
        members: dict[str, Any] = {}
        self._expect("{")
        while not self._accept("}"):
            key = self._key()
            members[key] = self._value(depth + 1)
            self._separate("}")
        return members

    def finish(self) -> None:
        """Nothing more may come."""
        if self._text[self._position :].strip():
            raise Unreadable("text follows its arguments")

    def _key(self) -> str:
        """A bare key, or one between quotes."""
        if self._text.startswith(self._quote, self._position):
            key = self._string()
            self._expect(":")
            return key
        match = _KEY.match(self._text, self._position)
        if not match:
            raise Unreadable("a key is missing")
        self._position = match.end()
        return match[1]

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
        return self._string() if self._text.startswith(self._quote, self._position) else self._word()

    def _string(self) -> str:
        begin = self._position + len(self._quote)
        end = self._text.find(self._quote, begin)
        if end < 0:
            raise Unreadable("a string does not end")
        self._position = end + len(self._quote)
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
