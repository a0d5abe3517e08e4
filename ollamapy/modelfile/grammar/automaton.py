"""Deterministic automata over code points: made from patterns, combined, and read off. Every step is counted.

A grammar made from one has a single way through every text, so that an engine never keeps many states alive.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeVar

from ollamapy.errors import InvalidInput
from ollamapy.modelfile.grammar.budget import MAX_STATES, Budget
from ollamapy.modelfile.grammar.ranges import SPELLED, Ranges, common, holds, inverse, union
from ollamapy.modelfile.grammar.regex import Cat, Edge, Loop, Node, Or, Set

Arrows = tuple[tuple[Ranges, int], ...]
_State = TypeVar("_State")


@dataclass(frozen=True, slots=True)
class Dfa:
    """State 0 is the first. `arrows[state]` never overlap; a character without an arrow is refused."""

    arrows: tuple[Arrows, ...]
    accepts: tuple[bool, ...]

    def matches(self, text: str) -> bool:
        state = 0
        for char in text:
            follow = [target for ranges, target in self.arrows[state] if holds(ranges, ord(char))]
            if not follow:
                return False
            state = follow[0]
        return self.accepts[state]

    @property
    def is_empty(self) -> bool:
        """True when no text is accepted."""
        return not any(self.accepts)


def of_texts(texts: Iterable[str], budget: Budget) -> Dfa:
    """Accepts just these texts."""
    nodes: list[dict[int, int]] = [{}]
    ends = set()
    for text in texts:
        budget.spend("steps", len(text))
        state = 0
        for char in text:
            state = nodes[state].setdefault(ord(char), len(nodes))
            if state == len(nodes):
                nodes.append({})
        ends.add(state)
    arrows = tuple(tuple((((code, code),), target) for code, target in node.items()) for node in nodes)
    return Dfa(arrows, tuple(state in ends for state in range(len(nodes))))


def of_length(low: int, high: int | None) -> Dfa:
    """Accepts the texts of `low` to `high` characters."""
    last = low if high is None else high
    if last > MAX_STATES:
        raise InvalidInput("the length is too much to count together with a pattern")
    arrows: list[Arrows] = [((SPELLED, state + 1),) for state in range(last)]
    arrows.append(((SPELLED, last),) if high is None else ())
    return Dfa(tuple(arrows), tuple(state >= low for state in range(last + 1)))


def others(dfa: Dfa) -> Dfa:
    """Accepts what `dfa` does not."""
    sink = len(dfa.arrows)
    arrows: list[Arrows] = []
    for row in dfa.arrows:
        rest = common(inverse(union(piece for ranges, _ in row for piece in ranges)), SPELLED)
        arrows.append((*row, (rest, sink)) if rest else row)
    return Dfa((*arrows, ((SPELLED, sink),)), (*(not accepts for accepts in dfa.accepts), True))


def both(left: Dfa, right: Dfa, budget: Budget) -> Dfa:
    """Accepts what both accept."""
    numbers = {(0, 0): 0}
    pairs = [(0, 0)]
    arrows: list[Arrows] = []
    for one, two in pairs:
        row: dict[int, Ranges] = {}
        for one_ranges, one_target in left.arrows[one]:
            for two_ranges, two_target in right.arrows[two]:
                budget.spend("steps")
                ranges = common(one_ranges, two_ranges)
                if ranges:
                    target = _number((one_target, two_target), numbers, pairs)
                    row[target] = union((*row.get(target, ()), *ranges))
        arrows.append(tuple((ranges, target) for target, ranges in row.items()))
    return trimmed(Dfa(tuple(arrows), tuple(left.accepts[one] and right.accepts[two] for one, two in pairs)))


def stays_within(dfa: Dfa, low: int, high: int | None, budget: Budget) -> bool:
    """True when every accepted text is `low` to `high` characters long. No state of `dfa` leads nowhere."""
    states, length, limit = {0}, 0, len(dfa.arrows)
    while states and length <= limit:
        budget.spend("steps", len(states))
        accepts = any(dfa.accepts[state] for state in states)
        if accepts and (length < low or (high is not None and length > high)):
            return False
        if high is None and length >= low:
            return True
        states = {target for state in states for _, target in dfa.arrows[state]}
        length += 1
    return not states


def trimmed(dfa: Dfa) -> Dfa:
    """The same without the states that no accepted text goes through."""
    sources: dict[int, list[int]] = {}
    for state, row in enumerate(dfa.arrows):
        for _, target in row:
            sources.setdefault(target, []).append(state)
    todo = [state for state, accepts in enumerate(dfa.accepts) if accepts]
    alive = set(todo)
    while todo:
        fresh = set(sources.get(todo.pop(), ())) - alive
        alive |= fresh
        todo.extend(fresh)
    kept = [0, *sorted(alive - {0})]
    numbers = {state: number for number, state in enumerate(kept)}
    rows = (tuple((r, numbers[t]) for r, t in dfa.arrows[state] if t in alive) for state in kept)
    return Dfa(tuple(rows), tuple(dfa.accepts[state] for state in kept))


def of_pattern(tree: Node, budget: Budget) -> Dfa:
    """Accepts the texts in which `tree` matches somewhere, as the `pattern` of a schema is meant."""
    nfa = _Nfa(budget)
    last = nfa.append(tree, nfa.start)
    nfa.loop(nfa.start)
    nfa.loop(last)
    return _determined(nfa, last, budget)


@dataclass(slots=True)
class _Nfa:
    """`free[state]` are moves without a character: ("", target), or only at the start ("^") or the end ("$")."""

    budget: Budget
    start: int = 0
    arrows: list[list[tuple[Ranges, int]]] = field(default_factory=lambda: [[]])
    free: list[list[tuple[str, int]]] = field(default_factory=lambda: [[]])

    def _state(self) -> int:
        self.budget.spend("steps")
        self.arrows.append([])
        self.free.append([])
        return len(self.arrows) - 1

    def loop(self, state: int) -> None:
        """Any character stays in `state`."""
        self.arrows[state].append((SPELLED, state))

    def append(self, node: Node, start: int) -> int:
        """Adds what `node` matches after `start`; the state behind it."""
        match node:
            case Set(ranges):
                end = self._state()
                self.budget.spend("steps", len(ranges))
                self.arrows[start].append((common(ranges, SPELLED), end))
            case Edge(symbol):
                end = self._state()
                self.free[start].append((symbol, end))
            case Cat(parts):
                end = self._fork(start)
                for part in parts:
                    end = self.append(part, end)
            case Or(options):
                end = self._state()
                for option in options:
                    self.free[self.append(option, self._fork(start))].append(("", end))
            case Loop():
                end = self._append_loop(node, start)
        return end

    def _fork(self, start: int) -> int:
        """A state of its own that is reached from `start`."""
        end = self._state()
        self.free[start].append(("", end))
        return end

    def _append_loop(self, loop: Loop, start: int) -> int:
        at = self._fork(start)
        for _ in range(loop.low):
            at = self.append(loop.body, at)
        end = self._fork(at)
        if loop.high is None:
            again = self._fork(end)
            self.free[self.append(loop.body, again)].append(("", end))
            return end
        for _ in range(loop.high - loop.low):
            at = self.append(loop.body, at)
            self.free[at].append(("", end))
        return end

    def closure(self, states: Iterable[int], symbols: str) -> frozenset[int]:
        """`states` and what is reached from them without a character, over anchors in `symbols` too."""
        todo = list(states)
        found = set(todo)
        while todo:
            moves = self.free[todo.pop()]
            self.budget.spend("steps", 1 + len(moves))
            for symbol, target in moves:
                if symbol in symbols and target not in found:
                    found.add(target)
                    todo.append(target)
        return frozenset(found)


def _determined(nfa: _Nfa, last: int, budget: Budget) -> Dfa:
    """The start is a state of its own: what `^` makes of it must not hold later."""
    first = (True, nfa.closure([nfa.start], "^"))
    numbers = {first: 0}
    found = [first]
    arrows: list[Arrows] = []
    accepts: list[bool] = []
    for is_start, states in found:
        accepts.append(last in nfa.closure(states, "^$" if is_start else "$"))
        row: dict[int, list[tuple[int, int]]] = {}
        for pieces, targets in _split([arrow for state in states for arrow in nfa.arrows[state]], budget):
            row.setdefault(_number((False, nfa.closure(targets, "")), numbers, found), []).extend(pieces)
        arrows.append(tuple((union(ranges), target) for target, ranges in row.items()))
    return trimmed(Dfa(tuple(arrows), tuple(accepts)))


def _split(arrows: list[tuple[Ranges, int]], budget: Budget) -> Iterable[tuple[Ranges, frozenset[int]]]:
    """The characters that lead to the same states, with these states: a sweep over the ends of all ranges."""
    changes: dict[int, list[tuple[int, int]]] = {}
    for ranges, target in arrows:
        budget.spend("steps", 2 * len(ranges))
        for low, high in ranges:
            changes.setdefault(low, []).append((target, 1))
            changes.setdefault(high + 1, []).append((target, -1))
    groups: dict[frozenset[int], list[tuple[int, int]]] = {}
    active: Counter[int] = Counter()
    for low, end in pairwise(sorted(changes)):
        for target, change in changes[low]:
            active[target] += change
        targets = frozenset(target for target, count in active.items() if count)
        budget.spend("steps", len(active))
        if targets:
            groups.setdefault(targets, []).append((low, end - 1))
    return [(union(pieces), targets) for targets, pieces in groups.items()]


def _number(state: _State, numbers: dict[_State, int], found: list[_State]) -> int:
    """The number of `state`, a new one when it was not met before."""
    number = numbers.setdefault(state, len(found))
    if number == len(found):
        if number >= MAX_STATES:
            raise InvalidInput("the pattern is too complex")
        found.append(state)
    return number
