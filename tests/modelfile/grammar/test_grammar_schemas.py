"""Every schema of schemas.yaml, by its own examples, by values that satisfy it, and by texts that its grammar makes."""

import functools
import json
import random
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from fakes import gbnf
from fakes.schema_values import values
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ollamapy.modelfile.grammar import check_grammar, schema_to_grammar

CASES = yaml.safe_load(Path(__file__).with_name("schemas.yaml").read_text())
BY_NAME = {case["name"]: case for case in CASES}
NAMES = list(BY_NAME)
PLAIN = [name for name in NAMES if "extended" not in BY_NAME[name]]
"""Without schemas that have a keyword of an old draft, which jsonschema reads otherwise."""
TAKES_ANYTHING = ("anything", "anything at all")
"""No value breaks these schemas."""
HARD_TO_MEET = ("two patterns",)
"""Values made at random all but never satisfy these; the corpus has examples."""
QUICK = settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


@functools.cache
def grammar(name: str) -> gbnf.Gbnf:
    return gbnf.parse(schema_to_grammar(BY_NAME[name]["schema"]))


@functools.cache
def validator(name: str) -> jsonschema.Draft202012Validator:
    schema = BY_NAME[name]["schema"]
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    return jsonschema.Draft202012Validator(schema, format_checker=checker)


def accepts(name: str, value: Any) -> bool:
    return grammar(name).accepts(json.dumps(value, ensure_ascii=False))


def test_there_are_sixty_schemas_of_different_names() -> None:
    assert len(NAMES) == len(CASES) >= 60


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_of_the_corpus_are_accepted_and_refused(name: str) -> None:
    case = BY_NAME[name]

    assert [value for value in case["valid"] if not accepts(name, value)] == []
    assert [value for value in case.get("invalid", []) if accepts(name, value)] == []


@pytest.mark.parametrize("name", PLAIN)
def test_the_examples_of_the_corpus_are_as_jsonschema_sees_them(name: str) -> None:
    case = BY_NAME[name]

    assert [value for value in case["valid"] if not validator(name).is_valid(value)] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in PLAIN if name not in HARD_TO_MEET])
@QUICK
@given(data=st.data())
def test_what_satisfies_the_schema_is_accepted(name: str, data: st.DataObject) -> None:
    schema = BY_NAME[name]["schema"]
    value = data.draw(values(schema, schema))
    assume(validator(name).is_valid(value))

    assert accepts(name, value)


@pytest.mark.parametrize("name", PLAIN)
def test_what_the_grammar_makes_satisfies_the_schema(name: str) -> None:
    chance = random.Random(name)

    for _ in range(25):
        text = grammar(name).write(chance)
        validator(name).validate(json.loads(text))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in PLAIN if name not in TAKES_ANYTHING])
@QUICK
@given(data=st.data())
def test_what_breaks_the_schema_is_refused(name: str, data: st.DataObject) -> None:
    """A value for one schema is tried on another."""
    other = BY_NAME[data.draw(st.sampled_from(NAMES))]["schema"]
    value = data.draw(values(other, other))
    assume(not validator(name).is_valid(value))

    assert not accepts(name, value)


@pytest.mark.parametrize("name", NAMES)
def test_the_grammar_passes_the_check_for_strangers(name: str) -> None:
    check_grammar(schema_to_grammar(BY_NAME[name]["schema"]))
