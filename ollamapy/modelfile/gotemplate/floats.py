"""Floats as Go's `strconv` writes them. Values are finite: templates and JSON have no others."""

import math
from decimal import Decimal

_MANTISSA_BITS = 52
_TOP_BIT = 60  # of the mantissa that `hexadecimal` shifts into place


def shortest(value: float) -> str:
    """`%v`: the fewest digits that read back; with an exponent below 1e-4 and from 1e6."""
    if 1e-4 <= abs(value) < 1e6:
        return repr(value).removesuffix(".0")
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    return _scientific(value)


def json_number(value: float) -> str:
    """As Go's JSON writes it; with an exponent below 1e-6 and from 1e21."""
    if value == 0 or 1e-6 <= abs(value) < 1e21:
        return format(Decimal(repr(value)), "f").removesuffix(".0")
    text = _scientific(value)
    return text[:-2] + text[-1] if text[-4:-1] == "e-0" else text


def hexadecimal(value: float, precision: int) -> str:
    """`%x`: `0x1.8p+01`; a negative precision asks for the digits needed."""
    sign = "-" if math.copysign(1, value) < 0 else ""
    mantissa, exponent = _mantissa(value)
    if 0 <= precision < 15:
        mantissa, exponent = _rounded(mantissa, exponent, precision)
    lead, fraction = mantissa >> _TOP_BIT, f"{mantissa & ((1 << _TOP_BIT) - 1):015x}"
    fraction = fraction.rstrip("0") if precision < 0 else fraction.ljust(precision, "0")[:precision]
    return f"{sign}0x{lead}{'.' if fraction else ''}{fraction}p{exponent:+03d}"


def binary(value: float) -> str:
    """`%b`: mantissa and power of two, `4503599627370496p-52`."""
    sign = "-" if math.copysign(1, value) < 0 else ""
    exponent = max(math.frexp(value)[1] - 1, -1022) if value else -1022
    return f"{sign}{int(math.ldexp(abs(value), _MANTISSA_BITS - exponent))}p{exponent - _MANTISSA_BITS:+d}"


def _scientific(value: float) -> str:
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)
    first, *rest = map(str, digits)
    fraction = "." + "".join(rest) if rest else ""
    return f"{'-' * sign}{first}{fraction}e{exponent + len(rest):+03d}"


def _mantissa(value: float) -> tuple[int, int]:
    """A mantissa whose top bit is `_TOP_BIT`, and the power of two that goes with it."""
    if value == 0:
        return 0, 0
    fraction, exponent = math.frexp(abs(value))
    return int(math.ldexp(fraction, _TOP_BIT + 1)), exponent - 1


def _rounded(mantissa: int, exponent: int, precision: int) -> tuple[int, int]:
    shift = precision * 4
    extra = (mantissa << shift) & ((1 << _TOP_BIT) - 1)
    mantissa >>= _TOP_BIT - shift
    if extra | (mantissa & 1) > 1 << (_TOP_BIT - 1):
        mantissa += 1
    mantissa <<= _TOP_BIT - shift
    return (mantissa >> 1, exponent + 1) if mantissa & (1 << (_TOP_BIT + 1)) else (mantissa, exponent)
