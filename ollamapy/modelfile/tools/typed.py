"""Bare text as the JSON value that a schema asks for. Pure."""

from collections.abc import Iterator
from typing import Any

from ollamapy.modelfile.tools.jsontext import Unreadable, decode

_KINDS: dict[str, tuple[type, ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "array": (list,),
    "object": (dict,),
}
_WORDS = {"true": True, "false": False, "null": None, "none": None}
_MAX_SCHEMAS = 1_000
"""Schemas that are followed for one argument."""


def typed_value(text: str, types: tuple[str, ...]) -> Any:
    """`text` as the first of the types that fits it, else as it stands."""
    value = _value(text)
    return value if any(_is(value, name) for name in types if name != "string") else text


def types_of(parameters: dict[str, Any], name: str) -> tuple[str, ...]:
    """The names of the types that the schema `parameters` allows for the member `name`, as far as it says."""
    members = (
        schema["properties"][name]
        for schema in _combined(parameters, parameters)
        if isinstance(schema.get("properties"), dict) and name in schema["properties"]
    )
    found = (kind for member in members for schema in _combined(member, parameters) for kind in _own_types(schema))
    return tuple(dict.fromkeys(found))


def _combined(schema: Any, document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """`schema` and those that it brings to the same value, by reference or as a choice."""
    waiting, seen = [schema], set[int]()
    while waiting and len(seen) < _MAX_SCHEMAS:
        found = waiting.pop()
        if not isinstance(found, dict) or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        branches = [branch for key in ("allOf", "oneOf", "anyOf") for branch in reversed(_list(found.get(key)))]
        waiting += [*branches, *([_target(found["$ref"], document)] if "$ref" in found else [])]


def _target(reference: Any, document: Any) -> Any:
    steps = reference.removeprefix("#").split("/")[1:] if isinstance(reference, str) else []
    for step in steps:
        document = document.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(document, dict) else None
    return document


def _own_types(schema: dict[str, Any]) -> list[str]:
    own = schema.get("type")
    if own is not None:
        names = [name for name in (own if isinstance(own, list) else [own]) if isinstance(name, str)]
        return [*names, *(["null"] if schema.get("nullable") is True else [])]
    values = [*_list(schema.get("enum")), *([schema["const"]] if "const" in schema else [])]
    return [name for name in _KINDS if any(_is(value, name) for value in values)]


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
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _KINDS.get(name, ())) and isinstance(value, bool) == (name == "boolean")
