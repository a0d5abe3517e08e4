"""Intervals of numbers against arithmetic, and what the pieces of a grammar do with counts."""

from decimal import Decimal

import pytest
from fakes import gbnf
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ollamapy.modelfile.grammar.budget import Budget
from ollamapy.modelfile.grammar.gbnf import EMPTY, NOTHING, Grammar, Text, alt, print_rules, seq
from ollamapy.modelfile.grammar.numbers import Bound, Interval, digits_of
from ollamapy.modelfile.grammar.prune import prune

BOUNDS = st.integers(-1300, 1300) | st.decimals(-20, 20, places=2)
OPTIONAL = st.none() | st.builds(Bound, BOUNDS.map(Decimal), st.booleans())


def accepts(interval: Interval, text: str) -> bool:
    rules = {"root": digits_of(interval)}
    return gbnf.parse(print_rules(rules, Budget())).accepts(text)


@settings(max_examples=200, deadline=None)
@given(OPTIONAL, OPTIONAL, st.integers(-1500, 1500))
def test_whole_numbers_are_those_inside(low: Bound | None, high: Bound | None, number: int) -> None:
    interval = Interval(low, high, is_whole=True)
    assume(not interval.is_empty)

    for near in {number, *(int(bound.value) + step for bound in (low, high) if bound for step in (-1, 0, 1))}:
        assert accepts(interval, str(near)) == interval.holds(near)


@settings(max_examples=200, deadline=None)
@given(OPTIONAL, OPTIONAL, st.decimals(-1500, 1500, places=3))
def test_fractions_are_those_inside(low: Bound | None, high: Bound | None, number: Decimal) -> None:
    interval = Interval(low, high)
    assume(not interval.is_empty)
    steps = [Decimal(step) for step in ("-1", "-0.01", "-0.001", "0", "0.001", "0.1")]

    for near in {number, *(bound.value + step for bound in (low, high) if bound for step in steps)}:
        text = f"{near:f}"
        if not (near == 0 and text.startswith("-")):
            assert accepts(interval, text) == interval.holds(float(near))


@pytest.mark.parametrize("text", ["-0", "-0.0", "00", "01", "1.", ".5", "+1", "1e5", "--1", ""])
def test_numbers_that_json_does_not_write_are_refused(text: str) -> None:
    assert not accepts(Interval(Bound(Decimal(-5)), Bound(Decimal(5))), text)
    assert not accepts(Interval(Bound(Decimal(-5)), Bound(Decimal(5)), is_whole=True), text)


def test_bounds_far_away_hold_too() -> None:
    far = Interval(Bound(Decimal(10**25)), None, is_whole=True)

    assert accepts(far, str(10**25))
    assert accepts(far, str(10**25 + 10**17))
    assert not accepts(far, str(10**25 - 1))
    assert accepts(Interval(None, Bound(Decimal(-(10**25))), is_whole=True), str(-(10**25)))
    assert accepts(Interval(Bound(Decimal(10**25))), str(10**25 + 1))


def test_a_fraction_never_rounds_to_its_open_bound() -> None:
    below_one = Interval(None, Bound(Decimal(1), is_open=True))

    assert accepts(below_one, "0.99999999999999")
    assert not accepts(below_one, "0.99999999999999999999")


def test_an_empty_interval_has_no_digits() -> None:
    assert digits_of(Interval(Bound(Decimal(2)), Bound(Decimal(1)))) == NOTHING
    assert Interval(Bound(Decimal(1), is_open=True), Bound(Decimal(1))).is_empty


def repeated(low: int, high: int | None) -> gbnf.Gbnf:
    grammar = Grammar(Budget())
    root = grammar.reserve("root")
    grammar.define(root, grammar.repeat(alt(Text("a"), Text("b")), low, high))
    return gbnf.parse(print_rules(prune(grammar.rules, "root"), grammar.budget))


@pytest.mark.parametrize(
    ("low", "high"), [(0, 3), (2, 2), (1, None), (0, 1200), (700, 1300), (600, None), (1000, 1000)]
)
def test_long_repetitions_count_exactly(low: int, high: int | None) -> None:
    grammar = repeated(low, high)
    lengths = {0, 1, low - 1, low, low + 1, (high or 0) - 1, high or 0, (high or 0) + 1, 499, 500, 501} - {-1}

    assert {length for length in lengths if grammar.accepts("ab"[length % 2] * length)} == {
        length for length in lengths if low <= length and (high is None or length <= high)
    }


def test_nothing_cannot_be_repeated_but_zero_times() -> None:
    grammar = Grammar(Budget())

    assert grammar.repeat(NOTHING, 0, 5) == EMPTY
    assert grammar.repeat(NOTHING, 1, 5) == NOTHING
    assert grammar.repeat(Text("a"), 0, 0) == EMPTY
    assert seq(Text("a"), NOTHING) == NOTHING
    assert prune({"root": NOTHING}, "root") == {}
