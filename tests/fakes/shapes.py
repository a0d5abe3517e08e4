"""Whether a JSON value has a shape.

A shape is a type (`int` is no bool), a compiled pattern, a list with the one shape of all members, of which there must
be some, a dict with the shapes of members that must be there among others, or a value.
"""

import re
from typing import Any


def difference(shape: Any, value: Any, path: str = "$") -> str:
    """Where `value` first differs from `shape`, in words; empty when it has the shape."""
    if isinstance(shape, dict) and isinstance(value, dict):
        found = (difference(part, value.get(name), f"{path}.{name}") for name, part in shape.items())
    elif isinstance(shape, list) and isinstance(value, list) and value:
        found = (difference(shape[0], item, f"{path}[{index}]") for index, item in enumerate(value))
    else:
        found = iter(() if _fits(shape, value) else (f"{path} is {value!r}, not {shape!r}",))
    return next(filter(None, found), "")


def _fits(shape: Any, value: Any) -> bool:
    if isinstance(shape, type):
        return type(value) is shape
    if isinstance(shape, re.Pattern):
        return isinstance(value, str) and shape.fullmatch(value) is not None
    return bool(shape == value)
