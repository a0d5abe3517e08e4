"""Numbers in an interval as digits: exact for whole numbers, and for fractions as far as a double is exact."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from ollamapy.modelfile.grammar.gbnf import DIGIT, EMPTY, NOTHING, Chars, Expr, Text, alt, seq, times

MAX_WHOLE = 10**18 - 1
"""What is unbounded stays below this, so that it fits 64 bits."""
_MAX_SIGNIFICANT = 15
"""Decimal digits that a double always holds: with more, rounding could step over a bound."""


@dataclass(frozen=True, slots=True)
class Bound:
    value: Decimal
    is_open: bool = False
    """True when the value itself is outside."""

    def mirrored(self) -> "Bound":
        return Bound(-self.value, self.is_open)


@dataclass(frozen=True, slots=True)
class Interval:
    """None is no bound. `is_whole` leaves whole numbers only."""

    low: Bound | None = None
    high: Bound | None = None
    is_whole: bool = False

    def holds(self, number: int | float) -> bool:
        value = Decimal(repr(number))
        if self.is_whole and value != value.to_integral_value():
            return False
        if self.low and (value < self.low.value or (self.low.is_open and value == self.low.value)):
            return False
        return not (self.high and (value > self.high.value or (self.high.is_open and value == self.high.value)))

    @property
    def is_empty(self) -> bool:
        """True when no number is inside."""
        if self.low is None or self.high is None:
            return False
        if self.is_whole:
            return self.lowest > self.highest
        if self.low.value == self.high.value:
            return self.low.is_open or self.high.is_open
        return self.low.value > self.high.value

    @property
    def lowest(self) -> int:
        """The lowest whole number inside that is ever written."""
        if self.low is None:
            return min(-MAX_WHOLE, self.highest - MAX_WHOLE) if self.high else -MAX_WHOLE
        floor = int(self.low.value.to_integral_value(ROUND_CEILING))
        return floor + (self.low.is_open and floor == self.low.value)

    @property
    def highest(self) -> int:
        """The highest whole number inside that is ever written."""
        if self.high is None:
            return max(MAX_WHOLE, self.lowest + MAX_WHOLE) if self.low else MAX_WHOLE
        ceiling = int(self.high.value.to_integral_value(ROUND_FLOOR))
        return ceiling - (self.high.is_open and ceiling == self.high.value)


def common(left: Interval, right: Interval) -> Interval:
    """What is inside both."""
    lows = [bound for bound in (left.low, right.low) if bound]
    highs = [bound for bound in (left.high, right.high) if bound]
    return Interval(
        max(lows, key=lambda bound: (bound.value, bound.is_open), default=None),
        min(highs, key=lambda bound: (bound.value, not bound.is_open), default=None),
        left.is_whole or right.is_whole,
    )


def digits_of(interval: Interval) -> Expr:
    """The numbers inside, as JSON writes them without an exponent."""
    if interval.is_empty:
        return NOTHING
    return _whole(interval.lowest, interval.highest) if interval.is_whole else _fractional(interval)


def _whole(low: int, high: int) -> Expr:
    negative = seq(Text("-"), natural(max(1, -high), -low)) if low < 0 else NOTHING
    return alt(negative, natural(max(0, low), high))


def natural(low: int, high: int) -> Expr:
    """Whole numbers from `low` to `high`, neither of them negative, without leading zeros."""
    options = []
    for length in range(len(str(low)), len(str(max(high, 0))) + 1):
        start, end = max(low, 10 ** (length - 1) if length > 1 else 0), min(high, 10**length - 1)
        if start <= end:
            options.append(_same_length(str(start), str(end), length))
    return alt(*options)


def _same_length(low: str | None, high: str | None, length: int) -> Expr:
    """`length` digits between `low` and `high`, where None holds nothing back."""
    if length == 0:
        return EMPTY
    low = None if low and not low.strip("0") else low
    high = None if high and not high.strip("9") else high
    if low is None and high is None:
        return times(DIGIT, length, length)
    first, last = int(low[0]) if low else 0, int(high[0]) if high else 9
    options = []
    for start, end, is_low, is_high in _split(first, last, low is not None, high is not None):
        rest = _same_length(low[1:] if low and is_low else None, high[1:] if high and is_high else None, length - 1)
        options.append(seq(_digits(start, end), rest))
    return alt(*options)


def _split(first: int, last: int, has_low: bool, has_high: bool) -> list[tuple[int, int, bool, bool]]:
    """The digits from `first` to `last` in runs, and whether a run is at the lower and the upper bound."""
    if first == last:
        return [(first, last, has_low, has_high)]
    start, end = first + has_low, last - has_high
    return [
        *([(first, first, True, False)] if has_low else []),
        *([(start, end, False, False)] if start <= end else []),
        *([(last, last, False, True)] if has_high else []),
    ]


def _digits(first: int, last: int) -> Expr:
    return Text(str(first)) if first == last else Chars(((48 + first, 48 + last),))


def _fractional(interval: Interval) -> Expr:
    """Below zero the bounds change places, and zero itself has no sign."""
    low, high = interval.low, interval.high
    options = []
    if low is None or low.value < 0:
        under = high.mirrored() if high and high.value < 0 else Bound(Decimal(0), is_open=True)
        options.append(seq(Text("-"), _positive(under, low and low.mirrored())))
    if high is None or high.value >= 0:
        options.append(_positive(low if low and low.value >= 0 else Bound(Decimal(0)), high))
    return alt(*options)


def _positive(low: Bound, high: Bound | None) -> Expr:
    """From `low` to `high`, neither of them negative: by the whole part, the first and the last one by their digits."""
    first, low_digits = _parts(low)
    under = (low_digits, low.is_open)
    if high is None:
        room = _room(first)
        far = max(10**_MAX_SIGNIFICANT, first * 10)
        return alt(
            seq(Text(str(first)), _fraction(under, None, room)),
            seq(natural(first + 1, far), _fraction(None, None, room)),
        )
    last, high_digits = _parts(high)
    over, room = (high_digits, high.is_open), _room(last)
    if first == last:
        return seq(Text(str(first)), _fraction(under, over, room))
    return alt(
        seq(Text(str(first)), _fraction(under, None, room)),
        seq(natural(first + 1, last - 1), _fraction(None, None, room)),
        seq(Text(str(last)), _fraction(None, over, room)),
    )


def _room(whole: int) -> int:
    """Digits after the point that a double still tells apart next to `whole`."""
    return _MAX_SIGNIFICANT - len(str(whole))


def _parts(bound: Bound) -> tuple[int, str]:
    """The whole part and the digits after the point, without zeros at the end."""
    whole, _, digits = f"{bound.value:f}".partition(".")
    return int(whole), digits.rstrip("0")


_Edge = tuple[str, bool]
"""Digits after the point that are a bound, and whether it is open."""


def _fraction(low: _Edge | None, high: _Edge | None, room: int) -> Expr:
    """Nothing, or a point and digits."""
    room = max(room, len(low[0]) if low else 0, len(high[0]) if high else 0)
    return alt(_end(low, high), seq(Text("."), _more_digits(low, high, room)))


def _end(low: _Edge | None, high: _Edge | None) -> Expr:
    """Nothing, if no more digits, which are as good as zeros, stay between the bounds."""
    is_inside = low in (None, ("", False)) and high != ("", True)
    return EMPTY if is_inside else NOTHING


def _more_digits(low: _Edge | None, high: _Edge | None, room: int) -> Expr:
    """One to `room` digits that stay between the bounds, where None holds nothing back."""
    if room <= 0:
        return NOTHING
    low = None if low == ("", False) else low
    if low is None and high is None:
        return times(DIGIT, 1, room)
    first, last = int(low[0][:1] or 0) if low else 0, int(high[0][:1] or 0) if high else 9
    options = []
    for start, stop, is_low, is_high in _split(first, last, low is not None, high is not None):
        under = (low[0][1:], low[1]) if low and is_low else None
        over = (high[0][1:], high[1]) if high and is_high else None
        options.append(seq(_digits(start, stop), alt(_end(under, over), _more_digits(under, over, room - 1))))
    return alt(*options)
