"""Llama 3.1 to 3.3: the whole answer is `{"name": …, "parameters": {…}}`, or a call comes after `<|python_tag|>`.

Several objects are parted by `;`. A built-in tool is called as `<|python_tag|>name.call(key="value")`. Llama 3.2 and 4
write Python too, `[f(a=1), g(b="x")]`, as the whole answer or between `<|python_start|>` and `<|python_end|>`, where
JSON may stand as well. Without a tag, it is a call only when it names an offered tool: otherwise it may well be the
answer itself.
"""

import re
from collections.abc import Sequence

from ollamapy.modelfile.tools import pythonic
from ollamapy.modelfile.tools.between import Between
from ollamapy.modelfile.tools.found import Call, Found
from ollamapy.modelfile.tools.jsontext import Group, Unreadable, decode, read_calls
from ollamapy.modelfile.tools.machine import Content, Gap, Machine, Move, State, ToolParser, give_back, names_of
from ollamapy.modelfile.tools.tagged import JsonCalls, Syntax, Tail
from ollamapy.wire.native import Tool

PYTHON_TAG = "<|python_tag|>"
_LLAMA4 = Syntax("<|python_start|>", "<|python_end|>")
MARKS = (PYTHON_TAG, _LLAMA4.opening, _LLAMA4.closing)
_LIST = re.compile(r"\s*\[\s*([\w.-]+)\s*\(")
_LIST_PART = re.compile(r"\s*\[\s*([\w.-]*)\s*")
_CALL = re.compile(r"\s*([\w.-]+)\.call\((.*)\)\s*", re.DOTALL)
_ARGUMENT = re.compile(r'\s*(\w+)\s*=\s*("(?:[^"\\]|\\.)*")\s*(?:,|\Z)', re.DOTALL)


def new(tools: Sequence[Tool]) -> ToolParser:
    """The parser for one answer."""
    return Machine(_Start(names_of(tools)))


class _Start:
    """Decides by the first character that is not white space whether the answer may be a bare call."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def __call__(self, text: str, is_end: bool) -> Move | None:
        if not text.strip():
            return Move(Found(content=text), "", _CONTENT) if is_end else None
        first = text.lstrip()[0]
        state = _Bare(self._names) if first == "{" else _BarePython(self._names) if first == "[" else _CONTENT
        return Move(Found(), text, state)


class _Bare:
    """Reads the object that an answer begins with."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._group = Group("{")

    def __call__(self, text: str, is_end: bool) -> Move | None:
        end = self._group.end(text)
        if end is None:
            return self._give_back(text, len(text), "it is not complete") if is_end else None
        try:
            calls = read_calls(text[:end])
        except Unreadable as error:
            return self._give_back(text, end, str(error))
        if any(call.name not in self._names for call in calls):
            return Move(Found(content=text[:end]), text[end:], _CONTENT)
        return Move(Found(calls=calls), text[end:], Tail(Syntax(""), _CONTENT))

    def _give_back(self, text: str, end: int, reason: str) -> Move:
        """Warns only when the text looks like a call of an offered tool."""
        if any(f'"{name}"' in text[:end] for name in self._names):
            return give_back(text, end, reason, _CONTENT)
        return Move(Found(content=text[:end]), text[end:], _CONTENT)


class _BarePython:
    """Reads the list of calls that an answer begins with."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._end: pythonic.Brackets | None = None

    def __call__(self, text: str, is_end: bool) -> Move | None:
        if self._end is None:
            head, part = _LIST.match(text), _LIST_PART.fullmatch(text)
            if not head and part and not is_end:
                return None
            if not head or head[1] not in self._names:
                return Move(Found(), text, _CONTENT)
            self._end = pythonic.Brackets()
        end = self._end.end(text)
        if end is None and not is_end:
            return None
        try:
            return self._read(text, len(text) if end is None else end)
        except Unreadable as error:
            return give_back(text, end or len(text), str(error), _CONTENT)

    def _read(self, text: str, end: int) -> Move:
        calls = pythonic.read_calls(text[:end])
        if any(call.name not in self._names for call in calls):
            return Move(Found(content=text[:end]), text[end:], _CONTENT)
        return Move(Found(calls=calls), text[end:], Gap(_CONTENT))


class _Tagged:
    """Reads what stands after `<|python_tag|>`: JSON, or else a call in code, which only the end of the answer ends."""

    def __init__(self, start: int) -> None:
        self._start = start

    def __call__(self, text: str, is_end: bool) -> Move | None:
        code = text[self._start + len(PYTHON_TAG) :]
        if code.lstrip()[:1] in ("{", "["):
            return Move(Found(), text, JsonCalls(Syntax(PYTHON_TAG), self._start, _CONTENT))
        if not is_end:
            return None
        try:
            return Move(Found(calls=(_code_call(code),)), "", _CONTENT)
        except Unreadable as error:
            return give_back(text, len(text), str(error), _CONTENT)


def _code_call(code: str) -> Call:
    """The call that `name.call(key="value", …)` makes. Raises Unreadable."""
    match = _CALL.fullmatch(code)
    if not match:
        raise Unreadable("neither JSON nor a call in code")
    arguments, position = {}, 0
    while position < len(match[2]):
        argument = _ARGUMENT.match(match[2], position)
        if not argument:
            raise Unreadable('its arguments are not of the form key="value"')
        arguments[argument[1]] = decode(argument[2])
        position = argument.end()
    return Call(match[1], arguments)


def _tagged(start: int) -> State:
    return _Tagged(start)


class _Llama4:
    """Reads what stands between Llama 4's marks: JSON, or a list of calls in Python."""

    def __init__(self, start: int) -> None:
        self._start = start

    def __call__(self, text: str, is_end: bool) -> Move | None:
        begin = self._start + len(_LLAMA4.opening)
        head = "".join(text[begin:].split())[:2]
        if head in ("", "[") and not is_end:
            return None
        if not head:
            return give_back(text, begin, "it is not complete", _CONTENT)
        if head[:1] == "{" or head == "[{":
            return Move(Found(), text, JsonCalls(_LLAMA4, self._start, _CONTENT))
        return Move(Found(), text, Between(begin, _LLAMA4.closing, pythonic.read_calls, _CONTENT))


def _llama4(start: int) -> State:
    return _Llama4(start)


_CONTENT = Content({PYTHON_TAG: _tagged, _LLAMA4.opening: _llama4})
