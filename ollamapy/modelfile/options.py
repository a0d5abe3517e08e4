"""The options a model and a request may set: their names, their types, from and to text. Never decides a default.

`OPTIONS` is the whole list. Three readers share it: `parse_parameter` reads the text of a PARAMETER line or of
`/set parameter`, `check_options` reads JSON, `merge` lays model and request over the built-in defaults.
"""

import json
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

from ollamapy.errors import InvalidInput, OptionError
from ollamapy.modelfile.ranges import check_range
from ollamapy.wire.options import Options

Kind = Literal["integer", "float32", "boolean", "array", "string", "object"]
Value = int | float | bool | str | list[str] | dict[str, float]

OPTIONS: Mapping[str, Kind] = {
    "num_ctx": "integer",
    "num_batch": "integer",
    "num_gpu": "integer",
    "main_gpu": "integer",
    "use_mmap": "boolean",
    "use_mlock": "boolean",
    "num_thread": "integer",
    "kv_type": "string",
    "flash_attention": "boolean",
    "draft_num_predict": "integer",
    "num_keep": "integer",
    "seed": "integer",
    "num_predict": "integer",
    "think_budget": "integer",
    "top_k": "integer",
    "top_p": "float32",
    "min_p": "float32",
    "typical_p": "float32",
    "top_n_sigma": "float32",
    "xtc_probability": "float32",
    "xtc_threshold": "float32",
    "repeat_last_n": "integer",
    "temperature": "float32",
    "dynatemp_range": "float32",
    "dynatemp_exponent": "float32",
    "mirostat": "integer",
    "mirostat_tau": "float32",
    "mirostat_eta": "float32",
    "repeat_penalty": "float32",
    "presence_penalty": "float32",
    "frequency_penalty": "float32",
    "dry_multiplier": "float32",
    "dry_base": "float32",
    "dry_allowed_length": "integer",
    "dry_penalty_last_n": "integer",
    "dry_sequence_breakers": "array",
    "samplers": "array",
    "logit_bias": "object",
    "stop": "array",
    "t_max_predict_ms": "integer",
    "n_indent": "integer",
    "grammar": "string",
}
"""Every option, with the name of its type in error texts."""

DEPRECATED = frozenset({"penalize_newline", "low_vram", "f16_kv", "logits_all", "vocab_only"})
"""Names that old Modelfiles hold: ignored, with a warning in Modelfiles."""

_INT = re.compile(r"([+-]?)0*([0-9]{1,19})\Z")
_BIAS = re.compile(r"([0-9]{1,10})=(.*)\Z", re.DOTALL)
_TOKEN = re.compile(r"[0-9]{1,10}\Z")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z")
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1
_FLOAT_MAX = 3.4028234663852886e38
_ESCAPES = {
    "\a": r"\a",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
    "\\": r"\\",
    '"': r"\"",
}


def parse_parameter(name: str, text: str) -> Value | None:
    """The value that `text` gives to the option `name`, or None for a deprecated one. Raises InvalidInput.

    One text of a list is a list of one, one bias `TOKEN=BIAS` an object of one; `add_parameter` joins them.
    """
    if name in DEPRECATED:
        return None
    if name not in OPTIONS:
        raise InvalidInput(f"unknown parameter '{name}'", hint=f"known are: {', '.join(OPTIONS)}")
    value = _READERS[OPTIONS[name]](text)
    check_range(name, value)
    return value


def parse_parameters(pairs: Iterable[tuple[str, str]]) -> dict[str, Value]:
    """The values of several parameters: of a scalar the last one counts, members add up. Raises InvalidInput."""
    values: dict[str, Value] = {}
    for name, text in pairs:
        add_parameter(values, name, parse_parameter(name, text))
    return values


def add_parameter(values: dict[str, Value], name: str, value: Value | None) -> None:
    """Puts one parsed value among the others: replaces a scalar, extends a list or an object, skips None."""
    before = values.get(name)
    if isinstance(value, list) and isinstance(before, list):
        values[name] = before + value
    elif isinstance(value, dict) and isinstance(before, dict):
        values[name] = before | value
    elif value is not None:
        values[name] = value


