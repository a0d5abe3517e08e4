r"""Calls written as the name of a tool on a line and a JSON object below: GLM 4 and Functionary 3.

1. GLM 4 answers with `\nTEXT` or with `NAME\n{…}`; the next call comes after `<|assistant|>`.
2. Functionary 3.2's prompt ends with `>>>`, and the answer goes on with `all\nTEXT` or with `NAME\n{…}`; what comes
   next begins with `>>>` too.

A line is a name only when the tool was offered: otherwise it may well be text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ollamapy.modelfile.tools.found import Call, Found
from ollamapy.modelfile.tools.jsontext import Group, Unreadable, arguments_of
from ollamapy.modelfile.tools.machine import Content, Gap, Machine, Move, State, ToolParser, give_back, names_of
from ollamapy.wire.native import Tool

_LINE = re.compile(r"\s*([^\s{]*)[^\S\n]*(\n\s*)?")


@dataclass(frozen=True, slots=True)
class Syntax:
    """`mark` stands before every call but perhaps the first; a line `speaks` opens text for the user."""

    mark: str
    speaks: str = ""


GLM4 = Syntax("<|assistant|>")
FUNCTIONARY = Syntax(">>>", "all")


def new(tools: Sequence[Tool], syntax: Syntax) -> ToolParser:
    """The parser for one answer."""
    names = names_of(tools)

    def enter(start: int) -> State:
        return _Line(syntax, names, start, content)

    content = Content({syntax.mark: enter})
    return Machine(_Line(syntax, names, None, content))


new_glm4 = partial(new, syntax=GLM4)
new_functionary = partial(new, syntax=FUNCTIONARY)


class _Line:
    """Reads a line that may be a name: after the mark at `start`, or where the answer begins if that is None."""

    def __init__(self, syntax: Syntax, names: Sequence[str], start: int | None, content: State) -> None:
        self._syntax = syntax
        self._names = names
        self._is_first = start is None
        self._begin = 0 if start is None else start + len(syntax.mark)
        self._content = content

    def __call__(self, text: str, is_end: bool) -> Move | None:
        if self._is_first and text.startswith(self._syntax.mark):
            return Move(Found(), text[len(self._syntax.mark) :], self)
        line = _LINE.match(text, self._begin)
        assert line, "white space, a word and an end of line may all be missing"
        name, is_whole = line[1], line[2] is not None
        if is_whole and name == self._syntax.speaks and name:
            return Move(Found(), text[text.index("\n", line.end(1)) + 1 :], self._content)
        if is_whole and name in self._names and text.startswith("{", line.end()):
            return Move(Found(), text, _Object(name, Group("{", line.end()), self._begin, self._after()))
        may_become = any(known.startswith(name) for known in (*self._names, self._syntax.speaks, *self._marks()))
        if line.end() == len(text) and may_become and not is_end:
            return None
        return self._content_from(text)

    def _marks(self) -> tuple[str, ...]:
        return (self._syntax.mark,) if self._is_first else ()

    def _after(self) -> State:
        return _Line(self._syntax, self._names, None, self._content)

    def _content_from(self, text: str) -> Move:
        """No name stands here: the mark is content like any other."""
        return Move(Found(content=text[: self._begin]), text[self._begin :], self._content)


class _Object:
    """Reads the arguments of a call to `name`, whose line begins at `begin`."""

    def __init__(self, name: str, group: Group, begin: int, after: State) -> None:
        self._name = name
        self._group = group
        self._begin = begin
        self._after = after

    def __call__(self, text: str, is_end: bool) -> Move | None:
        end = self._group.end(text)
        if end is None:
            return give_back(text, len(text), "it is not complete", self._after) if is_end else None
        try:
            call = Call(self._name, arguments_of(text[self._group.start : end]))
        except Unreadable as error:
            return give_back(text, end, str(error), self._after)
        return Move(Found(calls=(call,)), text[end:], Gap(self._after))
