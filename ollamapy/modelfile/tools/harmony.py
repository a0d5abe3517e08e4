"""Harmony, the format of gpt-oss: messages with a channel each, and perhaps a recipient.

    <|channel|>analysis<|message|>…<|end|>                                                   thinking
    <|start|>assistant<|channel|>commentary to=functions.NAME <|constrain|>json<|message|>{…}<|call|>   a call
    <|start|>assistant<|channel|>final<|message|>…<|return|>                                 content

1. The prompt ends with `<|start|>assistant`, so an answer begins inside a header; what begins otherwise is content.
2. A message to anyone but the assistant is a call, in whatever channel; `functions.` is no part of its name.
3. Without a recipient, analysis is thinking and every other channel is content.
"""

import re
from collections.abc import Sequence

from ollamapy.modelfile.tools.found import Call, Found
from ollamapy.modelfile.tools.jsontext import Group, Unreadable, arguments_of
from ollamapy.modelfile.tools.machine import Finder, Machine, Move, State, ToolParser, give_back, overlap, plain
from ollamapy.wire.native import Tool

_MESSAGE = "<|message|>"
_ENDS = ("<|end|>", "<|call|>", "<|return|>")
_BEGINNINGS = ("<|start|>", "<|channel|>")
MARKS = (*_BEGINNINGS, "<|constrain|>", _MESSAGE, *_ENDS)
REASONING = ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant")
HEADER = "<|channel|>final<|message|>"
"""Of the content, after `<|start|>assistant`."""
_HEADERS = (*_BEGINNINGS, " to=", "assistant<|")
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)")
_RECIPIENT = re.compile(r"\bto=([^\s<]+)")
_END = re.compile("|".join(map(re.escape, (*_ENDS, *_BEGINNINGS))))


def new(tools: Sequence[Tool]) -> ToolParser:
    """The parser for one answer."""
    return Machine(_header)


def new_held(tools: Sequence[Tool]) -> ToolParser:
    """The parser for one answer whose content is held to a grammar: no mark ends it."""
    return Machine(_held)


def _held(text: str, is_end: bool) -> Move | None:
    """As `_header`, but for calls, and for content, which is all of the rest."""
    move = _header(text, is_end)
    if not move or not isinstance(move.then, _Text):
        return move
    return Move(move.found, move.rest, _Text(is_thinking=True, then=_held) if move.then.is_thinking else plain)


def _header(text: str, is_end: bool) -> Move | None:
    """Reads up to a message's text and decides what it is (1)."""
    if not text.startswith(_HEADERS):
        may_become = any(header.startswith(text) for header in _HEADERS)
        return None if may_become and not is_end else Move(Found(), text, _Text(is_thinking=False))
    header, message, body = text.partition(_MESSAGE)
    if not message:
        return _unfinished(text) if is_end else None
    channels, recipients = _CHANNEL.findall(header), _recipients(header)
    if recipients:
        return Move(Found(), message + body, _Call(recipients[-1].removeprefix("functions.")))
    return Move(Found(), body, _Text(is_thinking=channels[-1:] == ["analysis"]))


def _recipients(header: str) -> list[str]:
    return [name for name in _RECIPIENT.findall(header) if name != "assistant"]


def _unfinished(header: str) -> Move:
    """A header that the end of the answer cut says nothing, unless it began a call."""
    if _recipients(header):
        return give_back(header, len(header), "it is not complete", _header)
    return Move(Found(), "", _header)


class _Text:
    """The text of a message for the user, or of the model's thinking (3)."""

    def __init__(self, *, is_thinking: bool, then: State | None = None) -> None:
        self.is_thinking = is_thinking
        self._then = then or _header

    def __call__(self, text: str, is_end: bool) -> Move | None:
        if match := _END.search(text):
            return Move(self._found(text[: match.start()]), _after(text, match), self._then)
        keep = 0 if is_end else max(overlap(text, mark) for mark in (*_ENDS, *_BEGINNINGS))
        if keep == len(text):
            return None
        return Move(self._found(text[: len(text) - keep]), text[len(text) - keep :], self)

    def _found(self, text: str) -> Found:
        return Found(thinking=text) if self.is_thinking else Found(content=text)


class _Call:
    """The text of a message to a tool, with the mark before it (2). A mark inside JSON is a part of it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._object = Group("{", len(_MESSAGE))
        self._end: Finder | None = None

    def __call__(self, text: str, is_end: bool) -> Move | None:
        match = self._find_end(text, is_end)
        if not match and not is_end:
            return None
        body = text[len(_MESSAGE) : match.start() if match else len(text)]
        rest = _after(text, match) if match else ""
        try:
            return Move(Found(calls=(Call(self._name, arguments_of(body)),)), rest, _header)
        except Unreadable as error:
            return Move(give_back(body, len(body), str(error), _header).found, rest, _header)

    def _find_end(self, text: str, is_end: bool) -> re.Match[str] | None:
        """The mark that ends the message: the first after its JSON object, the very first if that is not complete."""
        if self._end is None:
            is_object = text[len(_MESSAGE) :].lstrip()[:1] in ("{", "")
            end = self._object.end(text) if is_object else len(_MESSAGE)
            if end is None and not is_end:
                return None
            self._end = Finder((*_ENDS, *_BEGINNINGS), end or len(_MESSAGE))
        return self._end.find(text)


def _after(text: str, match: re.Match[str]) -> str:
    """What follows a message; a mark that begins the next one belongs to that."""
    return text[match.end() if match[0] in _ENDS else match.start() :]
