"""What no grammar holds is refused by name and place, and what is too much is refused soon."""

import time
from typing import Any

import pytest

from ollamapy.errors import InvalidInput
from ollamapy.modelfile.grammar import schema_to_grammar

SECONDS = 30.0
"""CPU time for a refusal. Each takes well below one; a machine may be many times slower."""


def refusal(schema: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        schema_to_grammar(schema)
    return caught.value.message


def member(schema: Any) -> Any:
    """`schema` as a member, so that its path has something to say."""
    return {"type": "object", "properties": {"a": schema}}


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"multipleOf": 3}, '"multipleOf" is not supported'),
        ({"not": {}}, '"not" is not supported'),
        ({"if": {}, "then": {}}, '"if" is not supported'),
        ({"patternProperties": {}}, '"patternProperties" is not supported'),
        ({"contains": {}}, '"contains" is not supported'),
        ({"dependentRequired": {}}, '"dependentRequired" is not supported'),
        ({"unevaluatedProperties": False}, '"unevaluatedProperties" is not supported'),
        ({"$dynamicRef": "#a"}, '"$dynamicRef" is not supported'),
        ({"minLenght": 3}, '"minLenght" is not supported'),
        ({"type": "array", "uniqueItems": True}, '"uniqueItems" is not supported'),
        (7, ": a schema must be an object, true or false"),
        ({"type": "text"}, '.type: "text" is not a type; it is one of null, boolean, integer'),
        ({"type": [1]}, ".type: 1 is not a type"),
        ({"minLength": -1}, ".minLength: must be a whole number that is not negative, found -1"),
        ({"minLength": 1.5}, ".minLength: must be a whole number that is not negative, found 1.5"),
        ({"maxLength": "3"}, '.maxLength: must be a whole number that is not negative, found "3"'),
        ({"maxItems": True}, ".maxItems: must be a whole number that is not negative, found true"),
        ({"maxLength": 2_000_000}, ".maxLength: more than 1000000 is not supported"),
        ({"minimum": "1"}, '.minimum: must be a number, found "1"'),
        ({"minimum": 1e-300}, ".minimum: a number of more than 40 digits is not supported"),
        ({"format": "iri"}, '.format: "iri" is not supported; it can be date, time'),
        ({"format": 1}, ".format: must be a text, found 1"),
        ({"pattern": 1}, ".pattern: must be a text, found 1"),
        ({"pattern": "(?=a)"}, ".pattern: looking around and flags are not supported, at character 1"),
        ({"prefixItems": {}}, ".prefixItems: must be a list"),
        ({"properties": []}, ".properties: must be an object, found []"),
        ({"properties": {str(n): {} for n in range(501)}}, ".properties: more than 500 are not supported"),
        ({"required": "a"}, '.required: must be a list of names, found "a"'),
        ({"required": [1]}, ".required: must be a list of names"),
        ({"required": [str(n) for n in range(501)]}, ".required: more than 500 are not supported"),
        ({"enum": 1}, ".enum: must be a list, found 1"),
        ({"anyOf": []}, ".anyOf: must be a list of schemas"),
        ({"allOf": {}}, ".allOf: must be a list of schemas"),
        ({"$ref": 1}, '.$ref: only references into the same schema ("#/…") are supported: 1'),
        ({"$ref": "other.json#/a"}, '.$ref: only references into the same schema ("#/…") are supported'),
        ({"$ref": "#name"}, '.$ref: only references into the same schema ("#/…") are supported'),
        ({"$ref": "#/$defs/none"}, ".$ref: there is nothing at '#/$defs/none'"),
        ({"$ref": "#/properties/a/$ref/0"}, ".$ref: there is nothing at"),
        (
            {"oneOf": [{"type": "integer"}, {"type": "number"}]},
            ".oneOf: values of 1 can also be values of 0: use anyOf",
        ),
        ({"oneOf": [{"const": 1}, {"type": "integer"}]}, ".oneOf: values of 1 can also be values of 0: use anyOf"),
        ({"oneOf": [{"type": "array"}, {"type": "array", "minItems": 1}]}, ".oneOf: values of 0 can also be"),
        ({"oneOf": [{"pattern": "a"}, {"pattern": "b"}], "type": "string"}, ".oneOf: values of 0 can also be"),
        ({"minProperties": 2}, ': "minProperties" 2 is not supported for this object'),
        ({"maxProperties": 1, "properties": {"b": {}, "c": {}}}, ': "maxProperties" 1 is not supported with more'),
        ({"pattern": "^a*$", "maxLength": 9000}, ".pattern: the length is too much to count together with a pattern"),
    ],
)
def test_a_keyword_that_cannot_be_held_is_named_by_its_path(schema: Any, message: str) -> None:
    assert refusal(member(schema)).startswith(f"format: $.properties.a{'' if message[0] in '.:' else ': '}{message}")


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"type": []},
        {"enum": []},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"type": "string", "minLength": 3, "maxLength": 2},
        {"type": "string", "pattern": "^a{3}$", "maxLength": 2},
        {"type": "string", "pattern": "a^"},
        {"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2},
        {"type": "number", "minimum": 1, "exclusiveMaximum": 1},
        {"type": "array", "minItems": 1, "items": False},
        {"type": "array", "minItems": 2, "maxItems": 1},
        {"type": "array", "minItems": 3, "prefixItems": [True, False], "items": True},
        {"type": "object", "required": ["a"], "additionalProperties": False},
        {"type": "object", "required": ["a", "b"], "maxProperties": 1},
        {"type": "object", "properties": {"a": False}, "minProperties": 1, "additionalProperties": False},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"oneOf": [{"type": "string"}, {"type": "string"}]},
        {"enum": [1, 2], "type": "string"},
    ],
)
def test_a_schema_that_no_value_satisfies_is_refused(schema: Any) -> None:
    assert refusal(schema) == "format: $: no value satisfies the schema"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**2000, {1, 2}, b"x"])
