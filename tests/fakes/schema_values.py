"""JSON values for a schema, by the shortest reading of it: what this makes, jsonschema still has to approve of.

Members come in the order of the schema; others only where the schema speaks of them. Numbers stay where JSON has one
usual way to write them.
"""

import re
from typing import Any

from hypothesis import strategies as st

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
NUMBERS = st.integers(-(10**17), 10**17) | st.floats(-1e6, 1e6, allow_nan=False).map(
    lambda value: round(value, 3) + 0.0
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=4,
)
DEEP = 4
ODD = re.compile("[\0-\x07\x0b\x0e-\x1f\ud800-\udfff]|[^\0-\x7f]|\n$")
"""What Python's `re` takes otherwise than ECMAScript, and control characters without a short escape."""


def values(schema: Any, document: Any, depth: int = 0) -> st.SearchStrategy[Any]:
    """What may satisfy `schema`, with its references counted from `document`."""
    if not isinstance(schema, dict) or depth > DEEP:
        return ANYTHING
    if "$ref" in schema:
        return values({**_target(schema["$ref"], document), **_without(schema, "$ref")}, document, depth)
    if "allOf" in schema:
        return values(_merged(schema), document, depth)
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            rest = _without(schema, keyword)
            return st.one_of(*(values({**rest, **_dict(branch)}, document, depth) for branch in schema[keyword]))
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kinds = schema.get("type", _kind(schema))
    kinds = [kinds] if isinstance(kinds, str) else list(kinds)
    if not kinds:
        return ANYTHING
    if schema.get("nullable"):
        kinds.append("null")
    return st.one_of(*(st.deferred(lambda kind=kind: _of_kind(kind, schema, document, depth)) for kind in kinds))


def _of_kind(kind: str, schema: dict[str, Any], document: Any, depth: int) -> st.SearchStrategy[Any]:
    match kind:
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
        case "integer" | "number":
            return _number(kind, schema)
        case "string":
            return _string(schema)
        case "array":
            return _array(schema, document, depth)
    return _object(schema, document, depth)


