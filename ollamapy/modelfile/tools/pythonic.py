"""Calls written as Python: `[f(a=1), g(b="x", c=[True, None])]`. Nothing is ever run.

Words of JSON are taken for those of Python. Some templates put quotes around a string without escaping those in it, so
a quote ends a string only where a separator or a bracket follows.
"""

import re
from collections.abc import Callable
from typing import Any

from ollamapy.modelfile.tools.found import Call
from ollamapy.modelfile.tools.jsontext import Unreadable, clean, decode

_MAX_DEPTH = 100
_SPACE = re.compile(r"\s*")
_CALL = re.compile(r"([^\W\d][\w.-]*)\s*\(")
_KEY = re.compile(r"(\w+)\s*=(?!=)")
_WORD = re.compile(r"[^\s,()\[\]{}=:'\"][^,()\[\]{}=:'\"]*")
_LONG_STRING = re.compile(r"\"{3}(.*?)\"{3}|'{3}(.*?)'{3}", re.DOTALL)
_STRINGS = {
    quote: re.compile(rf"{quote}((?:[^\\{quote}]|\\.|{quote}(?!\s*(?:[,:)\]}}]|\Z)))*){quote}", re.DOTALL)
    for quote in "\"'"
}
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0", "\n": "", "\\": "\\", "'": "'", '"': '"'}
_WORDS = {"True": True, "False": False, "None": None}
_BRACKETS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}
_OUTSIDE = re.compile(r"[\"'()\[\]{}]")
_INSIDE = {quote: re.compile(rf"{quote}|\\(?:.|\Z)", re.DOTALL) for quote in "\"'"}


def read_calls(text: str) -> tuple[Call, ...]:
    """The calls in a list, or one after the other with `,`, `;` or white space between. Raises Unreadable."""
    return _Reader(text).calls()


class Brackets:
    """The end of the first bracketed text at or after `position`, in a text that grows; remembers how far it looked."""

    def __init__(self, position: int = 0) -> None:
        self._position = position
        self._depth = 0
        self._quote = ""

    def end(self, text: str) -> int | None:
        """Where the outermost bracket closes, or None while it has not."""
        while match := (_INSIDE[self._quote] if self._quote else _OUTSIDE).search(text, self._position):
            token = match[0]
            if token == "\\":
                self._position = match.start()
                return None
            if self._quote and token == self._quote:
                after = _SPACE.match(text, match.end())
                if after is None or after.end() == len(text):
                    self._position = match.start()
                    return None
                self._quote = "" if text[after.end()] in ",:)]}" else self._quote
            elif not self._quote:
                self._quote = token if token in _INSIDE else ""
                self._depth += _BRACKETS.get(token, 0)
            self._position = match.end()
            if token in _BRACKETS and not self._quote and self._depth <= 0:
                return self._position
        self._position = len(text)
        return None


class _Reader:
    """Reads calls and values. Every method raises Unreadable."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0

    def calls(self) -> tuple[Call, ...]:
        is_list = self._accept("[")
        found = []
        while not (self._accept("]") if is_list else self._is_at_end()):
            found.append(self._call())
            while self._accept(",") or self._accept(";"):
                pass
        if not self._is_at_end():
            raise Unreadable("text follows its calls")
        return tuple(found)

    def _call(self) -> Call:
        name = self._take(_CALL, "no call where one is due")[1]
        arguments: dict[str, Any] = {}
        while not self._accept(")"):
            key = self._take(_KEY, "its arguments have no names")[1]
            arguments[key] = self._value(0)
            self._separate(")")
        return Call(name, arguments)

    def _value(self, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise Unreadable("its arguments are nested too deeply")
        if self._accept("["):
            return self._items("]", depth)
        if self._accept("("):
            return self._items(")", depth)
        if self._accept("{"):
            return self._members(depth)
        return self._string() if self._text[self._position : self._position + 1] in ("'", '"') else self._word()

    def _items(self, closing: str, depth: int) -> list[Any]:
        items = []
        while not self._accept(closing):
            items.append(self._value(depth + 1))
            self._separate(closing)
        return items

    def _members(self, depth: int) -> dict[str, Any]:
        members: dict[str, Any] = {}
        while not self._accept("}"):
            key = self._value(depth + 1)
            if not isinstance(key, str):
                raise Unreadable("a key is no string")
            self._expect(":")
            members[key] = self._value(depth + 1)
            self._separate("}")
        return members

    def _string(self) -> str:
        if match := _LONG_STRING.match(self._text, self._position):
            self._position = match.end()
            return _unescaped(match[1] or match[2] or "")
        quote = self._text[self._position]
        return _unescaped(self._take(_STRINGS[quote], "a string does not end")[1])

    def _word(self) -> Any:
        """A number or the like; what is none is taken as a string that lost its quotes."""
        word = self._take(_WORD, "a value is missing")[0].strip()
        for read in _WORD_READERS:
            try:
                return read(word)
            except (KeyError, ValueError, Unreadable):
                continue
        return clean(word)

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

    def _take(self, pattern: re.Pattern[str], reason: str) -> re.Match[str]:
        self._skip_space()
        match = pattern.match(self._text, self._position)
        if not match:
            raise Unreadable(reason)
        self._position = match.end()
        return match

    def _is_at_end(self) -> bool:
        self._skip_space()
        return self._position == len(self._text)

    def _skip_space(self) -> None:
        match = _SPACE.match(self._text, self._position)
        self._position = match.end() if match else self._position


def _whole_number(word: str) -> int:
    """A number as Python alone writes it: `0x1F`, `1_000`."""
    return int(word, 0)


_WORD_READERS: tuple[Callable[[str], Any], ...] = (_WORDS.__getitem__, decode, _whole_number)


def _unescaped(text: str) -> str:
    return str(clean(_ESCAPE.sub(_character, text)))


def _character(match: re.Match[str]) -> str:
    code = match[1]
    if len(code) == 1:
        return _ESCAPED.get(code, match[0])
    number = int(code[1:], 16)
    return chr(number) if number < 0x110000 else match[0]
