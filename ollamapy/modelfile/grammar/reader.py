"""Follows references and choices: from schemas that must all hold to the alternatives that a value has.

Reads; never writes grammar. What is read once is kept. A schema that leads back to itself without a value in between
is refused.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from ollamapy.errors import InvalidInput
from ollamapy.modelfile.grammar import regex
from ollamapy.modelfile.grammar.automaton import Dfa, both, of_length, of_pattern, stays_within
from ollamapy.modelfile.grammar.budget import MAX_NESTING, Budget
from ollamapy.modelfile.grammar.local import at, refuse, shape_of, sub
from ollamapy.modelfile.grammar.shapes import (
    ANYTHING,
    NOBODY,
    Arrays,
    Conj,
    Objects,
    Pattern,
    Place,
    Shape,
    Strings,
    key_of,
)

NEVER: Conj = (Place("$", False, False),)
"""What no value satisfies."""
_DEPTH_OF_PROOF = 3
"""How deep two alternatives of a `oneOf` are looked into for what sets them apart."""
_ITEMS_OF_PROOF = 8


class Reader:
    """Reads the schemas of one conversion."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._shapes: dict[Conj, tuple[Shape, ...]] = {}
        self._own: dict[Place, Shape] = {}
        self._open: list[Conj] = []
        self._patterns: dict[Pattern, Dfa] = {}

    def shapes(self, conj: Conj) -> tuple[Shape, ...]:
        """The alternatives that satisfy every schema of `conj`; none when nothing can."""
        found = self._shapes.get(conj)
        if found is not None:
            return found
        if conj in self._open:
            refuse(conj[0].path, "the schema refers to itself with no value in between")
        if len(self._open) >= MAX_NESTING:
            refuse(conj[0].path, "too many choices inside choices")
        self._open.append(conj)
        found = self._shapes[conj] = self._read(conj)
        self._open.pop()
        return found

    def _read(self, conj: Conj) -> tuple[Shape, ...]:
        shapes = [ANYTHING]
        for place in self._all_of(conj):
            own = self._own_shape(place)
            shapes = [shape.common(own) for shape in shapes]
            for choice in self._choices(place, own):
                shapes = list(self._multiplied(shapes, choice))
        return tuple(shape for shape in map(self._settled, shapes) if not shape.is_empty)

    def _own_shape(self, place: Place) -> Shape:
        self.budget.spend("schemas")
        shape = self._own.get(place)
        if shape is None:
            shape = self._own[place] = shape_of(place)
        return shape

    def _multiplied(self, left: list[Shape], right: list[Shape]) -> Iterator[Shape]:
        for one in left:
            for two in right:
                self.budget.spend("alternatives")
                self.budget.spend("steps", 4 * (_num_members(one) + _num_members(two)))
                shape = one.common(two)
                if not shape.is_empty:
                    yield shape

    def _settled(self, shape: Shape) -> Shape:
        """With the values alone that the types allow, when there is a list of them."""
        if shape.values is None:
            return shape
        return replace(ANYTHING, values=tuple(value for value in shape.values if self._allows_kind(shape, value)))

    # References

    def _all_of(self, conj: Conj) -> list[Place]:
        """The schemas of `conj` and those that they refer to or demand with `allOf`, each once."""
        found: dict[Place, None] = {}
        stack: list[tuple[Place, tuple[Place, ...]]] = [(place, ()) for place in reversed(conj)]
        while stack:
            place, trail = stack.pop()
            if place in trail:
                refuse(place.path, "the schema refers to itself with no value in between")
            if len(trail) > MAX_NESTING:
                refuse(place.path, "too many references to references")
            if place not in found:
                found[place] = None
                stack.extend((follow, (*trail, place)) for follow in reversed(self._demanded(place)))
        return list(found)

    def _demanded(self, place: Place) -> list[Place]:
        if not isinstance(place.schema, dict):
            return []
        found = [self._resolve(place)] if "$ref" in place.schema else []
        return [*found, *self._branches(place, "allOf")]

    def _branches(self, place: Place, keyword: str) -> list[Place]:
        if keyword not in place.schema:
            return []
        branches = place.schema[keyword]
        if not isinstance(branches, list) or not branches:
            refuse(at(place, keyword), "must be a list of schemas")
        return [sub(place, branch, keyword, index) for index, branch in enumerate(branches)]

    def _resolve(self, place: Place) -> Place:
        reference = place.schema["$ref"]
        if not isinstance(reference, str) or reference[:1] != "#" or reference[1:2] not in ("", "/"):
            refuse(at(place, "$ref"), f'only references into the same schema ("#/…") are supported: {reference!r:.100}')
        target = place.document
        for step in reference[2:].split("/") if len(reference) > 1 else []:
            target = self._step(target, unquote(step).replace("~1", "/").replace("~0", "~"), place)
        return Place("$" + reference[1:].replace("/", "."), target, place.document)

    def _step(self, target: Any, step: str, place: Place) -> Any:
        if isinstance(target, dict) and step in target:
            return target[step]
        if isinstance(target, list) and step.isdecimal() and int(step[:9]) < len(target):
            return target[int(step[:9])]
        return refuse(at(place, "$ref"), f"there is nothing at {place.schema['$ref']!r:.100}")

    # Choices

    def _choices(self, place: Place, own: Shape) -> Iterator[list[Shape]]:
        """The alternatives of each keyword. What the schema itself says, `own`, can set those of `oneOf` apart."""
        if not isinstance(place.schema, dict):
            return
        branches = self._branches(place, "anyOf")
        if branches:
            yield [shape for branch in branches for shape in self.shapes((branch,))]
        branches = self._branches(place, "oneOf")
        if branches:
            yield self._one_of(place, [[own.common(shape) for shape in self.shapes((branch,))] for branch in branches])

    def _one_of(self, place: Place, branches: list[list[Shape]]) -> list[Shape]:
        """The shapes of every branch, cut down where need be so that no value satisfies two branches."""
        found = []
        for index, branch in enumerate(branches):
            for shape in branch:
                for other, rivals in enumerate(branches):
                    for rival in rivals if index != other else ():
                        shape = self._apart(shape, rival) or refuse(
                            at(place, "oneOf"), f"values of {index} can also be values of {other}: use anyOf"
                        )
                found.append(shape)
        return found

    def _apart(self, shape: Shape, rival: Shape) -> Shape | None:
        """`shape` without what `rival` allows too; None when no shape says that."""
        self.budget.spend("alternatives")
        if shape.values is not None:
            return replace(shape, values=tuple(value for value in shape.values if not self._allows(rival, value)))
        meeting = shape.common(rival)
        if rival.values is not None:
            return None if self._settled(meeting).values else shape
        kept: dict[str, Any] = {"null": shape.null and not rival.null, "boolean": shape.boolean and not rival.boolean}
        for kind in ("number", "string", "array", "object"):
            mine, shared = getattr(shape, kind), getattr(meeting, kind)
            if not shared or not self._is_possible(replace(NOBODY, **{kind: shared}), _DEPTH_OF_PROOF):
                kept[kind] = mine
            elif kind == "object" and (missing := _missing(mine, getattr(rival, kind))):
                kept[kind] = mine.common(Objects(properties=((missing, NEVER),)))
            elif shared == mine:
                kept[kind] = None
            else:
                return None
        return Shape(**kept)

    def _is_possible(self, shape: Shape, depth: int) -> bool:
        """False when it is proven that no value has this shape."""
        shape = self._settled(shape)
        if shape.values is not None or shape.null or shape.boolean or shape.number:
            return not shape.is_empty
        if shape.string and self._is_possible_string(shape.string):
            return True
        if shape.array:
            items = (shape.array.item(index) for index in range(min(shape.array.low, _ITEMS_OF_PROOF)))
            if all(self._can_be(item, depth) for item in items):
                return True
        return shape.object is not None and self._is_possible_object(shape.object, depth)

    def _is_possible_object(self, objects: Objects, depth: int) -> bool:
        return all(self._can_be(objects.member(name), depth) for name in sorted(objects.required))

    def _can_be(self, conj: Conj, depth: int) -> bool:
        return depth == 0 or any(self._is_possible(shape, depth - 1) for shape in self.shapes(conj))

    # Strings

    def pattern(self, pattern: Pattern) -> Dfa:
        """The automaton of an expression."""
        dfa = self._patterns.get(pattern)
        if dfa is None:
            with _blaming(pattern):
                dfa = self._patterns[pattern] = of_pattern(regex.parse(pattern.source), self.budget)
        return dfa

    def automaton(self, strings: Strings) -> Dfa:
        """The automaton of strings that have patterns. Lengths are counted only where the patterns do not."""
        if not strings.patterns:
            return of_length(strings.low, strings.high)
        dfa = self.pattern(strings.patterns[0])
        with _blaming(strings.patterns[-1]):
            for pattern in strings.patterns[1:]:
                dfa = both(dfa, self.pattern(pattern), self.budget)
            if not stays_within(dfa, strings.low, strings.high, self.budget):
                dfa = both(dfa, of_length(strings.low, strings.high), self.budget)
        return dfa

    def _is_possible_string(self, strings: Strings) -> bool:
        return not strings.patterns or not self.automaton(strings).is_empty

    # Values

    def allows(self, conj: Conj, value: Any) -> bool:
        """True when `value` satisfies every schema of `conj`."""
        return any(self._allows(shape, value) for shape in self.shapes(conj))

    def _allows(self, shape: Shape, value: Any) -> bool:
        if shape.values is not None and key_of(value) not in map(key_of, shape.values):
            return False
        return self._allows_kind(shape, value)

    def _allows_kind(self, shape: Shape, value: Any) -> bool:
        """As far as its type goes, whatever the list of values says."""
        match value:
            case None:
                return shape.null
            case bool():
                return shape.boolean
            case int() | float():
                return shape.number is not None and shape.number.holds(value)
            case str():
                return shape.string is not None and self._allows_string(shape.string, value)
            case list():
                return shape.array is not None and self._allows_array(shape.array, value)
        return shape.object is not None and self._allows_object(shape.object, value)

    def _allows_string(self, strings: Strings, value: str) -> bool:
        if not (strings.low <= len(value) and (strings.high is None or len(value) <= strings.high)):
            return False
        return all(self.pattern(pattern).matches(value) for pattern in strings.patterns)

    def _allows_array(self, arrays: Arrays, value: list[Any]) -> bool:
        if not (arrays.low <= len(value) and (arrays.high is None or len(value) <= arrays.high)):
            return False
        return all(self.allows(arrays.item(index), item) for index, item in enumerate(value))

    def _allows_object(self, objects: Objects, value: dict[str, Any]) -> bool:
        if not (objects.low <= len(value) and (objects.high is None or len(value) <= objects.high)):
            return False
        if not objects.required <= value.keys() or not all(self.allows(objects.names, name) for name in value):
            return False
        return all(self.allows(objects.member(name), item) for name, item in value.items())


def _num_members(shape: Shape) -> int:
    return len(shape.object.properties) if shape.object else 0


def _missing(mine: Objects, rival: Objects) -> str | None:
    """A member that objects of `rival` have and those of `mine` can do without."""
    return min(rival.required - mine.required, default=None)


@contextmanager
def _blaming(pattern: Pattern) -> Iterator[None]:
    """Says where the pattern stands that something is wrong with."""
    try:
        yield
    except InvalidInput as error:
        refuse(pattern.path, error.message)
