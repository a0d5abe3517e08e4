"""A small reader of GBNF for tests: does a grammar accept a text, and what texts does it make?

Written apart from ollamapy's own code, after the description of the format, so that both are wrong in different ways.
A stack is a chain of (symbol, rest); what is open is a set of stacks, as in llama.cpp.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

_TOKEN = re.compile(
    r"""\s*(?:\#[^\n]*\s*)*(?:(?P<name>[A-Za-z0-9-]+)|(?P<text>"(?:\\.|[^"\\])*")|(?P<set>\[(?:\\.|[^\]\\])*\])
    |(?P<count>\{\d+(?:,\d*)?\})|(?P<mark>::=|[()|*+?.]))""",
    re.X,
)
_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)|(.)", re.S)
_MAX_STACKS = 20_000

Symbol = tuple[Any, ...]
"""("char", ranges), ("rule", name), ("seq", parts), ("alt", options) or ("times", body, low, high)."""
Stack = tuple[Symbol, Any] | None


@dataclass
class Gbnf:
    """A parsed grammar."""

    rules: dict[str, Symbol] = field(default_factory=dict)

    def accepts(self, text: str) -> bool:
        return any(stack is None for stack in self.after(text))

    def after(self, text: str) -> list[Stack]:
        """The stacks that are open after `text`; None among them when it may end there."""
        stacks = self._expand([(("rule", "root"), None)])
        for char in text:
            stacks = self._expand(list(self._step(stacks, ord(char))))
        return stacks

    def _step(self, stacks: list[Stack], code: int) -> Iterator[Stack]:
        for stack in stacks:
            if stack is not None and any(low <= code <= high for low, high in stack[0][1]):
                yield stack[1]

    def _expand(self, stacks: list[Stack]) -> list[Stack]:
        """The stacks whose first symbol is a character, out of all ways to begin."""
        todo, seen, found = list(stacks), set(), {}
        while todo:
            stack = todo.pop()
            key = _key(stack)
            if key in seen:
                continue
            seen.add(key)
            assert len(seen) < _MAX_STACKS, "the grammar is too ambiguous"
            if stack is None or stack[0][0] == "char":
                found[key] = stack
            else:
                todo.extend(self._openings(*stack))
        return list(found.values())

    def _openings(self, symbol: Symbol, rest: Stack) -> Iterator[Stack]:
        match symbol:
            case ("rule", name):
                yield self.rules[name], rest
            case ("alt", options):
                for option in options:
                    yield option, rest
            case ("seq", parts):
                for part in reversed(parts):
                    rest = (part, rest)
                yield rest
            case ("times", body, low, high):
                if low == 0:
                    yield rest
                if high != 0:
                    yield body, (_times(body, max(low - 1, 0), None if high is None else high - 1), rest)

    def write(self, chance: random.Random, eager: int = 60) -> str:
        """A text that the grammar makes, by chance; after `eager` characters the shortest way out is taken."""
        shortest = self._shortest
        parts: list[str] = []
        stack: Stack = (("rule", "root"), None)
        while stack is not None:
            symbol, rest = stack
            if symbol[0] == "char":
                parts.append(_pick(symbol[1], chance))
                stack = rest
                continue
            ways = list(self._openings(symbol, rest))
            if len(parts) < eager:
                ways = [way for way in ways if way is None or _length(way[0], shortest) < 10**9]
                stack = chance.choice(ways)
            else:
                stack = min(ways, key=lambda way: _total(way, rest, shortest))
        return "".join(parts)

    @cached_property
    def _shortest(self) -> dict[str, int]:
        """The least characters of each rule."""
        lengths = dict.fromkeys(self.rules, 10**9)
        changed = True
        while changed:
            changed = False
            for name, body in self.rules.items():
                length = _length(body, lengths)
                if length < lengths[name]:
                    lengths[name], changed = length, True
        return lengths


_repeats: dict[tuple[int, int, int | None], Symbol] = {}


def _times(body: Symbol, low: int, high: int | None) -> Symbol:
    """The one object for this repetition, so that equal stacks are recognised by identity."""
    key = (id(body), low, high)
    found = _repeats.get(key)
    if found is None or found[1] is not body:
        found = _repeats[key] = ("times", body, low, high)
    return found


def _key(stack: Stack) -> tuple[int, ...]:
    key = []
    while stack is not None:
        key.append(id(stack[0]))
        stack = stack[1]
    return tuple(key)


def _total(way: Stack, end: Stack, lengths: dict[str, int]) -> int:
    """The least characters that `way` still makes before what came after it."""
    total = 0
    while way is not None and way is not end:
        total += _length(way[0], lengths)
        way = way[1]
    return total


def _length(symbol: Symbol, lengths: dict[str, int]) -> int:
    match symbol:
        case ("char", _):
            return 1
        case ("rule", name):
            return lengths[name]
        case ("alt", options):
            return min(_length(option, lengths) for option in options)
        case ("seq", parts):
            return min(sum(_length(part, lengths) for part in parts), 10**9)
        case ("times", body, low, _):
            return min(_length(body, lengths) * low, 10**9) if low else 0
    raise AssertionError(symbol)


def _pick(ranges: list[tuple[int, int]], chance: random.Random) -> str:
    ascii_ranges = [(low, min(high, 126)) for low, high in ranges if low < 127]
    low, high = chance.choice(ascii_ranges if ascii_ranges and chance.random() < 0.9 else ranges)
    return chr(chance.randint(low, min(high, low + 2000)))


def parse(text: str) -> Gbnf:
    """Reads a grammar; fails on what is not GBNF."""
    tokens: list[tuple[str, str]] = []
    at = 0
    while at < len(text.rstrip()):
        found = _TOKEN.match(text, at)
        assert found, f"no GBNF: {text[at : at + 40]!r}"
        assert found.lastgroup
        tokens.append((found.lastgroup, found[found.lastgroup]))
        at = found.end()
    starts = [index - 1 for index, token in enumerate(tokens) if token == ("mark", "::=")]
    grammar = Gbnf()
    for start, end in zip(starts, [*starts[1:], len(tokens)], strict=True):
        reader = _Reader(tokens[start + 2 : end])
        assert tokens[start][1] not in grammar.rules, "a rule is there twice"
        grammar.rules[tokens[start][1]] = reader.choice()
        assert not reader.tokens, f"left over: {reader.tokens}"
    return grammar


class _Reader:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens = tokens[::-1]

    def _next(self) -> tuple[str, str]:
        return self.tokens[-1] if self.tokens else ("end", "")

    def choice(self) -> Symbol:
        options = [self._sequence()]
        while self._next() == ("mark", "|"):
            self.tokens.pop()
            options.append(self._sequence())
        return ("alt", options)

    def _sequence(self) -> Symbol:
        parts = []
        while self._next()[0] != "end" and self._next() not in (("mark", "|"), ("mark", ")")):
            part = self._symbol()
            while self._next()[0] == "count" or self._next()[1] in ("*", "+", "?"):
                part = _counted(part, self.tokens.pop()[1])
            parts.append(part)
        return ("seq", parts)

    def _symbol(self) -> Symbol:
        kind, value = self.tokens.pop()
        match kind, value:
            case "name", _:
                return ("rule", value)
            case "text", _:
                return ("seq", [("char", [(code, code)]) for code, _ in _codes(value[1:-1])])
            case "set", _:
                return ("char", _ranges(value[1:-1]))
            case "mark", ".":
                return ("char", [(1, 0x10FFFF)])
            case "mark", "(":
                inner = self.choice()
                assert self.tokens.pop() == ("mark", ")")
                return inner
        raise AssertionError(f"unexpected {value!r}")


def _counted(body: Symbol, count: str) -> Symbol:
    simple = {"*": (0, None), "+": (1, None), "?": (0, 1)}
    if count in simple:
        return ("times", body, *simple[count])
    low, comma, high = count[1:-1].partition(",")
    return ("times", body, int(low), int(high) if high else None if comma else int(low))


def _codes(text: str) -> list[tuple[int, bool]]:
    """The characters, and whether each was escaped."""
    found = []
    for escape, plain in _ESCAPE.findall(text):
        if plain:
            found.append((ord(plain), False))
        elif escape[0] in "xuU":
            found.append((int(escape[1:], 16), True))
        else:
            found.append((ord({"n": "\n", "t": "\t", "r": "\r"}.get(escape, escape)), True))
    return found


def _ranges(text: str) -> list[tuple[int, int]]:
    is_inverse = text.startswith("^")
    codes = _codes(text[is_inverse:])
    found, index = [], 0
    while index < len(codes):
        if index + 2 < len(codes) and codes[index + 1] == (ord("-"), False):
            found.append((codes[index][0], codes[index + 2][0]))
            index += 3
        else:
            found.append((codes[index][0], codes[index][0]))
            index += 1
    return _others(sorted(found)) if is_inverse else found


def _others(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found, start = [], 1
    for low, high in ranges:
        if low > start:
            found.append((start, low - 1))
        start = max(start, high + 1)
    return [*found, (start, 0x10FFFF)]
