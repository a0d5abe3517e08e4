"""The Jinja environment that chat templates run in: what they may use, and the bounds on single operations.

Must never hand a template anything that reaches Python, a file or the network. A loop is stopped from outside, by the
child's timer; one operation that would run for long inside Python itself is refused here before it starts:

1. repetition and concatenation beyond `MAX_TEXT` members
2. powers, products and divisions of integers beyond `MAX_INT_BITS`
3. fields of formatted text wider than `MAX_WIDTH`: `%`, the filter `format`, `str.format`
4. methods and filters that pad, wrap, fill, indent or round by a number beyond `MAX_WIDTH`
"""

import functools
import json
import re
import types
from collections.abc import Callable
from string import Formatter
from typing import Any

import jinja2.ext
import jinja2.nodes
import jinja2.parser
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.runtime import Context, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedFormatter

from ollamapy.modelfile.chatvalues import is_none

MAX_TEXT = 1 << 24
MAX_INT_BITS = 4096
MAX_WIDTH = 9999

_WIDTH = re.compile(r"%(?:\(\w*\))?[-+ #0]*(\*|\d*)(?:\.(\*|\d*))?")
_PADDING_METHODS = frozenset({"center", "ljust", "rjust", "zfill", "expandtabs"})
_PADDING_FILTERS = ("batch", "center", "indent", "round", "slice", "wordwrap")


class TemplateRefusal(jinja2.TemplateError):
    """The template itself said that it does not take what it was given."""


class GenerationTag(jinja2.ext.Extension):
    """`{% generation %}…{% endgeneration %}` marks text for training; here its body is just rendered."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 declares it so

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class Sandbox(ImmutableSandboxedEnvironment):
    """jinja2's sandbox with the bounds above and the filters, tests and functions that chat templates expect."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", GenerationTag], cache_size=0
        )
        del self.globals["lipsum"]
        self.globals["raise_exception"] = _raise_exception
        self.filters.update({name: _bounded(FILTERS[name]) for name in _PADDING_FILTERS})
        self.filters.update(tojson=to_json, format=_format)
        self.tests["none"] = is_none

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """The result of an operator, unless a bound forbids it. Raises SecurityError."""
        if isinstance(left, int) and isinstance(right, int):
            _check_integers(operator, left, right)
        elif operator in "+*":
            _check_lengths(operator, left, right)
        elif operator == "%" and isinstance(left, str):
            check_widths(left)
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """The result of a call, unless a bound forbids it. Raises SecurityError."""
        is_method = isinstance(__obj, types.BuiltinMethodType) and isinstance(__obj.__self__, str)
        if is_method and __obj.__name__ in _PADDING_METHODS:
            _check_numbers(args, kwargs)
        return super().call(__context, __obj, *args, **kwargs)

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:
        """As in jinja2, but that a private attribute is an error at once, even when nothing is done with it."""
        if attribute.startswith("_"):
            raise SecurityError(f"access to the attribute {attribute!r} is not allowed")
        return super().unsafe_undefined(obj, attribute)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """`str.format` and `str.format_map`, with bounded fields; None for anything else."""
        if super().wrap_str_format(value) is None:
            return None
        text, formatter = str(value.__self__), _BoundedFormatter(self)
        if value.__name__ == "format_map":
            return lambda mapping: formatter.vformat(text, (), mapping)
        return lambda *args, **kwargs: formatter.vformat(text, args, kwargs)


class _BoundedFormatter(SandboxedFormatter, Formatter):
    """The sandbox's formatter, refusing wide fields."""

    def format_field(self, value: Any, format_spec: str) -> str:
        _check_digits(re.findall(r"\d+", format_spec))
        return str(super().format_field(value, format_spec))


def to_json(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    """JSON as chat templates expect it: `, ` and `: `, no HTML escapes, key order kept."""
    _check_numbers((indent,), {})
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def check_widths(text: str) -> None:
    """Raises SecurityError when `text % …` would print wide fields, or take a width from its arguments."""
    if len(text) > MAX_TEXT >> 8:
        raise SecurityError("a format is too long")
    _check_digits([digits for field in _WIDTH.findall(text) for digits in field if digits])


def _check_digits(fields: list[str]) -> None:
    if any(digits == "*" or len(digits) > 4 for digits in fields) or sum(map(int, fields)) > 10 * MAX_WIDTH:
        raise SecurityError("a format has too wide a field")


def _check_integers(operator: str, left: int, right: int) -> None:
    bits = (left.bit_length(), right.bit_length())
    if operator == "**":
        too_large = right < 0 or bits[0] * right > MAX_INT_BITS
    else:
        too_large = sum(bits) > MAX_INT_BITS
    if too_large:
        raise SecurityError("a number is too large")


def _check_lengths(operator: str, left: Any, right: Any) -> None:
    lengths = [len(value) if hasattr(value, "__len__") else None for value in (left, right)]
    if operator == "+":
        length = sum(value or 0 for value in lengths)
    else:
        counts = [value for value in (left, right) if isinstance(value, int)]
        length = (lengths[0] or lengths[1] or 0) * max(counts, default=0)
    if length > MAX_TEXT:
        raise SecurityError("a repetition or concatenation is too long")


def _check_numbers(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    if any(isinstance(value, int) and abs(value) > MAX_WIDTH for value in (*args, *kwargs.values())):
        raise SecurityError(f"a width is larger than {MAX_WIDTH}")


def _bounded(filter_: Callable[..., Any]) -> Callable[..., Any]:
    """`filter_`, refusing numbers beyond `MAX_WIDTH` after the value that it is applied to."""

    @functools.wraps(filter_)
    def bounded(*args: Any, **kwargs: Any) -> Any:
        _check_numbers(args[1:], kwargs)
        return filter_(*args, **kwargs)

    return bounded


def _format(value: Any, *args: Any, **kwargs: Any) -> str:
    """The filter `format`: `%` with arguments. Raises SecurityError."""
    text = str(value)
    check_widths(text)
    return text % (kwargs or args)


def _raise_exception(message: str) -> str:
    raise TemplateRefusal(message)
