"""The fields of a JSON object as Go's decoder sees them: names in any case, null for absent. Checks no value."""

import functools
import typing
from collections.abc import Iterator
from typing import Any

import msgspec


def normalised(value: dict[str, Any], kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The members of `value` that are fields of the struct `kind`, each under the field's own name.

    Nulls are left out; of two spellings of one name the later counts. Members that are structs are treated alike; what
    is free-form (options, the arguments of a call) or may be one struct or another stays as it is.
    """
    known = _fields(kind)
    kept: dict[str, Any] = {}
    for name, item in value.items():
        field = known.get(name.lower())
        if field and item is not None:
            own_name, inner = field
            kept[own_name] = _normalised_items(item, inner) if inner else item
    return kept


def _normalised_items(item: Any, kind: type[msgspec.Struct]) -> Any:
    """One struct or a list of them; what is neither is left for the decoder to refuse."""
    if isinstance(item, list):
        return [_normalised_items(entry, kind) for entry in item]
    return normalised(item, kind) if isinstance(item, dict) else item


@functools.cache
def _fields(kind: type[msgspec.Struct]) -> dict[str, tuple[str, type[msgspec.Struct] | None]]:
    """By lower-case name: the name on the wire, and the struct that the field holds or lists, if it can be one only."""
    tag = kind.__struct_config__.tag_field
    known: dict[str, tuple[str, type[msgspec.Struct] | None]] = {tag: (tag, None)} if tag else {}
    for field in msgspec.structs.fields(kind):
        structs = list(_structs(field.type))
        known[field.encode_name.lower()] = (field.encode_name, structs[0] if len(structs) == 1 else None)
    return known


def _structs(kind: Any) -> Iterator[type[msgspec.Struct]]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
    for argument in typing.get_args(kind):
        yield from _structs(argument)
