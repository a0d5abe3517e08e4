"""Calls written as JSON after a mark: what the formats of this kind share."""

from dataclasses import dataclass

from ollamapy.modelfile.tools.found import Found
from ollamapy.modelfile.tools.jsontext import Group, Unreadable, read_calls
from ollamapy.modelfile.tools.machine import Gap, Move, State, give_back, overlap


@dataclass(frozen=True, slots=True)
class Syntax:
    """`opening`, perhaps `fence`, a JSON object or list, perhaps more objects, perhaps `closing`.

    White space may stand between any two of them, `,` and `;` between objects.
    """

    opening: str
    closing: str = ""
    fence: str = ""
    is_word: bool = False
    """The opening is an ordinary word: without JSON after it, it is content like any other, and no warning is due."""


class JsonCalls:
    """Reads from an opening mark at `start` on. The calls of one JSON value are found when it is complete."""

    def __init__(self, syntax: Syntax, start: int, content: State) -> None:
        self._syntax = syntax
        self._begin = start + len(syntax.opening)
        self._content = content
        self._group: Group | None = None

    def __call__(self, text: str, is_end: bool) -> Move | None:
        try:
            end = self._end(text)
        except Unreadable as error:
            return self._give_back(text, str(error))
        if end is not None:
            return self._read(text, end)
        return self._give_back(text, "it is not complete") if is_end else None

    def _give_back(self, text: str, reason: str) -> Move:
        if self._syntax.is_word and not self._group:
            return Move(Found(content=text[: self._begin]), text[self._begin :], self._content)
        return give_back(text, self._begin, reason, self._content)

    def _read(self, text: str, end: int) -> Move:
        try:
            calls = read_calls(text[self._begin : end].lstrip().removeprefix(self._syntax.fence))
        except Unreadable as error:
            return give_back(text, end, str(error), self._content)
        return Move(Found(calls=calls), text[end:], Tail(self._syntax, self._content))

    def _end(self, text: str) -> int | None:
        """Where the JSON value ends, None while it has not. Raises Unreadable if none stands here."""
        if self._group is None:
            self._group = self._value(text)
        return self._group.end(text) if self._group else None

    def _value(self, text: str) -> Group | None:
        """The JSON value, as soon as it has begun. Raises Unreadable."""
        rest = text[self._begin :].lstrip()
        fence = self._syntax.fence
        if fence and rest.startswith(fence):
            rest = rest.removeprefix(fence).lstrip()
        elif fence.startswith(rest):
            return None
        if rest and rest[0] not in "{[":
            raise Unreadable(f"no JSON after {self._syntax.opening}")
        return Group(rest[0], len(text) - len(rest)) if rest else None


class Tail:
    """What follows a JSON value: another object, the closing mark or nothing of the call any more.

    A bracket too many, a usual slip, is passed over when the closing mark comes after it.
    """

    def __init__(self, syntax: Syntax, content: State) -> None:
        self._syntax = syntax
        self._content = content

    def __call__(self, text: str, is_end: bool) -> Move | None:
        rest = text.lstrip().lstrip(",;").lstrip()
        closing = self._syntax.closing
        bare = rest.lstrip("}]").lstrip()
        if rest.startswith("{"):
            return Move(Found(), rest, JsonCalls(Syntax("", closing), 0, self._content))
        if closing and bare.startswith(closing):
            return Move(Found(), bare.removeprefix(closing), Gap(self._content))
        if not is_end and (not rest or (closing and overlap(bare, closing) == len(bare))):
            return None
        return Move(Found(), text.lstrip() if rest else "", self._content)
