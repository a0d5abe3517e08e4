"""The parser for Go templates: names of offered tools and JSON objects after a tag (contract: template.md 8.3).

1. Before the tag, text is content. A tag `{` or `[` counts only when nothing but white space came before it.
2. After it, the first offered tool name and the first complete JSON object with arguments make a call.
3. The search goes on after both.
4. A group that a tag `{` or `[` opens and that closes without a call is content, and so is all that follows.
5. At the end, what is left is content if the tag is `{` or `[` and no call was found. Otherwise it is dropped, with a
   warning if no call was found.
"""

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from ollamapy.modelfile.tools.found import Call, Found
from ollamapy.modelfile.tools.jsontext import Group, Unreadable, decode
from ollamapy.modelfile.tools.machine import Gap, Machine, Move, ToolParser, names_of, overlap, plain
from ollamapy.wire.native import Tool

DEFAULT_TAG = "{"
_BRACKETS = ("{", "[")
_ARGUMENTS = ("arguments", "parameters")
_LITTER = " \t\r\n,;]}"
_MAX_TOLD = 200


def new(tools: Sequence[Tool], tag: str = DEFAULT_TAG) -> ToolParser:
    """The parser for one answer; `tag` is what the template writes before a call."""
    return Machine(_Before(tag, names_of(tools)))


class _Before:
    """Looks for the tag (1)."""

    def __init__(self, tag: str, names: Sequence[str]) -> None:
        self._tag = tag
        self._names = names

    def __call__(self, text: str, is_end: bool) -> Move | None:
        at = text.find(self._tag)
        keep = len(text) - at if at >= 0 else 0 if is_end else overlap(text, self._tag)
        content, rest = text[: len(text) - keep], text[len(text) - keep :]
        if self._tag in _BRACKETS and content.strip():
            return Move(Found(content=text), "", plain)
        if at >= 0:
            return Move(Found(content=content), rest, _Calls(self._tag, self._names))
        return Move(Found(content=content), rest, self) if content else None


class _Calls:
    """Looks for the next call after the tag (2-5). `is_first` until one was found."""

    def __init__(self, tag: str, names: Sequence[str], *, is_first: bool = True, group: Group | None = None) -> None:
        self._tag = tag
        self._names = names
        self._is_first = is_first
        self._group = group or Group(tag)
        self._objects = _Objects()

    def __call__(self, text: str, is_end: bool) -> Move | None:
        closed = self._group.end(text) if self._tag in _BRACKETS else None
        name = None
        if self._objects.read(text[:closed]):
            name = find_name(text[:closed], self._names, is_closed=closed is not None)
        if name and (found := self._objects.arguments(name[0])):
            end = max(name[1], found[1])
            return Move(Found(calls=(Call(name[0], found[0]),)), text[end:], self._next(end))
        if closed is not None:
            return self._close(text, closed)
        return self._finish(text) if is_end else None

    def _next(self, end: int) -> "_Calls":
        """The list of a tag `[` stays open after a call (3)."""
        group = self._group.moved(end) if self._tag == "[" else None
        return _Calls(self._tag, self._names, is_first=False, group=group)

    def _close(self, text: str, end: int) -> Move:
        if self._tag == "[" and not self._is_first:
            return Move(Found(warnings=_dropped(text[:end])), text[end:], Gap(plain, _LITTER))
        return Move(Found(content=text), "", plain)

    def _finish(self, text: str) -> Move:
        if self._tag in _BRACKETS and self._is_first:
            return Move(Found(content=text), "", plain)
        is_worth_telling = self._is_first or self._tag in _BRACKETS
        return Move(Found(warnings=_dropped(text) if is_worth_telling else ()), "", plain)


def _dropped(text: str) -> tuple[str, ...]:
    kept = text.strip(_LITTER)
    return (f"text where a tool call was due was dropped: {kept[:_MAX_TOLD]}",) if kept else ()


def find_name(text: str, names: Sequence[str], *, is_closed: bool) -> tuple[str, int] | None:
    """The first name in `text`, the longest of those that begin there, and where it ends.

    None while the end of the text may become a name that begins no later.
    """
    pattern = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    match = re.search(pattern, text) if pattern else None
    if not match:
        return None
    may_grow = not is_closed and any(0 < len(text) - match.start() <= overlap(text, name) for name in names)
    return None if may_grow else (match[0], match.end())


class _Objects:
    """The complete JSON objects of a text that grows, as far as they have come."""

    def __init__(self) -> None:
        self._group = Group("{")
        self._found: list[tuple[dict[str, Any], int]] = []

    def read(self, text: str) -> bool:
        """True when there is one."""
        while (end := self._group.end(text)) is not None:
            with contextlib.suppress(Unreadable):
                self._found.append((decode(text[self._group.start : end]), end))
            self._group = Group("{", end)
        return bool(self._found)

    def arguments(self, name: str) -> tuple[dict[str, Any], int] | None:
        """The arguments for `name` that the first object with any holds, and where that object ends."""
        candidates = ((_arguments(value, name), end) for value, end in self._found)
        return next(((arguments, end) for arguments, end in candidates if arguments is not None), None)


def _arguments(value: dict[str, Any], name: str) -> dict[str, Any] | None:
    """The arguments for the tool `name` in an object (2). None if it is a call whose arguments cannot be read."""
    for item in _objects_in(value):
        written = [item[key] for key in _ARGUMENTS if key in item] if "name" in item else [item.get(name)]
        found = next((known for known in map(_object, written) if known is not None), None)
        if found is not None or ("name" in item and written):
            return found
        if item.get("name") == name:
            return {}
    return value


def _objects_in(value: Any) -> Iterator[dict[str, Any]]:
    """`value` and the objects in it, in reading order."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield item
            waiting.extend(reversed(item.values()))
        elif isinstance(item, list):
            waiting.extend(reversed(item))


def _object(value: Any) -> dict[str, Any] | None:
    """An object, or the one that a string holds."""
    with contextlib.suppress(Unreadable):
        value = decode(value) if isinstance(value, str) else value
    return value if isinstance(value, dict) else None
