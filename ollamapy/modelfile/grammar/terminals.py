"""The pieces that every grammar of values is made of: white space, strings, numbers, and any value at all."""

from collections.abc import Callable, Hashable
from functools import cached_property

from ollamapy.modelfile.grammar import regex
from ollamapy.modelfile.grammar.automaton import Dfa, both, of_length, of_pattern, others, trimmed
from ollamapy.modelfile.grammar.gbnf import (
    DIGIT,
    EMPTY,
    NOTHING,
    Alt,
    Chars,
    Expr,
    Grammar,
    Ref,
    Repeat,
    Text,
    alt,
    maybe,
    seq,
    times,
)
from ollamapy.modelfile.grammar.notation import JSON, Notation
from ollamapy.modelfile.grammar.ranges import SPELLED, Ranges, common, inverse, union

_PLAIN: Ranges = ((0x20, 0x21), (0x23, 0x5B), (0x5D, 0xD7FF), (0xE000, 0x10FFFF))
"""What stands in a JSON string as it is."""
_ESCAPES = {0x08: "b", 0x09: "t", 0x0A: "n", 0x0C: "f", 0x0D: "r", 0x22: '"', 0x5C: "\\"}
_HEX = Chars(((48, 57), (65, 70), (97, 102)))
_HEX_BUT_D = Chars(((48, 57), (65, 67), (69, 70), (97, 99), (101, 102)))
_MAX_INDENT = 20
MAX_COUNTED = 30
"""Characters that are counted and looked through for what a string must never hold; longer ones lack its sign."""


def one_of(chars: str) -> Expr:
    return Chars(tuple((ord(char), ord(char)) for char in sorted(chars)))


