"""JSON inside a model's answer: where a value ends, what it says, which call it is. Pure."""

import copy
import json
import math
import re
from typing import Any

from ollamapy.modelfile.tools.found import Call

_SURROGATE = re.compile("[\ud800-\udfff]")
_IN_STRING = re.compile(r'"|\\(?:.|\Z)', re.DOTALL)
_OUTSIDE = {"{": re.compile(r'["{}]'), "[": re.compile(r'["\[\]]')}
_MAX_DEPTH = 100
_NAMES = ("name", "tool_name")
_ARGUMENTS = ("arguments", "parameters")


class Unreadable(Exception):
    """A text is no call; the message says why. Never leaves this package."""


class Group:
    """The first `{…}` or `[…]` at or after `position` in a text that grows; remembers how far it has looked.

    Brackets of the other kind are not counted; those in strings neither.
    """

    def __init__(self, opening: str, position: int = 0) -> None:
        self._opening = opening
        self._position = position
        self._depth = 0
        self._is_in_string = False
        self._has_begun = False
        self.start = position
        """Where the group begins, once its end is known."""

    def end(self, text: str) -> int | None:
        """Where the group ends, or None while it has not."""
        if not self._has_begun and not self._begin(text):
            return None
        while self._depth:
            match = (_IN_STRING if self._is_in_string else _OUTSIDE[self._opening]).search(text, self._position)
            if match is None or match[0] == "\\":
                self._position = match.start() if match else len(text)
                return None
            self._position = match.end()
            self._step(match[0])
        return self._position

    def moved(self, count: int) -> "Group":
        """The same group for a text that lost its first `count` characters, all of them looked at."""
        group = copy.copy(self)
        group.start -= count
        group._position -= count
        return group

    def _begin(self, text: str) -> bool:
        start = text.find(self._opening, self._position)
        self._has_begun = start >= 0
        self.start = self._position = start if self._has_begun else len(text)
        if self._has_begun:
            self._position, self._depth = start + 1, 1
        return self._has_begun

    def _step(self, token: str) -> None:
        if token == '"':
            self._is_in_string = not self._is_in_string
        elif not self._is_in_string:
            self._depth += 1 if token == self._opening else -1


def decode(text: str) -> Any:
    """The JSON value that `text` is, fit to be written as JSON again. Line breaks in strings are taken.

    Raises Unreadable.
    """
    try:
        return clean(json.loads(text, strict=False, parse_constant=_refuse, parse_float=_finite))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"no valid JSON ({error})") from error


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number")


def _finite(text: str) -> float:
    if math.isinf(number := float(text)):
        raise ValueError(f"{text} is too large")
    return number


def clean(value: Any, depth: int = _MAX_DEPTH) -> Any:
    """`value` without halves of UTF-16 pairs, which cannot be sent on. Raises ValueError below `depth`."""
    if depth < 0:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, list):
        return [clean(item, depth - 1) for item in value]
    if isinstance(value, dict):
        return {clean(key, depth): clean(item, depth - 1) for key, item in value.items()}
    return value


def read_calls(text: str) -> tuple[Call, ...]:
    """The calls that a JSON text holds: one, or a list. Raises Unreadable."""
    value = decode(text)
    return tuple(_call(item) for item in (value if isinstance(value, list) else [value]))


def _call(value: Any) -> Call:
    """The call that `value` describes; one inside `function` is taken from there."""
    if isinstance(value, dict) and isinstance(value.get("function"), dict):
        value = value["function"]
    if not isinstance(value, dict):
        raise Unreadable("not an object")
    name = next((value[key] for key in _NAMES if key in value), None)
    if not isinstance(name, str) or not name:
        raise Unreadable("it names no tool")
    return Call(name, arguments_of(next((value[key] for key in _ARGUMENTS if key in value), None)))


def arguments_of(value: Any) -> dict[str, Any]:
    """The arguments of a call; they may be absent or written as JSON text. Raises Unreadable."""
    if isinstance(value, str) and value.strip():
        value = decode(value)
    if value is None or value == "":
        return {}
    if not isinstance(value, dict):
        raise Unreadable("its arguments are not an object")
    return value
