"""Splits what a model writes into thinking and content, as it streams. Pure: text in, pieces out."""

from dataclasses import dataclass
from enum import Enum

_THINKING_TAGS = (
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|channel>thought", "<channel|>"),
    ("◁think▷", "◁/think▷"),
)
"""Around the reasoning of Qwen, DeepSeek and most others; Mistral; Seed OSS; Command R; Gemma 4; Kimi VL."""


def thinking_tags(template: str) -> tuple[str, str] | None:
    """The tags that the Jinja text `template` knows reasoning by, None if it knows none.

    The closing tag decides: some templates only ever cut reasoning off. Harmony's channels are no tags: a tool parser
    reads those. Tags in brackets, bars or triangles are control tokens, of which a runner gives no text unless told.
    """
    return next((tags for tags in _THINKING_TAGS if tags[1] in template), None)


_FRAME = ("<response>", "</response>")


def reply_frame(template: str) -> tuple[str, str]:
    """The marks that the template asks for around what follows the reasoning (Granite 3); empty without."""
    return _FRAME if all(mark in template for mark in (*_FRAME, "<think>")) else ("", "")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer; either may be empty."""

    content: str = ""
    thinking: str = ""


class _Place(Enum):
    BEFORE = "before"
    AFTER_OPENING = "after opening"
    INSIDE = "inside"
    AFTER_CLOSING = "after closing"
    AFTER_FRAME = "after frame"
    FRAMED = "framed"
    CONTENT = "content"


class ThinkingSplitter:
    """Reasoning between `opening` and `closing` at the start of an answer becomes thinking, the rest content.

    White space right after either tag is dropped; a partial tag at a chunk end is held back; an answer that does not
    begin with the opening tag is content, untouched. With `is_inside` the prompt has opened the tag already. The marks
    of `frame` around the content after reasoning are left out; the second may be missing.
    """

    def __init__(
        self, opening: str, closing: str, *, is_inside: bool = False, frame: tuple[str, str] = ("", "")
    ) -> None:
        self._opening = opening
        self._closing = closing
        self._frame = frame
        self._held = ""
        self._place = _Place.AFTER_OPENING if is_inside else _Place.BEFORE

    def push(self, text: str) -> Piece:
        """What is certain after `text`."""
        self._held += text
        content, thinking = [], []
        while True:
            place = self._place
            piece = self._take()
            content.append(piece.content)
            thinking.append(piece.thinking)
            if place is self._place:
                return Piece("".join(content), "".join(thinking))

    def finish(self) -> Piece:
        """What was held back, once no more text comes."""
        text, self._held = self._held, ""
        if self._place is _Place.INSIDE:
            return Piece(thinking=text)
        return Piece() if self._place is _Place.AFTER_OPENING else Piece(content=text)

    def _take(self) -> Piece:
        """One move: takes what the present place can be sure of, and goes to the next place when it is reached."""
        match self._place:
            case _Place.BEFORE:
                self._look_for_opening()
            case _Place.AFTER_OPENING | _Place.AFTER_CLOSING | _Place.AFTER_FRAME:
                self._skip_space()
            case _Place.INSIDE:
                return Piece(thinking=self._take_thinking())
            case _Place.FRAMED:
                return Piece(content=self._take_framed())
            case _Place.CONTENT:
                text, self._held = self._held, ""
                return Piece(content=text)
        return Piece()

    def _look_for_opening(self) -> None:
        start = self._held.lstrip()
        if start.startswith(self._opening):
            self._held = start.removeprefix(self._opening)
            self._place = _Place.AFTER_OPENING
        elif not self._opening.startswith(start):
            self._place = _Place.CONTENT

    def _skip_space(self) -> None:
        self._held = self._held.lstrip()
        opening = self._frame[0]
        if not self._held:
            return
        if self._place is not _Place.AFTER_CLOSING:
            self._place = _Place.INSIDE if self._place is _Place.AFTER_OPENING else _Place.FRAMED
        elif opening and self._held.startswith(opening):
            self._held, self._place = self._held.removeprefix(opening), _Place.AFTER_FRAME
        elif not opening.startswith(self._held):
            self._place = _Place.CONTENT

    def _take_thinking(self) -> str:
        return self._take_until(self._closing, _Place.AFTER_CLOSING)

    def _take_framed(self) -> str:
        return self._take_until(self._frame[1], _Place.CONTENT)

    def _take_until(self, mark: str, then: _Place) -> str:
        """The text before `mark`, as far as it is sure not to begin there."""
        text, found, rest = self._held.partition(mark)
        if found:
            self._held, self._place = rest, then
            return text
        keep = _overlap(text, mark)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _overlap(text: str, tag: str) -> int:
    """Length of the longest end of `text` that `tag` may begin with."""
    return next((n for n in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:n])), 0)
