"""Reads a stranger's GBNF text, so that only what is safe reaches an engine. Makes no grammar of its own.

An engine may crash or hang on: rules that begin with themselves, also behind something empty; endless repetition of
what may be empty; deep nesting; huge repetitions; a NUL; and rules that branch again and again before any character.
"""

import re
from collections.abc import Mapping

from ollamapy.errors import InvalidInput
from ollamapy.modelfile.grammar.budget import MAX_GRAMMAR_CHARS, MAX_NESTING, MAX_REPEAT, Budget
from ollamapy.modelfile.grammar.gbnf import Alt, Chars, Expr, Ref, Repeat, Seq, Text, references
from ollamapy.modelfile.grammar.probe import probe
from ollamapy.modelfile.grammar.ranges import inverse, union

_MAX_OPENINGS = 5_000
"""Ways from the start of a rule to its first characters."""
_MAX_CHAIN = 500
"""Rules that begin with each other."""
_SPACE = re.compile(r"(?:[ \t]|#[^\r\n]*)*")
_LINES = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
_NAME = re.compile(r"[A-Za-z0-9-]+")
_COUNT = re.compile(r"\{[ \t]*([0-9]{1,9})[ \t]*(?:(,)[ \t]*([0-9]{1,9})?[ \t]*)?\}")
_SIMPLE_COUNTS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_DASH = -45
"""A `-` that is not escaped, which makes a range of its neighbours in a class."""
_SIZES = {"x": 2, "u": 4, "U": 8}
_CONTROLS = {"t": "\t", "r": "\r", "n": "\n"}


def check_grammar(text: str) -> None:
    """Raises InvalidInput when `text` is no GBNF with a rule "root", or not safe to run."""
    try:
        rules = parse(text)
        _check_references(rules)
        _check_openings(rules)
        probe(rules)
    except InvalidInput as error:
        raise InvalidInput(f"grammar: {error.message}") from error


def parse(text: str) -> dict[str, Expr]:
    """The rules of a GBNF text."""
    if len(text) > MAX_GRAMMAR_CHARS:
        raise InvalidInput(f"more than {MAX_GRAMMAR_CHARS} characters are not supported")
    if re.search("[\0\ud800-\udfff]", text):
        raise InvalidInput("a NUL or half a character is not supported")
    return _Parser(text).rules()


