"""Looks a schema over before anything is made of it: its size, its depth, and numbers that JSON does not have."""

import math
from typing import Any

from ollamapy.modelfile.grammar.budget import MAX_NESTING, MAX_NODES, MAX_TEXT_CHARS
from ollamapy.modelfile.grammar.local import refuse

_MAX_INTEGER_BITS = 4096


def survey(schema: Any) -> None:
    """Raises InvalidInput for what would be too much for the code that reads schemas."""
    level, depth, num_nodes, num_chars = [schema], 0, 0, 0
    while level:
        num_nodes += len(level)
        num_chars += sum(map(_num_chars, level))
        if depth > MAX_NESTING:
            refuse("$", f"more than {MAX_NESTING} levels of objects and lists are not supported")
        if num_nodes > MAX_NODES:
            refuse("$", f"more than {MAX_NODES} values are not supported")
        if num_chars > MAX_TEXT_CHARS:
            refuse("$", f"more than {MAX_TEXT_CHARS} characters are not supported")
        level = [child for value in level for child in _children(value)]
        depth += 1


def _num_chars(value: Any) -> int:
    """The characters of a text, or of the names of members."""
    return len(value) if isinstance(value, str) else sum(map(len, value)) if isinstance(value, dict) else 0


def _children(value: Any) -> list[Any]:
    match value:
        case dict():
            return list(value.values())
        case list():
            return value
        case bool() | None | str():
            return []
        case int() if value.bit_length() <= _MAX_INTEGER_BITS:
            return []
        case float() if math.isfinite(value):
            return []
    return refuse("$", f"JSON has no such value, or it is too large: a {type(value).__name__}")
