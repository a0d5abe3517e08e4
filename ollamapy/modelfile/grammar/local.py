"""Reads the keywords of one schema that speak about a value itself: its `Shape`, without references and choices.

A keyword that no grammar holds is refused by name and place. Nothing is passed over but annotations.
"""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any, NoReturn

from ollamapy.errors import InvalidInput
from ollamapy.modelfile.grammar.budget import MAX_DIGITS, MAX_LENGTH, MAX_PROPERTIES
from ollamapy.modelfile.grammar.formats import ANNOTATIONS, PATTERNS, WHOLE_BITS
from ollamapy.modelfile.grammar.numbers import Bound, Interval
from ollamapy.modelfile.grammar.shapes import (
    ANYTHING,
    NOBODY,
    Arrays,
    Conj,
    Objects,
    Pattern,
    Place,
    Shape,
    Strings,
    only,
)

COMBINED = frozenset({"$ref", "allOf", "anyOf", "oneOf"})
"""Keywords that bring other schemas to the same value; `reader.py` follows them."""
_IGNORED = frozenset(
    {
        *("$schema", "$id", "id", "$comment", "$defs", "definitions", "$anchor", "$vocabulary"),
        *("title", "description", "default", "example", "examples", "deprecated", "readOnly", "writeOnly"),
        *("contentEncoding", "contentMediaType", "contentSchema", "discriminator", "xml", "externalDocs"),
        *("enumNames", "enumDescriptions", "markdownDescription", "errorMessage", "strict"),
    }
)
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_STRINGS = ("minLength", "maxLength", "pattern")
_ARRAYS = ("items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems")
_OBJECTS = (
    "properties",
    "required",
    "additionalProperties",
    "propertyNames",
    "minProperties",
    "maxProperties",
)
_KNOWN = frozenset({*_NUMBERS, *_STRINGS, *_ARRAYS, *_OBJECTS, "type", "nullable", "enum", "const", "format"})
_TYPES: dict[str, Shape] = {
    "null": replace(NOBODY, null=True),
    "boolean": replace(NOBODY, boolean=True),
    "integer": replace(NOBODY, number=Interval(is_whole=True)),
    "number": replace(NOBODY, number=Interval()),
    "string": replace(NOBODY, string=Strings()),
    "array": replace(NOBODY, array=Arrays()),
    "object": replace(NOBODY, object=Objects()),
}


def refuse(path: str, what: str) -> NoReturn:
    """Says what is wrong and where. The field's name is put before it by the caller."""
    raise InvalidInput(f"{path}: {what}")


def at(place: Place, *steps: str | int) -> str:
    """The path of what stands below `place`."""
    return place.path + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def sub(place: Place, schema: Any, *steps: str | int) -> Place:
    return Place(at(place, *steps), schema, place.document)


def shape_of(place: Place) -> Shape:
    """What the schema's own keywords allow."""
    schema = place.schema
    if isinstance(schema, bool):
        return ANYTHING if schema else NOBODY
    if not isinstance(schema, dict):
        refuse(place.path, "a schema must be an object, true or false")
    for keyword in schema:
        if keyword not in _KNOWN and keyword not in COMBINED and keyword not in _IGNORED and keyword[:2] != "x-":
            refuse(place.path, f"{json.dumps(keyword)} is not supported")
    shape = _of_type(place)
    shape = shape.common(replace(ANYTHING, number=_number(place)))
    shape = shape.common(replace(ANYTHING, string=_string(place)))
    shape = shape.common(replace(ANYTHING, array=_array(place)))
    shape = shape.common(replace(ANYTHING, object=_object(place)))
    for values in _values(place):
        shape = shape.common(only(values))
    return shape


def _values(place: Place) -> list[list[Any]]:
    schema = place.schema
    found = [[schema["const"]]] if "const" in schema else []
    if "enum" in schema:
        found.append(_take(place, "enum", list, "a list"))
    return found


def _of_type(place: Place) -> Shape:
    if "type" not in place.schema:
        return ANYTHING
    wanted = place.schema["type"]
    names = wanted if isinstance(wanted, list) else [wanted]
    shape = NOBODY
    for name in names:
        if not isinstance(name, str) or name not in _TYPES:
            refuse(at(place, "type"), f"{_shown(name)} is not a type; it is one of {', '.join(_TYPES)}")
        shape = _either(shape, _TYPES[name])
    return replace(shape, null=True) if place.schema.get("nullable") is True else shape


def _either(left: Shape, right: Shape) -> Shape:
    """Both, of shapes that allow whole types; "number" takes "integer" in."""
    number = right.number if left.number is None or right.number == Interval() else left.number
    return Shape(
        left.null or right.null,
        left.boolean or right.boolean,
        number,
        left.string or right.string,
        left.array or right.array,
        left.object or right.object,
    )


def _shown(value: Any) -> str:
    return json.dumps(value)[:100]


