"""Bare text as the JSON value that a schema asks for. Pure."""

from typing import Any

from ollamapy.modelfile.tools.jsontext import Unreadable, decode

_KINDS: dict[str, tuple[type, ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "array": (list,),
    "object": (dict,),
}
_WORDS = {"true": True, "false": False, "null": None, "none": None}


def typed_value(text: str, schema: Any) -> Any:
    """`text` as the first of the schema's types that fits it, else as it stands; without types it is a string."""
    types = types_of(schema)
    value = _value(text)
    return value if any(_is(value, name) for name in types) else text


def types_of(schema: Any) -> tuple[str, ...]:
    """The names of the types that a schema allows, as far as it says."""
    if not isinstance(schema, dict):
        return ()
    own = schema.get("type")
    names = own if isinstance(own, list) else [own]
    branches = [branch for key in ("anyOf", "oneOf") for branch in _list(schema.get(key))]
    return (*(name for name in names if isinstance(name, str)), *(name for b in branches for name in types_of(b)))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _value(text: str) -> Any:
    stripped = text.strip()
    if stripped.lower() in _WORDS:
        return _WORDS[stripped.lower()]
    try:
        return decode(stripped)
    except Unreadable:
        return text


def _is(value: Any, name: str) -> bool:
    """True when `value` is of the schema's type `name`. A bool is no number, whatever Python says."""
    return isinstance(value, _KINDS.get(name, ())) and isinstance(value, bool) == (name == "boolean")
