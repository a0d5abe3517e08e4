"""Values to text: what `{{ value }}`, `print` and `println` write, and `json`. Go's `fmt` without its verbs."""

import re
from collections.abc import Iterable, Sequence
from json.encoder import encode_basestring
from typing import Any

from ollamapy.modelfile.gotemplate.floats import json_number, shortest
from ollamapy.modelfile.gotemplate.values import NO_VALUE, JsonList, JsonMap, Record, TypeNames, is_list

_HTML_IN_JSON = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_NEEDS_ESCAPE = re.compile("[<>&\u2028\u2029\ud800-\udfff]")


def shown(value: Any) -> str:
    """What `{{ value }}` prints."""
    return "<no value>" if value is None or value is NO_VALUE else default(value)


def default(value: Any) -> str:
    """Go's `%v`."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return shortest(value)
    text = own_text(value)
    return _composite(value) if text is None else text


def own_text(value: Any) -> str | None:
    """The text of a value whose type says how it prints; None for others."""
    if isinstance(value, TypeNames):
        return default(value[0]) if len(value) == 1 else _bracketed(value) if value else ""
    if isinstance(value, JsonMap | JsonList) or (isinstance(value, Record) and value.shape.prints_json):
        return to_json(value)
    return None


def _composite(value: Any) -> str:
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{default(value[key])}" for key in sorted(value)) + "]"
    if is_list(value):
        return _bracketed(value)
    if isinstance(value, Record):
        return "{" + " ".join(default(value.fields[member.field]) for member in value.shape.members) + "}"
    return "<nil>"


def _bracketed(values: Iterable[Any]) -> str:
    return "[" + " ".join(default(value) for value in values) + "]"


def printed(values: Sequence[Any]) -> str:
    """Go's `fmt.Sprint`: a space between two operands when neither is a string."""
    parts: list[str] = []
    was_string = True
    for value in values:
        is_string = isinstance(value, str)
        if not (is_string or was_string):
            parts.append(" ")
        parts.append(default(value))
        was_string = is_string
    return "".join(parts)


def printed_line(values: Iterable[Any]) -> str:
    """Go's `fmt.Sprintln`."""
    return " ".join(default(value) for value in values) + "\n"


def to_json(value: Any) -> str:
    """Go's `json.Marshal`: compact, the keys of maps sorted, HTML escaped."""
    parts: list[str] = []
    _write_json(value, parts)
    return "".join(parts)


def _write_json(value: Any, parts: list[str]) -> None:
    if isinstance(value, str):
        parts.append(_json_string(value))
    elif isinstance(value, bool):
        parts.append("true" if value else "false")
    elif isinstance(value, int):
        parts.append(str(int(value)))
    elif isinstance(value, float):
        parts.append(json_number(value))
    elif isinstance(value, dict):
        _write_members(((key, value[key]) for key in sorted(value)), parts)
    elif isinstance(value, Record):
        _write_members(_json_members(value), parts)
    elif isinstance(value, TypeNames) and len(value) == 1:
        _write_json(value[0], parts)
    elif is_list(value):
        _write_elements(value, parts)
    else:
        parts.append("null")


def _write_elements(values: Iterable[Any], parts: list[str]) -> None:
    separator = "["
    for value in values:
        parts.append(separator)
        _write_json(value, parts)
        separator = ","
    parts.append("[]" if separator == "[" else "]")


def _write_members(members: Iterable[tuple[str, Any]], parts: list[str]) -> None:
    separator = "{"
    for key, value in members:
        parts.append(f"{separator}{_json_string(key)}:")
        _write_json(value, parts)
        separator = ","
    parts.append("{}" if separator == "{" else "}")


def _json_members(record: Record) -> Iterable[tuple[str, Any]]:
    for member in record.shape.members:
        value = record.fields[member.field]
        if value or not member.is_optional:
            yield member.key, value


def _json_string(text: str) -> str:
    quoted: str = encode_basestring(text)
    if not _NEEDS_ESCAPE.search(quoted):
        return quoted
    return _NEEDS_ESCAPE.sub(lambda match: _HTML_IN_JSON.get(match[0], "\\ufffd"), quoted)
