"""Looks for texts that leave a grammar with ever more ways to go on, by walking where they multiply.

An engine keeps every way open, so their number is its time: it can double with each character of a hostile grammar.
The walks find what grows fast; what grows slowly is left to the engine's own limit of time.
"""

import random
from collections.abc import Iterable, Mapping

from ollamapy.errors import InvalidInput
from ollamapy.modelfile.grammar.gbnf import Alt, Chars, Expr, Ref, Repeat, Seq, Text

_MAX_WAYS = 4_000
_NUM_WALKS = 6
_MAX_STEPS = 300
_MAX_WORK = 25_000
"""Symbols that are opened on all walks together."""
_NUM_TRIED = 4
"""Characters that are tried at every step."""

_Symbol = tuple[int, int]
"""An expression by its number, and how much of it is done: characters of a text, rounds of a repetition."""


def probe(rules: Mapping[str, Expr]) -> None:
    """Raises InvalidInput when a text is found that leaves too many ways to go on."""
    walker = _Walker(rules)
    for seed in range(_NUM_WALKS):
        walker.walk(random.Random(seed))


class _Walker:
    """A way is a stack, kept as the number of its top in `_stacks`; equal stacks have equal numbers."""

    def __init__(self, rules: Mapping[str, Expr]) -> None:
        self._rules = rules
        self._exprs: list[Expr] = []
        self._expr_numbers: dict[int, int] = {}
        self._stacks: list[tuple[_Symbol, int]] = [((-1, 0), -1)]
        self._stack_numbers: dict[tuple[_Symbol, int], int] = {}
        self._work = 0

    def walk(self, chance: random.Random) -> None:
        ways = self._opened([self._push(self._rules["root"], 0, 0)])
        for _ in range(_MAX_STEPS):
            following = [self._opened(self._after(ways, code)) for code in self._promising(ways, chance)]
            if not following or self._work > _MAX_WORK:
                return
            most = max(map(len, following))
            ways = chance.choice([found for found in following if len(found) == most])

    def _push(self, expr: Expr, done: int, rest: int) -> int:
        number = self._expr_numbers.get(id(expr))
        if number is None:
            number = self._expr_numbers[id(expr)] = len(self._exprs)
            self._exprs.append(expr)
        stack = ((number, done), rest)
        found = self._stack_numbers.setdefault(stack, len(self._stacks))
        if found == len(self._stacks):
            self._stacks.append(stack)
        return found

    def _opened(self, stacks: Iterable[int]) -> set[int]:
        """The stacks that begin with a character, out of all ways to begin."""
        todo, seen, found = list(stacks), set(), set()
        while todo:
            stack = todo.pop()
            if stack in seen or stack == 0:
                continue
            seen.add(stack)
            if len(seen) > _MAX_WAYS:
                raise InvalidInput(f"too ambiguous: a text leaves more than {_MAX_WAYS} ways to go on")
            (number, done), rest = self._stacks[stack]
            expr = self._exprs[number]
            if isinstance(expr, Chars) or (isinstance(expr, Text) and done < len(expr.value)):
                found.add(stack)
            else:
                todo.extend(self._openings(expr, done, rest))
        self._work += len(seen)
        return found

    def _openings(self, expr: Expr, done: int, rest: int) -> list[int]:
        match expr:
            case Ref(name):
                return [self._push(self._rules[name], 0, rest)]
            case Alt(options):
                return [self._push(option, 0, rest) for option in options]
            case Seq(parts):
                for part in reversed(parts):
                    rest = self._push(part, 0, rest)
                return [rest]
            case Repeat(body, low, high):
                return self._rounds(expr, body, low, high, done, rest)
        return [rest]

    def _rounds(self, expr: Expr, body: Expr, low: int, high: int | None, done: int, rest: int) -> list[int]:
        ways = [rest] if done >= low else []
        if high is None or done < high:
            again = min(done + 1, low) if high is None else done + 1
            ways.append(self._push(body, 0, self._push(expr, again, rest)))
        return ways

    def _ranges(self, stack: int) -> tuple[tuple[int, int], ...]:
        (number, done), _ = self._stacks[stack]
        expr = self._exprs[number]
        if isinstance(expr, Chars):
            return expr.ranges
        assert isinstance(expr, Text)
        return ((ord(expr.value[done]),) * 2,)

    def _promising(self, ways: set[int], chance: random.Random) -> list[int]:
        """Characters that many ways can begin with."""
        counts: dict[int, int] = {}
        for stack in sorted(ways):
            for low, _ in self._ranges(stack):
                counts[low] = counts.get(low, 0) + 1
        codes = sorted(counts)
        chance.shuffle(codes)
        return sorted(codes, key=lambda code: -counts[code])[:_NUM_TRIED]

    def _after(self, ways: set[int], code: int) -> list[int]:
        found = []
        for stack in ways:
            if any(low <= code <= high for low, high in self._ranges(stack)):
                (number, done), rest = self._stacks[stack]
                expr = self._exprs[number]
                found.append(self._push(expr, done + 1, rest) if isinstance(expr, Text) else rest)
        return found
