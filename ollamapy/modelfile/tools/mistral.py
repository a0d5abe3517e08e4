"""Mistral: `[TOOL_CALLS][{"name": …, "arguments": {…}}]`, since 2025 `[TOOL_CALLS]name[ARGS]{…}` for each call.

Between name and arguments Small 3.2 writes `[CALL_ID]…`; some models leave `[ARGS]` out.
"""

import re
from collections.abc import Sequence

from ollamapy.modelfile.tools.found import Call, Found
from ollamapy.modelfile.tools.jsontext import Group, Unreadable, arguments_of
from ollamapy.modelfile.tools.machine import Content, Gap, Machine, Move, State, ToolParser, give_back
from ollamapy.modelfile.tools.tagged import JsonCalls, Syntax
from ollamapy.wire.native import Tool

OPENING = "[TOOL_CALLS]"
MARKS = (OPENING, "[ARGS]", "[CALL_ID]")
_HEAD = re.compile(r"\s*([\w.:/-]+)\s*(?:\[CALL_ID\]\s*[\w-]*\s*)?(?:\[ARGS\]\s*)?(?=\{)")
_PARTIAL = re.compile(r"\s*[\w.:/-]*\s*(?:\[CALL_ID\]\s*[\w-]*\s*)?(\[[A-Z_]*\]?)?\s*")


def new(tools: Sequence[Tool]) -> ToolParser:
    """The parser for one answer."""
    return Machine(_CONTENT)


class _Named:
    """Reads what stands after `[TOOL_CALLS]`: a JSON value, or a name and its arguments."""

    def __init__(self, start: int) -> None:
        self._start = start
        self._begin = start + len(OPENING)
        self._name = ""
        self._group: Group | None = None

    def __call__(self, text: str, is_end: bool) -> Move | None:
        if re.compile(r"\s*[\[{]").match(text, self._begin):
            return Move(Found(), text, JsonCalls(Syntax(OPENING), self._start, _CONTENT))
        try:
            end = self._end(text)
        except Unreadable as error:
            return give_back(text, self._begin, str(error), _CONTENT)
        if end is None:
            return give_back(text, self._begin, "it is not complete", _CONTENT) if is_end else None
        return self._read(text, end)

    def _end(self, text: str) -> int | None:
        if self._group is None:
            self._read_head(text)
        return self._group.end(text) if self._group else None

    def _read_head(self, text: str) -> None:
        head = _HEAD.match(text, self._begin)
        if head:
            self._name, self._group = head[1], Group("{", head.end())
            return
        partial = _PARTIAL.fullmatch(text, self._begin)
        tag = partial[1] if partial else None
        if not partial or (tag and not any(mark.startswith(tag) for mark in MARKS[1:])):
            raise Unreadable("neither a list nor a name with arguments")

    def _read(self, text: str, end: int) -> Move:
        try:
            arguments = arguments_of(text[self._group.start if self._group else 0 : end])
        except Unreadable as error:
            return give_back(text, end, str(error), _CONTENT)
        return Move(Found(calls=(Call(self._name, arguments),)), text[end:], Gap(_CONTENT))


def _named(start: int) -> State:
    return _Named(start)


_CONTENT = Content({OPENING: _named})
