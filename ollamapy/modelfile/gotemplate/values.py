"""What templates compute with: Go's values as Python's, their types' names, and the rules that look at a value's kind.

| Go | Python |
| --- | --- |
| nil in an interface (an element, a missing key) | None |
| no value at all (reflect's zero Value) | NO_VALUE |
| bool, int, float64, string | bool, int, float, str |
| uint8 (what indexing a string gives) | Byte |
| map[string]any, []any | dict, list |
| a struct | Record |
| a map, list or set of names that prints itself | JsonMap, JsonList, TypeNames |
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


class _NoValue:
    """The value of a pipeline that found nothing; it prints `<no value>` and is false."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "NO_VALUE"


NO_VALUE: Final = _NoValue()


class Byte(int):
    """A uint8."""

    __slots__ = ()


class JsonMap(dict[str, Any]):
    """A map that prints as JSON: the arguments of a call, the properties of a tool."""

    __slots__ = ()


class JsonList(list[Any]):
    """A list that prints as JSON: the tools of a request."""

    __slots__ = ()


class TypeNames(list[Any]):
    """The JSON types of a property: prints the one type, or all in brackets."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Member:
    """A field of a struct and its name in JSON; `is_optional` fields are left out there when they are empty."""

    field: str
    key: str
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """A struct type. Values of a `pointer` type equal themselves only."""

    name: str
    members: tuple[Member, ...]
    prints_json: bool = False

    @property
    def is_pointer(self) -> bool:
        return self.name.startswith("*")


class Record:
    """A struct: `fields` holds a value for every member of its shape. Always true."""

    __slots__ = ("fields", "shape")

    def __init__(self, shape: Shape, fields: Mapping[str, Any]) -> None:
        self.shape = shape
        self.fields = fields


_TYPE_NAMES: Mapping[type, str] = {
    bool: "bool",
    int: "int",
    float: "float64",
    str: "string",
    Byte: "uint8",
    dict: "map[string]interface {}",
    list: "[]interface {}",
    tuple: "[]interface {}",
    JsonMap: "api.Map",
    JsonList: "api.Tools",
    TypeNames: "api.PropertyType",
}


def is_nothing(value: Any) -> bool:
    """True for both of Go's kinds of nothing."""
    return value is None or value is NO_VALUE


def type_name(value: Any) -> str:
    """Go's name for the type of `value`."""
    if isinstance(value, Record):
        return value.shape.name
    return _TYPE_NAMES.get(type(value), "<nil>")


def basic_kind(value: Any) -> str:
    """The kind that comparisons go by; empty for what has no order: nil, lists, maps, structs."""
    if isinstance(value, str):
        return "string"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "uint" if isinstance(value, Byte) else "int"
    return "float" if isinstance(value, float) else ""


def composite_kind(value: Any) -> str:
    """The kind of a value that has no basic one."""
    if is_nothing(value):
        return ""
    if isinstance(value, Record):
        return "pointer" if value.shape.is_pointer else "struct"
    return "map" if isinstance(value, dict) else "list"


def is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)