class _Parser:
    """`at` is the next character to read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._budget = Budget()

    def _wrong(self, what: str) -> InvalidInput:
        line = self._text.count("\n", 0, self._at) + 1
        return InvalidInput(f"line {line}: {what}")

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _name(self) -> str:
        found = _NAME.match(self._text, self._at)
        if not found:
            raise self._wrong("expected the name of a rule")
        self._at = found.end()
        return found.group()

    def rules(self) -> dict[str, Expr]:
        found: dict[str, Expr] = {}
        self._skip(_LINES)
        while self._peek():
            name = self._name()
            self._budget.spend("rules")
            if name in found:
                raise self._wrong(f"the rule {name} is there twice")
            self._skip(_SPACE)
            if not self._text.startswith("::=", self._at):
                raise self._wrong("expected ::=")
            self._at += 3
            self._skip(_LINES)
            found[name] = self._choice(0)
            if self._peek() not in ("", "\r", "\n"):
                raise self._wrong(f"unexpected {self._peek()!r}")
            self._skip(_LINES)
        return found

    def _choice(self, level: int) -> Expr:
        if level > MAX_NESTING:
            raise self._wrong("groups are nested too deep")
        options = [self._sequence(level)]
        while self._peek() == "|":
            self._at += 1
            self._skip(_LINES)
            options.append(self._sequence(level))
        return options[0] if len(options) == 1 else Alt(tuple(options))

    def _sequence(self, level: int) -> Expr:
        space = _LINES if level else _SPACE
        parts: list[Expr] = []
        while (char := self._peek()) and (char in '"[(.' or _NAME.match(char)):
            part = self._symbol(char, level)
            self._skip(space)
            parts.append(self._repeated(part))
            self._skip(space)
        if char and char in "*+?{":
            raise self._wrong("there is nothing to repeat, or it is repeated twice")
        return Seq(tuple(parts))

    def _symbol(self, char: str, level: int) -> Expr:
        if char == "(":
            self._at += 1
            self._skip(_LINES)
            group = self._choice(level + 1)
            if self._peek() != ")":
                raise self._wrong("a group is not closed")
            self._at += 1
            return group
        if char == "[":
            return self._class()
        if char == '"':
            return Text("".join(chr(abs(code)) for code in self._codes('"')))
        if char == ".":
            self._at += 1
            return Chars(((1, 0x10FFFF),))
        return Ref(self._name())

    def _class(self) -> Expr:
        self._at += 1
        is_inverse = self._peek() == "^"
        self._at -= not is_inverse
        codes = self._codes("]")
        if not codes:
            raise self._wrong("an empty class is not supported")
        found: list[tuple[int, int]] = []
        index = 0
        while index < len(codes):
            is_range = codes[index + 1 : index + 2] == [_DASH] and index + 2 < len(codes)
            first, last = abs(codes[index]), abs(codes[index + 2 * is_range])
            found.append((min(first, last), max(first, last)))
            index += 3 if is_range else 1
        ranges = union(found)
        return Chars(inverse(ranges) if is_inverse else ranges)

    def _codes(self, end: str) -> list[int]:
        """The characters from after the next one to `end`."""
        self._at += 1
        codes = []
        while (char := self._peek()) != end:
            if not char:
                raise self._wrong(f"expected {end}")
            self._at += 1
            codes.append(self._escape() if char == "\\" else _DASH if char == "-" else ord(char))
        self._at += 1
        return codes

    def _escape(self) -> int:
        char = self._peek()
        self._at += 1
        if char in _SIZES:
            return self._hex(_SIZES[char])
        if char and char in '\\"[]-':
            return ord(char)
        if char not in _CONTROLS:
            raise self._wrong(f"unknown escape \\{char}")
        return ord(_CONTROLS[char])

    def _hex(self, size: int) -> int:
        digits = self._text[self._at : self._at + size]
        if not re.fullmatch(rf"[0-9A-Fa-f]{{{size}}}", digits) or not 0 < int(digits, 16) <= 0x10FFFF:
            raise self._wrong(f"an escape wants {size} hexadecimal digits of a character")
        self._at += size
        return int(digits, 16)

    def _repeated(self, body: Expr) -> Expr:
        simple = _SIMPLE_COUNTS.get(self._peek())
        if simple:
            self._at += 1
            return Repeat(body, *simple)
        found = _COUNT.match(self._text, self._at)
        if not found:
            return body
        self._at = found.end()
        low, high = int(found[1]), int(found[3]) if found[3] else None if found[2] else int(found[1])
        if max(low, high or 0) > MAX_REPEAT:
            raise self._wrong(f"more than {MAX_REPEAT} repetitions are not supported")
        if high is not None and high < low:
            raise self._wrong("the repetition ends before it begins")
        self._budget.spend("repetitions", max(low, high or 0) * _size(body))
        return Repeat(body, low, high)


def _size(expr: Expr) -> int:
    """How much an engine copies to repeat `expr` once: a group is a rule of its own."""
    return max(len(expr.value), 1) if isinstance(expr, Text) else 1


def _check_references(rules: Mapping[str, Expr]) -> None:
    if "root" not in rules:
        raise InvalidInput('there is no rule "root"')
    for name, body in rules.items():
        for used in references(body):
            if used not in rules:
                raise InvalidInput(f"the rule {name} uses {used}, which is not there")


def _check_openings(rules: Mapping[str, Expr]) -> None:
    """How rules begin: not with themselves, not in a long chain, and not in too many ways."""
    empty = _nullable(rules)
    openings = {name: _openings(body, empty) for name, body in rules.items()}
    ways: dict[str, int] = {}
    for start in rules:
        trail: dict[str, None] = {}
        todo = [(start, False)]
        while todo:
            name, is_done = todo.pop()
            if is_done:
                del trail[name]
                ways[name] = 1 + sum(ways[used] for used in openings[name])
            elif name in trail:
                raise InvalidInput(f"the rule {name} begins with itself")
            elif name not in ways:
                trail[name] = None
                todo.append((name, True))
                todo.extend((used, False) for used in openings[name])
            if len(trail) > _MAX_CHAIN or ways.get(name, 0) > _MAX_OPENINGS:
                raise InvalidInput(f"the rule {name} begins in too many ways")


def _nullable(rules: Mapping[str, Expr]) -> set[str]:
    """The rules that accept the empty text."""
    users: dict[str, list[str]] = {name: [] for name in rules}
    for name, body in rules.items():
        for used in references(body):
            users[used].append(name)
    empty: set[str] = set()
    todo = list(rules)
    while todo:
        name = todo.pop()
        if name not in empty and _may_be_empty(rules[name], empty):
            empty.add(name)
            todo.extend(users[name])
    return empty


def _may_be_empty(expr: Expr, empty: set[str]) -> bool:
    match expr:
        case Text(value):
            return not value
        case Chars():
            return False
        case Ref(name):
            return name in empty
        case Seq(parts):
            return all(_may_be_empty(part, empty) for part in parts)
        case Alt(options):
            return any(_may_be_empty(option, empty) for option in options)
        case Repeat(body, low):
            return low == 0 or _may_be_empty(body, empty)


def _openings(expr: Expr, empty: set[str]) -> list[str]:
    """The rules that can be the first thing in `expr`, as often as they can."""
    match expr:
        case Ref(name):
            return [name]
        case Seq(parts):
            found = []
            for part in parts:
                found.extend(_openings(part, empty))
                if not _may_be_empty(part, empty):
                    break
            return found
        case Alt(options):
            return [name for option in options for name in _openings(option, empty)]
        case Repeat(body, _, high):
            if high != 1 and _may_be_empty(body, empty):
                raise InvalidInput("what may be empty cannot be repeated")
            return _openings(body, empty)
    return []
