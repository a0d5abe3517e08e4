"""Grammars as values, and their GBNF text. Knows nothing about schemas.

An expression is a text, a character out of some ranges, a reference, a sequence, a choice or a repetition. `EMPTY`
accepts the empty text only, `NOTHING` accepts no text at all.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass

from ollamapy.modelfile.grammar.budget import Budget

_BLOCK = 500
"""llama.cpp refuses to unroll more than 2,000 copies at a time; longer repetitions go by blocks."""


_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n"}


@dataclass(frozen=True, slots=True)
class Text:
    value: str


@dataclass(frozen=True, slots=True)
class Chars:
    """One code point out of sorted ranges, both ends included."""

    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Ref:
    name: str


@dataclass(frozen=True, slots=True)
class Seq:
    parts: tuple["Expr", ...]


@dataclass(frozen=True, slots=True)
class Alt:
    options: tuple["Expr", ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """`body` from `low` to `high` times; `high` None is without end."""

    body: "Expr"
    low: int
    high: int | None


Expr = Text | Chars | Ref | Seq | Alt | Repeat

EMPTY = Seq(())
NOTHING = Alt(())
DIGIT = Chars(((48, 57),))


def seq(*parts: Expr) -> Expr:
    """`parts` one after the other; neighbouring texts grow together."""
    flat: list[Expr] = []
    for part in parts:
        for piece in part.parts if isinstance(part, Seq) else (part,):
            if isinstance(piece, Text) and flat and isinstance(flat[-1], Text):
                flat[-1] = Text(flat[-1].value + piece.value)
            elif piece != Text(""):
                flat.append(piece)
    if NOTHING in flat:
        return NOTHING
    return flat[0] if len(flat) == 1 else Seq(tuple(flat))


def alt(*options: Expr) -> Expr:
    """One of `options`; equal ones count once."""
    flat: dict[Expr, None] = {}
    for option in options:
        flat.update(dict.fromkeys(option.options if isinstance(option, Alt) else (option,)))
    return next(iter(flat)) if len(flat) == 1 else Alt(tuple(flat))


def maybe(body: Expr) -> Expr:
    return alt(body, EMPTY)


def times(body: Expr, low: int, high: int | None) -> Expr:
    """`body` from `low` to `high` times, for counts that an engine unrolls in one go."""
    if high == 0:
        return EMPTY
    return body if low == high == 1 else Repeat(body, low, high)


class Grammar:
    """Rules under construction. Names are made from hints and never clash."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.rules: dict[str, Expr] = {}
        self._shared: dict[Hashable, Ref] = {}

    def reserve(self, hint: str) -> Ref:
        """A new rule that accepts nothing until it is defined."""
        self.budget.spend("rules")
        name = hint if hint not in self.rules else f"{hint}-{len(self.rules)}"
        self.rules[name] = NOTHING
        return Ref(name)

    def define(self, rule: Ref, body: Expr) -> None:
        self.rules[rule.name] = body

    def add(self, hint: str, body: Expr) -> Ref:
        rule = self.reserve(hint)
        self.define(rule, body)
        return rule

    def shared(self, key: Hashable, hint: str, make: Callable[[], Expr]) -> Ref:
        """The rule of `key`, made when it is first asked for."""
        rule = self._shared.get(key)
        if rule is None:
            rule = self._shared[key] = self.reserve(hint)
            self.define(rule, make())
        return rule

    def repeat(self, body: Expr, low: int, high: int | None) -> Expr:
        """`body` from `low` to `high` times. Two ways through the text at most are open at any time."""
        if body == NOTHING:
            return EMPTY if low == 0 else NOTHING
        item = body if isinstance(body, Ref | Chars) else self.add("item", body)
        if max(low, high or 0) <= _BLOCK:
            return self._times(item, low, high)
        rest = self._times(item, 0, None) if high is None else self._up_to(item, high - low)
        return seq(self._exactly(item, low), rest)

    def _times(self, item: Expr, low: int, high: int | None) -> Expr:
        """A short repetition; a long one of those is a rule, which is unrolled once however often it is used."""
        if (high or low) <= 1:
            return times(item, low, high)
        return self.shared((item, low, high), "repeat", lambda: self._unrolled(item, low, high))

    def _unrolled(self, item: Expr, low: int, high: int | None) -> Expr:
        self.budget.spend("repetitions", high or low)
        return times(item, low, high)

    def _exactly(self, item: Expr, count: int) -> Expr:
        blocks, rest = divmod(count, _BLOCK)
        return seq(*[self._times(item, _BLOCK, _BLOCK)] * blocks, self._times(item, rest, rest))

    def _up_to(self, item: Expr, count: int) -> Expr:
        """A chain of rules: less than a block and the end, or a whole block and the next rule."""
        blocks, rest = divmod(count, _BLOCK)
        chain = self._times(item, 0, rest)
        for _ in range(blocks):
            more = seq(self._times(item, _BLOCK, _BLOCK), chain)
            chain = self.add("blocks", alt(self._times(item, 0, _BLOCK - 1), more))
        return chain


def children(expr: Expr) -> tuple[Expr, ...]:
    match expr:
        case Seq(parts):
            return parts
        case Alt(options):
            return options
        case Repeat(body):
            return (body,)
    return ()


def references(expr: Expr) -> Iterator[str]:
    """The names that `expr` refers to, from left to right."""
    stack = [expr]
    while stack:
        found = stack.pop()
        if isinstance(found, Ref):
            yield found.name
        stack.extend(reversed(children(found)))


def print_rules(rules: Mapping[str, Expr], budget: Budget) -> str:
    """The GBNF text, a rule a line in the given order."""
    lines = []
    for name, body in rules.items():
        line = f"{name} ::= {_print(body, 0)}\n"
        budget.spend("characters", len(line))
        lines.append(line)
    return "".join(lines)


def _print(expr: Expr, level: int) -> str:
    """Level 0 stands alone, 1 inside a sequence, 2 before a repetition."""
    match expr:
        case Text(value):
            return '"' + "".join(map(_literal, value)) + '"'
        case Chars(ranges):
            return "[" + "".join(map(_range, ranges)) + "]"
        case Ref(name):
            return name
        case Repeat(body, low, high):
            return _print(body, 2) + _count(low, high)
        case Seq(parts):
            text = " ".join(_print(part, 1) for part in parts) or '""'
            return f"({text})" if level == 2 and len(parts) > 1 else text
        case Alt(options):
            text = " | ".join(_print(option, 0) for option in options)
            return f"({text})" if level else text


def _count(low: int, high: int | None) -> str:
    simple = {(0, None): "*", (1, None): "+", (0, 1): "?"}.get((low, high))
    if simple:
        return simple
    return f"{{{low}}}" if low == high else f"{{{low},{'' if high is None else high}}}"


def _literal(char: str) -> str:
    return _SHORT.get(char) or (char if " " <= char <= "~" else _escape(ord(char)))


def _range(bounds: tuple[int, int]) -> str:
    low, high = bounds
    return _in_class(low) if low == high else f"{_in_class(low)}-{_in_class(high)}"


def _in_class(code: int) -> str:
    return chr(code) if code < 128 and chr(code).isalnum() else _escape(code)


def _escape(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02X}"
    return f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"
