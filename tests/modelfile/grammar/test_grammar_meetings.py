"""What becomes of keywords, references and choices that speak about the same value."""

import json
from typing import Any

import pytest
from fakes import gbnf

from ollamapy.errors import InvalidInput
from ollamapy.modelfile.grammar import schema_to_grammar


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"oneOf": [{"enum": [1, 2, "a"]}, {"enum": [2, 3]}, {"type": "null"}]}, 3),
        ({"oneOf": [{"const": "a"}, {"type": "integer"}]}, "a"),
        ({"oneOf": [{"enum": [1, "a"]}, {"enum": [2, 3]}], "allOf": [{"enum": [3, 4]}]}, 3),
        ({"enum": [[1.0, {"a": [True]}], [1, {"a": [1]}]], "const": [1, {"a": [True]}]}, [1, {"a": [True]}]),
        ({"oneOf": [{"type": "object"}, {"type": ["object", "null"]}]}, None),
        (
            {"oneOf": [{"type": "array", "minItems": 1, "items": {"type": "null"}}, {"items": {"type": "string"}}]},
            [None],
        ),
        ({"enum": [["a"], {"b": "c"}], "minItems": 2}, {"b": "c"}),
        ({"enum": [{"b": 1}, {"b": 1, "c": 2}, {"d": 1}], "maxProperties": 1, "required": ["b"]}, {"b": 1}),
        ({"enum": [{"b": 1}, {"Bb": 1}], "propertyNames": {"pattern": "^[A-Z]"}}, {"Bb": 1}),
        ({"type": "object", "propertyNames": {"maxLength": 2}, "required": ["ab"]}, {"ab": 1, "cd": []}),
        ({"type": "object", "propertyNames": {"enum": ["ab", "cd", 3]}, "required": ["ab"]}, {"ab": 1, "cd": []}),
        ({"type": "integer", "exclusiveMinimum": False, "minimum": 1}, 1),
        ({"type": "object", "properties": {"ab": {"const": 1}}, "propertyNames": {"maxLength": 1}}, {}),
        ({"prefixItems": [{"const": 1}], "$defs": {"x": {"$ref": "#/prefixItems/0"}}, "$ref": "#/$defs/x"}, 1),
    ],
)
def test_keywords_meet(schema: Any, value: Any) -> None:
    grammar = gbnf.parse(schema_to_grammar(schema))

    assert grammar.accepts(json.dumps(value))


@pytest.mark.parametrize(
    "schema",
    [
        {"oneOf": [{"type": "array", "items": {"type": "null"}}, {"items": {"type": "string"}}]},
        {"const": [1, 2], "prefixItems": [{"type": "string"}]},
    ],
)
def test_keywords_that_do_not_meet_are_refused(schema: Any) -> None:
    with pytest.raises(InvalidInput):
        schema_to_grammar(schema)