def test_values_that_json_does_not_have_are_refused(value: Any) -> None:
    assert "JSON has no such value" in refusal({"const": [value]})


def nested(depth: int, wrap: Any) -> Any:
    schema: Any = {}
    for _ in range(depth):
        schema = wrap(schema)
    return schema


REFERRED_TWICE = {
    **{f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(30)},
    "d30": {},
}
GROWING = {
    f"d{n}": {
        "properties": {
            "x": {"$ref": f"#/$defs/d{(n + 1) % 14}"},
            "y": {"allOf": [{"$ref": f"#/$defs/d{(n + 1) % 14}"}, {"$ref": f"#/$defs/d{(n * 3 + 2) % 14}"}]},
        }
    }
    for n in range(14)
}
BOMBS: dict[str, tuple[Any, str]] = {
    "deep properties": (nested(10_000, member), "more than 64 levels"),
    "deep choices": (nested(10_000, lambda schema: {"anyOf": [schema]}), "more than 64 levels"),
    "a long repetition": ({"pattern": "a{1,2000000}"}, "more than 1000 repetitions"),
    "a longer repetition": ({"pattern": "a{1,20000000000000000000}"}, "more than 1000 repetitions"),
    "repetitions of repetitions": ({"pattern": "((a{1,900}){1,900}){1,900}"}, "too large"),
    "an automaton of a million states": ({"pattern": "^(a|b)*a(a|b){20}$"}, "too large"),
    "a long pattern": ({"pattern": "a|" * 50_000}, "more than 10000 characters"),
    "deep groups": ({"pattern": "(" * 5_000 + ")" * 5_000}, "nested too deep"),
    "many states": ({"pattern": "^(a{900}b{900}c{900}d{900}e{900})$"}, "too complex"),
    "choices multiplied": (
        {"allOf": [{"anyOf": [{"minimum": n}, {"maxLength": n}]} for n in range(30)]},
        "too many alternatives",
    ),
    "choices of choices": ({"$defs": REFERRED_TWICE, "$ref": "#/$defs/d0"}, "too many alternatives"),
    "a chain of choices": (
        {"$defs": {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}]} for n in range(900)}, "$ref": "#/$defs/d0"},
        "too many choices inside choices",
    ),
    "a chain of references": (
        {"$defs": {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(9_000)}, "$ref": "#/$defs/d0"},
        "too many references to references",
    ),
    "sets of schemas": ({"$defs": GROWING, "$ref": "#/$defs/d0"}, "too many schemas"),
    "a big schema": ({"enum": list(range(50_000))}, "more than 20000 values"),
    "a big text": ({"const": "x" * 3_000_000}, "more than 500000 characters"),
    "texts again and again": (
        {
            "$defs": {"e": {"enum": ["x" * 100 + str(n) for n in range(40)]}},
            "prefixItems": [{"$ref": "#/$defs/e", "minLength": n % 100} for n in range(150)],
        },
        "too many characters",
    ),
    "texts inside texts": ({"enum": ["a" * n for n in range(5_000)]}, "more than 500000 characters"),
    "many members": (
        {
            "properties": {f"p{n}": member({"maxLength": 4}) | {"minLength": n} for n in range(450)}
            | {"z": {"items": {}}}
        }
        | {"anyOf": [member({"maximum": n}) for n in range(450)]},
        "too many",
    ),
    "rivals": (
        {"oneOf": [{"type": "object", "properties": {"k": {"const": n}}, "required": ["k"]} for n in range(300)]},
        "too many",
    ),
    "itself": ({"$ref": "#"}, "$: the schema refers to itself with no value in between"),
    "itself among others": (
        {"anyOf": [{"$ref": "#"}, {"type": "string"}]},
        "the schema refers to itself with no value in between",
    ),
    "itself by way of others": (
        {
            "$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"oneOf": [{"$ref": "#/$defs/a"}]}},
            "$ref": "#/$defs/a",
        },
        "the schema refers to itself with no value in between",
    ),
    "more ways at every bracket": (
        {
            "$defs": {
                "a": {
                    "anyOf": [
                        {"type": "array", "items": {"$ref": "#/$defs/a"}, "minItems": n, "maxItems": n + 1}
                        for n in range(15)
                    ]
                }
            },
            "$ref": "#/$defs/a",
        },
        "too ambiguous",
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_soon(name: str) -> None:
    schema, message = BOMBS[name]
    started = time.process_time()

    assert message in refusal(schema)
    assert time.process_time() - started < SECONDS


@pytest.mark.parametrize(
    "schema",
    [
        nested(31, member),
        nested(31, lambda schema: {"anyOf": [schema]}),
        nested(31, lambda schema: {"allOf": [schema, {}]}),
        nested(60, lambda schema: {"items": schema}),
        {"const": nested(60, lambda value: [value]), "items": nested(60, lambda schema: {"items": schema})["items"]},
    ],
)
def test_the_deepest_schemas_need_no_deep_stack(schema: Any) -> None:
    """A daemon calls from a stack of its own."""

    def deeper(level: int) -> str:
        return schema_to_grammar(schema) if level == 0 else deeper(level - 1)

    assert deeper(300)


def test_the_message_begins_with_the_field_that_the_schema_came_in() -> None:
    with pytest.raises(InvalidInput, match=r'^response_format: \$: "not" is not supported'):
        schema_to_grammar({"not": {}}, where="response_format")