def _take(place: Place, keyword: str, kind: type[Any] | tuple[type[Any], ...], what: str) -> Any:
    value = place.schema[keyword]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        refuse(at(place, keyword), f"must be {what}, found {_shown(value)}")
    return value


def _count(place: Place, keyword: str, limit: int = MAX_LENGTH) -> int | None:
    """A count that is not negative; None when it is not there."""
    if keyword not in place.schema:
        return None
    value = _take(place, keyword, (int, float), "a whole number that is not negative")
    if value != int(value) or value < 0:
        refuse(at(place, keyword), f"must be a whole number that is not negative, found {_shown(value)}")
    if value > limit:
        refuse(at(place, keyword), f"more than {limit} is not supported")
    return int(value)


# Numbers


def _number(place: Place) -> Interval:
    schema = place.schema
    low, high = _bound(place, "minimum"), _bound(place, "maximum")
    open_low = _open_bound(place, "exclusiveMinimum", low)
    open_high = _open_bound(place, "exclusiveMaximum", high)
    lows = [bound for bound in (low, open_low) if bound]
    highs = [bound for bound in (high, open_high) if bound]
    bits = WHOLE_BITS.get(str(schema.get("format")))
    if bits and schema.get("type") == "integer":
        lows.append(Bound(Decimal(-(2 ** (bits - 1)))))
        highs.append(Bound(Decimal(2 ** (bits - 1) - 1)))
    return Interval(
        max(lows, key=lambda bound: (bound.value, bound.is_open), default=None),
        min(highs, key=lambda bound: (bound.value, not bound.is_open), default=None),
    )


def _bound(place: Place, keyword: str) -> Bound | None:
    if keyword not in place.schema:
        return None
    value = Decimal(repr(_take(place, keyword, (int, float), "a number")))
    if len(f"{value:f}") > MAX_DIGITS:
        refuse(at(place, keyword), f"a number of more than {MAX_DIGITS} digits is not supported")
    return Bound(value)


def _open_bound(place: Place, keyword: str, closed: Bound | None) -> Bound | None:
    """A number, or in old schemas `true`, which opens the closed bound."""
    value = place.schema.get(keyword)
    if value is True and closed:
        return Bound(closed.value, is_open=True)
    if isinstance(value, bool):
        return None
    bound = _bound(place, keyword)
    return bound and Bound(bound.value, is_open=True)


# Strings


def _string(place: Place) -> Strings:
    schema = place.schema
    patterns = []
    if "pattern" in schema:
        patterns.append(Pattern(_take(place, "pattern", str, "a text"), at(place, "pattern")))
    if "format" in schema:
        patterns.extend(_format(place))
    return Strings(_count(place, "minLength") or 0, _count(place, "maxLength"), tuple(patterns))


def _format(place: Place) -> list[Pattern]:
    name = _take(place, "format", str, "a text")
    if name in PATTERNS:
        return [Pattern(PATTERNS[name], at(place, "format"))]
    if name not in ANNOTATIONS:
        refuse(at(place, "format"), f"{_shown(name)} is not supported; it can be {', '.join(PATTERNS)}")
    return []


# Arrays


def _array(place: Place) -> Arrays:
    schema = place.schema
    if schema.get("uniqueItems"):
        refuse(place.path, '"uniqueItems" is not supported')
    prefix, rest = schema.get("prefixItems", []), schema.get("items")
    steps: tuple[str, str] = ("prefixItems", "items")
    if isinstance(rest, list):
        prefix, rest = rest, schema.get("additionalItems")
        steps = ("items", "additionalItems")
    if not isinstance(prefix, list):
        refuse(at(place, "prefixItems"), "must be a list")
    return Arrays(
        tuple((sub(place, item, steps[0], index),) for index, item in enumerate(prefix)),
        None if rest is None else (sub(place, rest, steps[1]),),
        _count(place, "minItems") or 0,
        _count(place, "maxItems"),
    )


# Objects


def _object(place: Place) -> Objects:
    schema = place.schema
    properties = _take(place, "properties", dict, "an object") if "properties" in schema else {}
    if len(properties) > MAX_PROPERTIES:
        refuse(at(place, "properties"), f"more than {MAX_PROPERTIES} are not supported")
    return Objects(
        tuple((name, (sub(place, value, "properties", name),)) for name, value in properties.items()),
        _required(place),
        _optional(place, "additionalProperties"),
        _optional(place, "propertyNames") or (),
        _count(place, "minProperties") or 0,
        _count(place, "maxProperties"),
    )


def _required(place: Place) -> frozenset[str]:
    if "required" not in place.schema:
        return frozenset()
    names = _take(place, "required", list, "a list of names")
    if not all(isinstance(name, str) for name in names):
        refuse(at(place, "required"), "must be a list of names")
    if len(names) > MAX_PROPERTIES:
        refuse(at(place, "required"), f"more than {MAX_PROPERTIES} are not supported")
    return frozenset(names)


def _optional(place: Place, keyword: str) -> Conj | None:
    return (sub(place, place.schema[keyword], keyword),) if keyword in place.schema else None
