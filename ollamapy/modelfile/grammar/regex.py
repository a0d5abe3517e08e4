"""Reads the `pattern` of a schema: the part of ECMAScript's syntax that describes a regular language.

Literals, classes, `.`, \\d \\w \\s and their opposites, groups, alternation, quantifiers (lazy ones too, which make no
difference to what matches), `^` and `$`. What looks around, looks back or depends on flags is refused by name.
"""

import re
from dataclasses import dataclass

from ollamapy.errors import InvalidInput
from ollamapy.modelfile.grammar.budget import MAX_NESTING, MAX_PATTERN_CHARS, MAX_REPEAT
from ollamapy.modelfile.grammar.ranges import Ranges, inverse, union

_LINE_ENDS: Ranges = ((0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029))
_DIGITS: Ranges = ((0x30, 0x39),)
_WORD: Ranges = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_SPACE: Ranges = (
    (0x09, 0x0D),
    (0x20, 0x20),
    (0xA0, 0xA0),
    (0x1680, 0x1680),
    (0x2000, 0x200A),
    (0x2028, 0x2029),
    (0x202F, 0x202F),
    (0x205F, 0x205F),
    (0x3000, 0x3000),
    (0xFEFF, 0xFEFF),
)
_CLASSES: dict[str, Ranges] = {
    "d": _DIGITS,
    "D": inverse(_DIGITS),
    "w": _WORD,
    "W": inverse(_WORD),
    "s": _SPACE,
    "S": inverse(_SPACE),
}
_CONTROLS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
_HEX = {"x": 2, "u": 4}
_GROUP_START = re.compile(r"\?:|\?P?<[A-Za-z_]\w*>|(?!\?)")
_COUNT = re.compile(r"\{([0-9]+)(,?)([0-9]*)\}")
_SIMPLE_COUNTS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}


@dataclass(frozen=True, slots=True)
class Set:
    """One character out of `ranges`."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Cat:
    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Or:
    options: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Loop:
    body: "Node"
    low: int
    high: int | None


@dataclass(frozen=True, slots=True)
class Edge:
    """`^` or `$`."""

    symbol: str


Node = Set | Cat | Or | Loop | Edge


def parse(pattern: str) -> Node:
    """The tree of `pattern`. Raises InvalidInput with what is wrong and where."""
    if len(pattern) > MAX_PATTERN_CHARS:
        raise InvalidInput(f"more than {MAX_PATTERN_CHARS} characters are not supported")
    parser = _Parser(pattern)
    tree = parser.choice(0)
    if parser.at < len(pattern):
        raise parser.wrong("there is no group to close")
    return tree


class _Parser:
    """`at` is the next character to read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def wrong(self, what: str) -> InvalidInput:
        return InvalidInput(f"{what}, at character {self.at}")

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _take(self, text: str) -> bool:
        if not self.text.startswith(text, self.at):
            return False
        self.at += len(text)
        return True

    def _match(self, expression: re.Pattern[str]) -> re.Match[str] | None:
        found = expression.match(self.text, self.at)
        if found:
            self.at = found.end()
        return found

    def choice(self, level: int) -> Node:
        if level > MAX_NESTING:
            raise self.wrong("groups are nested too deep")
        options = [self._sequence(level)]
        while self._take("|"):
            options.append(self._sequence(level))
        return options[0] if len(options) == 1 else Or(tuple(options))

    def _sequence(self, level: int) -> Node:
        parts = []
        while self._peek() not in ("", "|", ")"):
            is_anchor = self._peek() in ("^", "$")
            atom = self._atom(level)
            if is_anchor and self._count():
                raise self.wrong("an anchor cannot be repeated")
            parts.append(self._repeated(atom))
        return parts[0] if len(parts) == 1 else Cat(tuple(parts))

    def _repeated(self, body: Node) -> Node:
        count = self._count()
        if count is None:
            return body
        low, high = count
        if max(low, high or 0) > MAX_REPEAT:
            raise self.wrong(f"more than {MAX_REPEAT} repetitions are not supported")
        if high is not None and low > high:
            raise self.wrong("the repetition ends before it begins")
        self._take("?")
        if self._peek() in ("*", "+", "?") or _COUNT.match(self.text, self.at):
            raise self.wrong("there is nothing to repeat")
        return Loop(body, low, high)

    def _count(self) -> tuple[int, int | None] | None:
        simple = _SIMPLE_COUNTS.get(self._peek())
        if simple:
            self.at += 1
            return simple
        found = self._match(_COUNT)
        if not found:
            return None
        low, comma, high = found.groups()
        if max(len(low), len(high)) > 9:
            raise self.wrong(f"more than {MAX_REPEAT} repetitions are not supported")
        return int(low), int(high) if high else None if comma else int(low)

    def _atom(self, level: int) -> Node:
        char = self._peek()
        if _COUNT.match(self.text, self.at) or char in ("*", "+", "?"):
            raise self.wrong("there is nothing to repeat")
        self.at += 1
        match char:
            case "^" | "$":
                return Edge(char)
            case ".":
                return Set(inverse(_LINE_ENDS))
            case "(":
                return self._group(level)
            case "[":
                return Set(self._class())
            case "\\":
                return Set(self._escape(in_class=False))
        return Set(((ord(char), ord(char)),))

    def _group(self, level: int) -> Node:
        if not self._match(_GROUP_START):
            raise self.wrong("looking around and flags are not supported")
        tree = self.choice(level + 1)
        if not self._take(")"):
            raise self.wrong("a group is not closed")
        return tree

    def _class(self) -> Ranges:
        is_inverse = self._take("^")
        found: list[tuple[int, int]] = []
        while not self._take("]"):
            found.extend(self._class_item())
        if not found:
            raise self.wrong("an empty class is not supported")
        ranges = union(found)
        return inverse(ranges) if is_inverse else ranges

    def _class_item(self) -> Ranges:
        first = self._class_char()
        if not (self._peek() == "-" and self.text[self.at + 1 : self.at + 2] not in ("", "]")):
            return first
        self.at += 1
        last = self._class_char()
        if not (_is_one(first) and _is_one(last)) or first > last:
            raise self.wrong("a range in a class is not two characters in order")
        return ((first[0][0], last[0][0]),)

    def _class_char(self) -> Ranges:
        char = self._peek()
        if not char:
            raise self.wrong("a class is not closed")
        self.at += 1
        return self._escape(in_class=True) if char == "\\" else ((ord(char), ord(char)),)

    def _escape(self, *, in_class: bool) -> Ranges:
        char = self._peek()
        self.at += 1
        if char in _CLASSES and char:
            return _CLASSES[char]
        code = self._escaped_code(char, in_class)
        return ((code, code),)

    def _escaped_code(self, char: str, in_class: bool) -> int:
        if char in _CONTROLS:
            return _CONTROLS[char]
        if char in _HEX:
            return self._hex(_HEX[char])
        if char == "b" and in_class:
            return 8
        if char == "0" and not self._peek().isdigit():
            return 0
        if char == "" or char.isalnum():
            raise self.wrong(f"the escape \\{char} is not supported")
        return ord(char)

    def _hex(self, size: int) -> int:
        digits = self.text[self.at : self.at + size]
        if not re.fullmatch(rf"[0-9A-Fa-f]{{{size}}}", digits):
            raise self.wrong(f"an escape wants {size} hexadecimal digits")
        self.at += size
        return int(digits, 16)


def _is_one(ranges: Ranges) -> bool:
    return len(ranges) == 1 and ranges[0][0] == ranges[0][1]