def check_options(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The known options of a JSON object, each of its own type. Unknown names and nulls are left out.

    A fraction given to an integer is cut toward zero; numbers out of range become the nearest in range.
    Raises OptionError for a value of the wrong type, InvalidInput for one that the option cannot have.
    """
    checked = {
        name: _CHECKERS[OPTIONS[name]](name, value)
        for name, value in raw.items()
        if name in OPTIONS and value is not None
    }
    for name, value in checked.items():
        check_range(name, value)
    return checked


def merge(*layers: Mapping[str, Any]) -> Options:
    """The built-in defaults with each layer laid over the ones before it. Raises as `check_options` does."""
    values: dict[str, Any] = {}
    for layer in layers:
        values.update(check_options(layer))
    return Options(**{name: _frozen(value) for name, value in values.items()})


def _frozen(value: Any) -> Any:
    """Lists and objects as the tuples that `Options` holds."""
    if isinstance(value, dict):
        return tuple((int(token), bias) for token, bias in value.items())
    return tuple(value) if isinstance(value, list) else value


def format_parameters(params: Mapping[str, Any]) -> str:
    """The `parameters` text of show: a line for each value, the name padded to 30 columns, strings quoted."""
    return "\n".join(f"{name:<30} {_quoted(value)}" for name, value in each_value(params))


def each_value(params: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Name and value of each parameter in turn, once for each member of a list or bias. Nulls are left out."""
    for name, value in params.items():
        if name in OPTIONS and isinstance(value, dict):
            value = [f"{token}={format_value(bias)}" for token, bias in value.items()]
        for member in value if isinstance(value, list | tuple) else (value,):
            if member is not None:
                yield name, member


def format_value(value: Any) -> str:
    """A parameter's value as a PARAMETER line shows it: text as it is, whole numbers plain, floats shortest."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return json.dumps(value, ensure_ascii=False)


def go_quote(text: str) -> str:
    """`text` in double quotes, escaped as Go's `%q` does."""
    return '"' + "".join(_escaped(char) for char in text) + '"'


def single(value: float) -> float:
    """The shortest decimal that is the same single-precision number: 0.7 stays 0.7, 1e39 becomes the largest."""
    bounded = float(max(-_FLOAT_MAX, min(_FLOAT_MAX, value)))
    exact = struct.pack("<f", bounded)
    nearest: float = struct.unpack("<f", exact)[0]
    shorter = (float(f"{nearest:.{digits}g}") for digits in range(1, 9))
    return next((short for short in shorter if _packed(short) == exact), float(f"{nearest:.9g}"))


def _packed(value: float) -> bytes | None:
    """The four bytes of the nearest single-precision number; None when that would be infinity."""
    try:
        return struct.pack("<f", value)
    except OverflowError:
        return None


def _quoted(value: Any) -> str:
    return go_quote(value) if isinstance(value, str) else format_value(value)


def _escaped(char: str) -> str:
    code = ord(char)
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _read_int(text: str) -> int:
    match = _INT.match(text)
    value = int(match[1] + match[2]) if match else None
    if value is None or not _INT_MIN <= value <= _INT_MAX:
        raise InvalidInput(f"invalid int value [{text}]")
    return value


def _read_float(text: str) -> float:
    if not _FLOAT.match(text) or _packed(float(text)) is None:
        raise InvalidInput(f"invalid float value [{text}]")
    return single(float(text))


def _read_bool(text: str) -> bool:
    if text not in _TRUE | _FALSE:
        raise InvalidInput(f"invalid bool value [{text}]")
    return text in _TRUE


def _read_bias(text: str) -> dict[str, float]:
    match = _BIAS.match(text)
    if not match:
        raise InvalidInput(f"invalid bias [{text}]", hint="a token id and what to add to its logit: 15043=-5")
    return {match[1]: _read_float(match[2])}


def _check_int(name: str, value: Any) -> int:
    if not _is_number(value):
        raise OptionError(f'option "{name}" must be of type integer')
    return int(max(_INT_MIN, min(_INT_MAX, value)))


def _check_float(name: str, value: Any) -> float:
    if not _is_number(value):
        raise OptionError(f'option "{name}" must be of type float32')
    return single(value)


def _is_number(value: Any) -> bool:
    """Whether JSON would call it a number; NaN and booleans are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _check_bool(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise OptionError(f'option "{name}" must be of type boolean')
    return value


def _check_list(name: str, value: Any) -> list[str]:
    if not isinstance(value, list | tuple):
        raise OptionError(f'option "{name}" must be of type array')
    if not all(isinstance(member, str) for member in value):
        raise OptionError(f'option "{name}" must be of an array of strings')
    return list(value)


def _check_text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise OptionError(f'option "{name}" must be of type string')
    return value


def _check_biases(name: str, value: Any) -> dict[str, float]:
    if not isinstance(value, dict):
        raise OptionError(f'option "{name}" must be of type object')
    for token in value:
        if not _TOKEN.match(token):
            raise InvalidInput(f'option "{name}" must map token ids to numbers: found the key {json.dumps(token)}')
    return {token: _check_float(name, bias) for token, bias in value.items()}


_READERS: Mapping[Kind, Callable[[str], Value]] = {
    "integer": _read_int,
    "float32": _read_float,
    "boolean": _read_bool,
    "array": lambda text: [text],
    "string": lambda text: text,
    "object": _read_bias,
}
_CHECKERS: Mapping[Kind, Callable[[str, Any], Value]] = {
    "integer": _check_int,
    "float32": _check_float,
    "boolean": _check_bool,
    "array": _check_list,
    "string": _check_text,
    "object": _check_biases,
}
