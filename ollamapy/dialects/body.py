"""Reads the JSON body of a request in another API's shape. Text in, a typed value out."""

from typing import Any, TypeVar

import msgspec

from ollamapy.errors import InvalidInput
from ollamapy.wire.fields import normalised

T = TypeVar("T", bound=msgspec.Struct)


def decode(body: bytes, kind: type[T]) -> T:
    """The request in `body`, its fields named in any case.

    Raises InvalidInput with the parser's text; `EOF` for no body at all, as Go says it.
    """
    if not body.strip():
        raise InvalidInput("EOF", hint="send a JSON object")
    try:
        value = msgspec.json.decode(body)
        return msgspec.convert(normalised(value, kind) if isinstance(value, dict) else value, kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(str(error)) from error


def go_type(value: Any) -> str:
    """The name of Go's type for a JSON value, which error texts use."""
    names: dict[type, str] = {
        bool: "bool",
        int: "float64",
        float: "float64",
        str: "string",
        list: "[]interface {}",
        dict: "map[string]interface {}",
    }
    return names.get(type(value), "<nil>")