class Terminals:
    """Writes rules for `notation` into `grammar`. Each is made when it is first asked for."""

    def __init__(self, grammar: Grammar, notation: Notation = JSON) -> None:
        self._grammar = grammar
        self._notation = notation

    def space(self) -> Expr:
        """White space between tokens: none, a blank, or a line break and indentation. Bounded: an answer must go on."""
        line = seq(Text("\n"), times(one_of("\t "), 0, _MAX_INDENT))
        return self._shared("space", alt(EMPTY, Text(" "), line)) if self._notation.has_space else EMPTY

    def bracketed(self, start: str, body: Expr, end: str) -> Expr:
        """`body` between brackets; the empty body leaves no white space."""
        gap = self.space()
        options = body.options if isinstance(body, Alt) else (body,)
        inner = seq(gap, alt(*(option for option in options if option != EMPTY)), gap)
        return seq(Text(start), maybe(inner) if EMPTY in options else inner, Text(end))

    def key(self, name: str) -> Expr:
        """The name of a member and what stands between it and the value."""
        text = self._notation.key(name)
        return NOTHING if text is None else seq(Text(text + self._notation.colon), self.space())

    def key_of(self, dfa: Dfa | None = None, low: int = 0, high: int | None = None) -> Expr:
        """Any name that `dfa` accepts, else one of `low` to `high` characters; and what stands before the value."""
        if self._notation.bare_key:
            bare = of_pattern(regex.parse(f"^({self._notation.bare_key})$"), self._grammar.budget)
            name = self._walk(both(bare, dfa or of_length(low, high), self._grammar.budget), "")
        else:
            name = self.string_of(dfa) if dfa else self.string(low, high)
        return seq(name, Text(self._notation.colon), self.space())

    # Strings

    def string(self, low: int = 0, high: int | None = None) -> Expr:
        """A string of `low` to `high` characters."""
        if self._notation.never and max(low, high or 0) <= MAX_COUNTED:
            return self._shared_by(("string", low, high), "string", lambda: self.string_of(of_length(low, high)))
        if (low, high) == (0, None):
            return self._shared("string", self._quoted(self._grammar.repeat(self._char(), 0, None)))
        return self._quoted(self._grammar.repeat(self._char(), low, high))

    def string_of(self, dfa: Dfa, *, is_harmless: bool = False) -> Expr:
        """A string that `dfa` accepts, every character written in one way only.

        `is_harmless`: `dfa` accepts nothing that no string may hold.
        """
        if self._notation.never and not is_harmless:
            dfa = both(dfa, self._harmless, self._grammar.budget)
        return self._walk(dfa, self._notation.quote)

    @cached_property
    def _harmless(self) -> Dfa:
        """Accepts what holds none of the texts that a string must never hold."""
        trees = [regex.Cat(tuple(regex.Set(((ord(c), ord(c)),)) for c in text)) for text in self._notation.never]
        return trimmed(others(of_pattern(regex.Or(tuple(trees)), self._grammar.budget)))

    def _quoted(self, body: Expr) -> Expr:
        quote = Text(self._notation.quote)
        return seq(quote, body, quote)

    def _char(self) -> Ref:
        """One character of a string, escaped if need be; a character outside the BMP may be two escapes."""
        signs = union((ord(sign), ord(sign)) for sign in self._notation.signs)
        plain = Chars(common(_PLAIN if self._notation.has_escapes else SPELLED, inverse(signs)))
        if self._notation.never:
            escape = seq(Text("\\"), one_of("".join(_ESCAPES.values())))
            return self._shared("char", alt(plain, escape) if self._notation.has_escapes else plain)
        return self._shared("char", alt(plain, _escape()))

    def _walk(self, dfa: Dfa, quote: str) -> Expr:
        """The texts that `dfa` accepts between quotes."""
        if dfa.is_empty:
            return NOTHING
        states = [self._grammar.reserve("state") for _ in dfa.arrows]
        for state, arrows, accepts in zip(states, dfa.arrows, dfa.accepts, strict=True):
            options = [seq(self._written(ranges), states[target]) for ranges, target in arrows]
            self._grammar.define(state, alt(*options, *([seq(Text(quote))] if accepts else [])))
        return seq(Text(quote), states[0])

    def _written(self, ranges: Ranges) -> Expr:
        """A character out of `ranges` as a string holds it."""
        if not self._notation.has_escapes:
            return Chars(ranges)
        plain = common(ranges, _PLAIN)
        letters = "".join(sign for code, sign in _ESCAPES.items() if common(ranges, ((code, code),)))
        options = [Chars(plain)] if plain else []
        full: Expr = alt(*options, *([seq(Text("\\"), one_of(letters))] if letters else []))
        is_small = len(plain) + len(letters) <= 2
        return full if is_small else self._grammar.shared(("chars", ranges), "chars", lambda: full)

    # Other values

    def integer(self) -> Ref:
        digits = seq(Chars(((49, 57),)), times(DIGIT, 0, 17))
        return self._shared("integer", alt(Text("0"), seq(maybe(Text("-")), digits)))

    def number(self) -> Ref:
        """Any number that a double holds: 18 digits before the point, 16 after it, an exponent of two."""
        whole = alt(Text("0"), seq(Chars(((49, 57),)), times(DIGIT, 0, 17)))
        fraction = maybe(seq(Text("."), times(DIGIT, 1, 16)))
        exponent = maybe(seq(one_of("eE"), maybe(one_of("+-")), times(DIGIT, 1, 2)))
        return self._shared("number", seq(maybe(Text("-")), whole, fraction, exponent))

    def boolean(self) -> Ref:
        return self._shared("boolean", alt(Text("true"), Text("false")))

    def value(self) -> Ref:
        """Any value."""
        return self._shared_by("value", "value", self._any_value)

    def _any_value(self) -> Expr:
        scalars = [self.string(), self.number(), self.boolean(), Text("null")]
        return alt(self.any_object(), self.any_array(), *scalars)

    def any_object(self) -> Ref:
        return self._shared_by("object", "object", lambda: self._list_of("{", self._member(), "}"))

    def any_array(self) -> Ref:
        return self._shared_by("array", "array", lambda: self._list_of("[", self.value(), "]"))

    def _member(self) -> Expr:
        return seq(self.key_of(None), self.value())

    def _list_of(self, start: str, item: Expr, end: str) -> Expr:
        more = Repeat(seq(Text(","), self.space(), item), 0, None)
        return self.bracketed(start, maybe(seq(item, more)), end)

    def _shared(self, name: str, body: Expr) -> Ref:
        return self._shared_by(name, name, lambda: body)

    def _shared_by(self, key: Hashable, hint: str, make: Callable[[], Expr]) -> Ref:
        return self._grammar.shared((self._notation, key), hint, make)


def _escape() -> Expr:
    quad = seq(_HEX, _HEX)
    basic = alt(seq(_HEX_BUT_D, _HEX), seq(one_of("dD"), Chars(((48, 55),))))
    high = seq(one_of("dD"), Chars(((56, 57), (65, 66), (97, 98))), quad)
    low = seq(one_of("dD"), Chars(((67, 70), (99, 102))), quad)
    pair = seq(high, Text("\\u"), low)
    return seq(Text("\\"), alt(one_of('"/\\bfnrt'), seq(Text("u"), alt(seq(basic, quad), pair))))
