"""Llama 3.1 to 3.3: the whole answer is `{"name": …, "parameters": {…}}`, or a call comes after `<|python_tag|>`.

Llama 4 writes `<|python_start|>{…}<|python_end|>`. Several objects are parted by `;`. A built-in tool is called as
`<|python_tag|>name.call(key="value")`. JSON without a tag is a call only when it names an offered tool: otherwise it
may well be the answer itself.
"""

import re
from collections.abc import Sequence

from ollamapy.modelfile.tools.found import Call, Found
from ollamapy.modelfile.tools.jsontext import Group, Unreadable, decode, read_calls
from ollamapy.modelfile.tools.machine import Content, Machine, Move, State, ToolParser, give_back, names_of
from ollamapy.modelfile.tools.tagged import JsonCalls, Syntax, Tail
from ollamapy.wire.native import Tool

PYTHON_TAG = "<|python_tag|>"
_LLAMA4 = Syntax("<|python_start|>", "<|python_end|>")
MARKS = (PYTHON_TAG, _LLAMA4.opening, _LLAMA4.closing)
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
        return Move(Found(), text, _Bare(self._names) if text.lstrip()[0] == "{" else _CONTENT)


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


def _llama4(start: int) -> State:
    return JsonCalls(_LLAMA4, start, _CONTENT)


_CONTENT = Content({PYTHON_TAG: _tagged, _LLAMA4.opening: _llama4})
