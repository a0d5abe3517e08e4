"""Runs a parser over text that comes in pieces. Pure; knows no format.

A parser is a set of states. A state looks at all the text that is held and either makes a move (takes a part of the
text, says what was found in it and which state goes on) or answers None: more text is needed to be sure. It never
decides by where a piece ended, so every way of cutting an answer gives the same.

A state that meets the end must move as long as text is held. One that remembers how far it has looked is made anew for
each part of the text that it reads.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ollamapy.modelfile.tools.found import Found, join
from ollamapy.wire.native import Tool


class ToolParser(Protocol):
    """Reads one answer as it streams."""

    def push(self, text: str) -> Found:
        """What is certain after `text`. Never raises: a call that cannot be read is content and a warning."""

    def finish(self) -> Found:
        """What was held back, once no more text comes."""


NewParser = Callable[[Sequence[Tool]], ToolParser]
"""Makes the parser for one answer to a request that offers these tools."""


class State(Protocol):
    def __call__(self, text: str, is_end: bool) -> "Move | None": ...


@dataclass(frozen=True, slots=True)
class Move:
    """What was found, the text that is still to be read, and who reads it."""

    found: Found
    rest: str
    then: State


MAX_HELD = 1 << 20
"""Characters that a state may wait with; a call that is longer is none."""


class Machine:
    """A ToolParser that begins in state `start`.

    A state never sees more than `MAX_HELD` characters: when it cannot move with that many, they are content after all,
    and so is the rest of the answer.
    """

    def __init__(self, start: State) -> None:
        self._state = start
        self._held = ""

    def push(self, text: str) -> Found:
        return self._run(text, is_end=False)

    def finish(self) -> Found:
        return self._run("", is_end=True)

    def _run(self, text: str, *, is_end: bool) -> Found:
        self._held += text
        parts = []
        while self._held and (move := self._move(is_end=is_end)):
            parts.append(move.found)
            self._held, self._state = move.rest, move.then
        return join(parts)

    def _move(self, *, is_end: bool) -> Move | None:
        seen, unseen = self._held[:MAX_HELD], self._held[MAX_HELD:]
        move = self._state(seen, is_end and not unseen)
        if not unseen:
            return move
        move = move or give_back(seen, len(seen), f"it is longer than {MAX_HELD} characters", plain)
        return Move(move.found, move.rest + unseen, move.then)


class Chain:
    """A ToolParser that reads the content which one parser leaves by the next."""

    def __init__(self, parsers: Sequence[ToolParser]) -> None:
        self._parsers = parsers

    def push(self, text: str) -> Found:
        return self._run(text, is_end=False)

    def finish(self) -> Found:
        return self._run("", is_end=True)

    def _run(self, text: str, *, is_end: bool) -> Found:
        parts = []
        for parser in self._parsers:
            found = join((parser.push(text), parser.finish() if is_end else Found()))
            parts.append(replace(found, content=""))
            text = found.content
        return join((*parts, Found(content=text)))


Enter = Callable[[int], State]
"""Makes the state that reads from a mark on; the mark stands at this place of the held text, after white space."""


class Content:
    """Text for the user up to a mark; `drops` are marks without meaning, left out.

    White space before a mark is held with it, so that it can be given back when no call comes of it.
    """

    def __init__(self, marks: Mapping[str, Enter], drops: Sequence[str] = ()) -> None:
        self._marks = dict(marks)
        self._texts = (*marks, *drops)
        self._pattern = re.compile("|".join(map(re.escape, self._texts)))

    def __call__(self, text: str, is_end: bool) -> Move | None:
        if match := self._pattern.search(text):
            return self._at_mark(text, match)
        keep = 0 if is_end else len(text) - len(text[: len(text) - self._overlap(text)].rstrip())
        if keep == len(text):
            return None
        return Move(Found(content=text[: len(text) - keep]), text[len(text) - keep :], self)

    def _at_mark(self, text: str, match: re.Match[str]) -> Move:
        before = text[: match.start()].rstrip()
        if match[0] not in self._marks:
            return Move(Found(content=before), text[match.end() :], Gap(self))
        return Move(Found(content=before), text[len(before) :], self._marks[match[0]](match.start() - len(before)))

    def _overlap(self, text: str) -> int:
        return max(overlap(text, mark) for mark in self._texts)


class Gap:
    """Leaves out the characters of `litter`, white space if none are given, that stand before what `then` reads."""

    def __init__(self, then: State, litter: str | None = None) -> None:
        self._then = then
        self._litter = litter

    def __call__(self, text: str, is_end: bool) -> Move | None:
        rest = text.lstrip(self._litter)
        return Move(Found(), rest, self._then) if rest or is_end else None


class Finder:
    """The first of some marks at or after `position` in a text that grows; remembers how far it has looked."""

    def __init__(self, marks: Sequence[str], position: int = 0) -> None:
        self._pattern = re.compile("|".join(map(re.escape, marks)))
        self._width = max(map(len, marks))
        self._position = position

    def find(self, text: str) -> re.Match[str] | None:
        """The mark, or None while none has come."""
        match = self._pattern.search(text, self._position)
        if not match:
            self._position = max(self._position, len(text) - self._width + 1)
        return match


def plain(text: str, is_end: bool) -> Move:
    """The state in which everything is content."""
    return Move(Found(content=text), "", plain)


def overlap(text: str, mark: str) -> int:
    """Length of the longest end of `text` that `mark` may begin with."""
    return next((n for n in range(min(len(mark) - 1, len(text)), 0, -1) if text.endswith(mark[:n])), 0)


def give_back(text: str, end: int, reason: str, then: State) -> Move:
    """`text` up to `end` was no call after all: it is content, with a warning."""
    return Move(Found(content=text[:end], warnings=(f"a tool call could not be read: {reason}",)), text[end:], then)


def names_of(tools: Sequence[Tool]) -> tuple[str, ...]:
    """The names of the offered tools."""
    return tuple(tool.function.name for tool in tools if tool.function.name)