def _number(kind: str, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    low, high = schema.get("minimum"), schema.get("maximum")
    opens = [schema.get(name) for name in ("exclusiveMinimum", "exclusiveMaximum")]
    low = opens[0] if low is None and not isinstance(opens[0], bool) else low
    high = opens[1] if high is None and not isinstance(opens[1], bool) else high
    low = -1000 if low is None else low
    high = low + 1000 if high is None else high
    low = min(low, high - 1000) if "minimum" not in schema and opens[0] is None else low
    whole = st.integers(int(low) - 1, int(high) + 1)
    if kind == "integer":
        return whole
    return whole | st.floats(low, high).map(lambda value: round(value, 4) + 0.0).filter(lambda v: "e" not in repr(v))


def _string(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    if "pattern" in schema:
        return st.from_regex(re.compile(schema["pattern"], re.ASCII)).filter(
            lambda text: len(text) < 60 and not ODD.search(text)
        )
    match schema.get("format"):
        case "date":
            return st.dates().map(str)
        case "time":
            return st.times().map(lambda time: f"{time.isoformat()}Z")
        case "date-time":
            return st.datetimes().map(lambda when: f"{when.isoformat()}+01:30")
        case "uuid":
            return st.uuids().map(str)
        case "ipv4":
            return st.ip_addresses(v=4).map(str)
        case "ipv6":
            return st.ip_addresses(v=6).map(lambda address: address.exploded)
        case "email":
            return st.from_regex(r"\A[a-z]{1,5}(\.[a-z]{1,5})?@[a-z]{1,5}\.[a-z]{2}\Z")
        case "hostname":
            return st.from_regex(r"\A[a-z]{1,5}\.[a-z]{2}\Z")
        case "uri":
            return st.from_regex(r"\Ahttps?://[a-z]{1,5}(/[a-z0-9]{0,5})?\Z")
        case "duration":
            return st.from_regex(r"\AP[0-9]{1,3}(D|W|DT[0-9]{1,2}H)\Z")
    low = schema.get("minLength", 0)
    characters = st.characters(exclude_categories=["Cs"])
    return st.text(characters, min_size=low, max_size=max(low, min(schema.get("maxLength", 10**6), low + 6)))


def _array(schema: dict[str, Any], document: Any, depth: int) -> st.SearchStrategy[Any]:
    items = schema.get("items")
    prefix = items if isinstance(items, list) else schema.get("prefixItems", [])
    rest = schema.get("additionalItems") if isinstance(items, list) else items
    low = schema.get("minItems", 0)
    if prefix:
        front = st.tuples(*(values(item, document, depth + 1) for item in prefix)).map(list)
        size = st.integers(low, len(prefix))
        cut = st.builds(lambda found, length: found[:length], front, size)
        if not isinstance(rest, dict):
            return cut
        back = st.lists(values(rest, document, depth + 1), max_size=2)
        return cut | st.builds(lambda found, more: found + more, front, back)
    if rest is False:
        return st.just([])
    room = 2 if depth < DEEP else 0
    return st.lists(
        values(rest, document, depth + 1), min_size=low, max_size=min(schema.get("maxItems", 99), low + room)
    )


def _object(schema: dict[str, Any], document: Any, depth: int) -> st.SearchStrategy[Any]:
    known = {name: item for name, item in schema.get("properties", {}).items() if item is not False}
    required = schema.get("required", [])
    known.update({name: schema.get("additionalProperties", True) for name in required if name not in known})
    members = {
        name: values(item, document, depth + 1) if name in required else st.none() | _kept(item, document, depth)
        for name, item in known.items()
    }
    declared = st.fixed_dictionaries(members).map(
        lambda found: {
            name: found[name] if name in required else found[name][0]
            for name in members
            if name in required or found[name] is not None
        }
    )
    if not schema.get("additionalProperties", not schema.get("properties")):
        return declared
    names = schema.get("propertyNames", {})
    others = st.dictionaries(
        values({"type": "string", **names}, document, depth + 1).filter(
            lambda name: name not in known and not ODD.search(name)
        ),
        values(schema.get("additionalProperties", True), document, depth + 1),
        max_size=2,
    )
    return st.builds(lambda found, more: {**found, **more}, declared, others)


def _kept(schema: Any, document: Any, depth: int) -> st.SearchStrategy[Any]:
    """The value of an optional member in a list, so that a member null is not one that is missing."""
    return st.nothing() if depth >= DEEP else values(schema, document, depth + 1).map(lambda value: [value])


def _kind(schema: dict[str, Any]) -> list[str]:
    by_keyword = {
        "integer": ("minimum", "maximum"),
        "string": ("minLength", "maxLength", "pattern", "format"),
        "array": ("items", "prefixItems", "minItems"),
        "object": ("properties", "required", "additionalProperties"),
    }
    return [kind for kind, keywords in by_keyword.items() if any(keyword in schema for keyword in keywords)]


def _merged(schema: dict[str, Any]) -> dict[str, Any]:
    merged = _without(schema, "allOf")
    for part in schema["allOf"]:
        properties = {**merged.get("properties", {})}
        for name, item in part.get("properties", {}).items():
            properties[name] = {**properties.get(name, {}), **item}
        required = [*merged.get("required", []), *part.get("required", [])]
        merged = {**merged, **part}
        if properties:
            merged |= {"properties": properties, "required": required}
    return merged


def _target(reference: str, document: Any) -> dict[str, Any]:
    found = document
    for step in reference[2:].split("/") if len(reference) > 1 else []:
        found = found[step.replace("~1", "/").replace("~0", "~").replace("%20", " ")]
    return _dict(found)


def _dict(schema: Any) -> dict[str, Any]:
    return schema if isinstance(schema, dict) else {}


def _without(schema: dict[str, Any], keyword: str) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name != keyword}
