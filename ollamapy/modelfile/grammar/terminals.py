"""The pieces that every JSON grammar is made of: white space, strings, numbers, and any value at all."""

from ollamapy.modelfile.grammar.automaton import Dfa
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
from ollamapy.modelfile.grammar.ranges import Ranges, common

_PLAIN: Ranges = ((0x20, 0x21), (0x23, 0x5B), (0x5D, 0xD7FF), (0xE000, 0x10FFFF))
"""What stands in a JSON string as it is."""
_ESCAPES = {0x08: "b", 0x09: "t", 0x0A: "n", 0x0C: "f", 0x0D: "r", 0x22: '"', 0x5C: "\\"}
_HEX = Chars(((48, 57), (65, 70), (97, 102)))
_HEX_BUT_D = Chars(((48, 57), (65, 67), (69, 70), (97, 99), (101, 102)))
_QUOTE = Text('"')
_MAX_INDENT = 20


def one_of(chars: str) -> Expr:
    return Chars(tuple((ord(char), ord(char)) for char in sorted(chars)))


def space(grammar: Grammar) -> Ref:
    """White space between tokens: none, a blank, or a new line with indentation. Bounded, so that an answer goes on."""
    line = seq(Text("\n"), times(one_of("\t "), 0, _MAX_INDENT))
    return grammar.shared("space", "space", lambda: alt(EMPTY, Text(" "), line))


def bracketed(grammar: Grammar, start: str, body: Expr, end: str) -> Expr:
    """`body` between brackets; the empty body leaves no white space."""
    gap = space(grammar)
    options = body.options if isinstance(body, Alt) else (body,)
    inner = seq(gap, alt(*(option for option in options if option != EMPTY)), gap)
    return seq(Text(start), maybe(inner) if EMPTY in options else inner, Text(end))


def char(grammar: Grammar) -> Ref:
    """One character of a string, escaped if need be; a character outside the BMP may be two escapes."""
    quad = seq(_HEX, _HEX)
    basic = alt(seq(_HEX_BUT_D, _HEX), seq(one_of("dD"), Chars(((48, 55),))))
    high = seq(one_of("dD"), Chars(((56, 57), (65, 66), (97, 98))), quad)
    low = seq(one_of("dD"), Chars(((67, 70), (99, 102))), quad)
    escaped = alt(one_of('"/\\bfnrt'), seq(Text("u"), alt(seq(basic, quad), seq(high, Text("\\u"), low))))
    return grammar.shared("char", "char", lambda: alt(Chars(_PLAIN), seq(Text("\\"), escaped)))


def string(grammar: Grammar, low: int = 0, high: int | None = None) -> Expr:
    """A string of `low` to `high` characters."""
    if (low, high) == (0, None):
        return grammar.shared("string", "string", lambda: _quoted(grammar, 0, None))
    return _quoted(grammar, low, high)


def _quoted(grammar: Grammar, low: int, high: int | None) -> Expr:
    return seq(_QUOTE, grammar.repeat(char(grammar), low, high), _QUOTE)


def string_of(grammar: Grammar, dfa: Dfa) -> Expr:
    """A string that `dfa` accepts, every character written in one way only."""
    if dfa.is_empty:
        return NOTHING
    states = [grammar.reserve("state") for _ in dfa.arrows]
    for state, arrows, accepts in zip(states, dfa.arrows, dfa.accepts, strict=True):
        options = [seq(_written(grammar, ranges), states[target]) for ranges, target in arrows]
        grammar.define(state, alt(*options, *([_QUOTE] if accepts else [])))
    return seq(_QUOTE, states[0])


def _written(grammar: Grammar, ranges: Ranges) -> Expr:
    """A character out of `ranges` as JSON writes it."""
    plain = common(ranges, _PLAIN)
    letters = "".join(sign for code, sign in _ESCAPES.items() if common(ranges, ((code, code),)))
    options = [Chars(plain)] if plain else []
    full: Expr = alt(*options, *([seq(Text("\\"), one_of(letters))] if letters else []))
    is_small = len(plain) + len(letters) <= 2
    return full if is_small else grammar.shared(("chars", ranges), "chars", lambda: full)


def integer(grammar: Grammar) -> Ref:
    digits = seq(Chars(((49, 57),)), times(DIGIT, 0, 17))
    return grammar.shared("integer", "integer", lambda: alt(Text("0"), seq(maybe(Text("-")), digits)))


def number(grammar: Grammar) -> Ref:
    """Any number that a double holds: 18 digits before the point, 16 after it, an exponent of two."""
    whole = alt(Text("0"), seq(Chars(((49, 57),)), times(DIGIT, 0, 17)))
    fraction = maybe(seq(Text("."), times(DIGIT, 1, 16)))
    exponent = maybe(seq(one_of("eE"), maybe(one_of("+-")), times(DIGIT, 1, 2)))
    return grammar.shared("number", "number", lambda: seq(maybe(Text("-")), whole, fraction, exponent))


def boolean(grammar: Grammar) -> Ref:
    return grammar.shared("boolean", "boolean", lambda: alt(Text("true"), Text("false")))


def value(grammar: Grammar) -> Ref:
    """Any JSON value."""
    return grammar.shared("value", "value", lambda: _any_value(grammar))


def _any_value(grammar: Grammar) -> Expr:
    scalars = [string(grammar), number(grammar), boolean(grammar), Text("null")]
    return alt(any_object(grammar), any_array(grammar), *scalars)


def any_object(grammar: Grammar) -> Ref:
    return grammar.shared("object", "object", lambda: _list_of(grammar, "{", _member(grammar), "}"))


def any_array(grammar: Grammar) -> Ref:
    return grammar.shared("array", "array", lambda: _list_of(grammar, "[", value(grammar), "]"))


def _member(grammar: Grammar) -> Expr:
    return seq(string(grammar), Text(":"), space(grammar), value(grammar))


def _list_of(grammar: Grammar, start: str, item: Expr, end: str) -> Expr:
    more = Repeat(seq(Text(","), space(grammar), item), 0, None)
    return bracketed(grammar, start, maybe(seq(item, more)), end)
