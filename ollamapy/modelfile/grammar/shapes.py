"""What a schema allows, per type of JSON value, and how two such sets are cut down to what both allow.

A `Shape` is one alternative: `anyOf` makes several. Schemas inside arrays and objects stay unread, as `Conj`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from ollamapy.modelfile.grammar import numbers
from ollamapy.modelfile.grammar.numbers import Interval


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A schema at its place in a document, which is what its references count from.

    Two are equal when their schema is the same object, by whatever path it was reached.
    """

    path: str
    schema: Any
    document: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Place) and self.schema is other.schema and self.document is other.document

    def __hash__(self) -> int:
        return hash((id(self.schema), id(self.document)))


Conj = tuple[Place, ...]
"""Schemas that must all hold; none of them: anything goes."""


def joined(*conjs: Conj) -> Conj:
    return tuple(dict.fromkeys(place for conj in conjs for place in conj))


@dataclass(frozen=True, slots=True)
class Pattern:
    """An expression and the keyword that it stands in."""

    source: str
    path: str


@dataclass(frozen=True, slots=True)
class Strings:
    """Lengths are code points."""

    low: int = 0
    high: int | None = None
    patterns: tuple[Pattern, ...] = ()

    def common(self, other: "Strings") -> "Strings":
        patterns = tuple(dict.fromkeys(self.patterns + other.patterns))
        return Strings(max(self.low, other.low), _lower(self.high, other.high), patterns)

    @property
    def is_empty(self) -> bool:
        return self.high is not None and self.low > self.high


@dataclass(frozen=True, slots=True)
class Arrays:
    """`rest` is for the items after those of `prefix`; None says nothing about them."""

    prefix: tuple[Conj, ...] = ()
    rest: Conj | None = None
    low: int = 0
    high: int | None = None

    def item(self, index: int) -> Conj:
        return self.prefix[index] if index < len(self.prefix) else self.rest or ()

    def common(self, other: "Arrays") -> "Arrays":
        length = max(len(self.prefix), len(other.prefix))
        prefix = tuple(joined(self.item(index), other.item(index)) for index in range(length))
        rest = None if self.rest is other.rest is None else joined(self.rest or (), other.rest or ())
        return Arrays(prefix, rest, max(self.low, other.low), _lower(self.high, other.high))

    @property
    def is_empty(self) -> bool:
        return self.high is not None and self.low > self.high


@dataclass(frozen=True, slots=True)
class Objects:
    """`rest` is for members that `properties` does not name; None says nothing about them. `names` is for all names."""

    properties: tuple[tuple[str, Conj], ...] = ()
    required: frozenset[str] = frozenset()
    rest: Conj | None = None
    names: Conj = ()
    low: int = 0
    high: int | None = None

    def member(self, name: str) -> Conj:
        return dict(self.properties).get(name, self.rest or ())

    def common(self, other: "Objects") -> "Objects":
        left, right = dict(self.properties), dict(other.properties)
        properties = tuple(
            (name, joined(left.get(name, self.rest or ()), right.get(name, other.rest or ())))
            for name in dict.fromkeys((*left, *right))
        )
        rest = None if self.rest is other.rest is None else joined(self.rest or (), other.rest or ())
        return Objects(
            properties,
            self.required | other.required,
            rest,
            joined(self.names, other.names),
            max(self.low, other.low),
            _lower(self.high, other.high),
        )

    @property
    def is_empty(self) -> bool:
        return self.high is not None and max(self.low, len(self.required)) > self.high


ANY_NUMBER = Interval()


@dataclass(frozen=True, slots=True)
class Shape:
    """None is a type that is not allowed. `values`, when given, are the only ones, as far as their types allow them."""

    null: bool = True
    boolean: bool = True
    number: Interval | None = ANY_NUMBER
    string: Strings | None = Strings()
    array: Arrays | None = Arrays()
    object: Objects | None = Objects()
    values: tuple[Any, ...] | None = None

    def common(self, other: "Shape") -> "Shape":
        return Shape(
            self.null and other.null,
            self.boolean and other.boolean,
            _interval(self.number, other.number),
            _both(self.string, other.string),
            _both(self.array, other.array),
            _both(self.object, other.object),
            _values(self.values, other.values),
        )

    @property
    def is_empty(self) -> bool:
        """True when it is plain that nothing is allowed."""
        if self.values is not None:
            return not self.values
        return not (self.null or self.boolean or self.number or self.string or self.array or self.object)


ANYTHING = Shape()
NOBODY = Shape(False, False, None, None, None, None)


def only(values: Iterable[Any]) -> Shape:
    return replace(ANYTHING, values=tuple(values))


def key_of(value: Any) -> Any:
    """What two values that JSON Schema calls equal have in common: 1 is 1.0, and not true."""
    match value:
        case bool() | None | str():
            return value if not isinstance(value, bool) else ("bool", value)
        case int() | float():
            return ("number", Decimal(repr(value)))
        case list() | tuple():
            return ("array", tuple(key_of(item) for item in value))
    return ("object", frozenset((name, key_of(item)) for name, item in value.items()))


def _lower(left: int | None, right: int | None) -> int | None:
    return min((bound for bound in (left, right) if bound is not None), default=None)


def _interval(left: Interval | None, right: Interval | None) -> Interval | None:
    if left is None or right is None:
        return None
    found = numbers.common(left, right)
    return None if found.is_empty else found


def _both(left: Any, right: Any) -> Any:
    if left is None or right is None:
        return None
    found = left.common(right)
    return None if found.is_empty else found


def _values(left: tuple[Any, ...] | None, right: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
    if left is None or right is None:
        return left if right is None else right
    keys = {key_of(value) for value in right}
    return tuple(value for value in left if key_of(value) in keys)
