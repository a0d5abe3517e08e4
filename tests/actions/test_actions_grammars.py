"""Grammars are made once while they are in use, and do not fill the memory."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ollamapy.actions.grammars import Grammars
from ollamapy.errors import InvalidInput
from ollamapy.modelfile.grammar import json_grammar, schema_to_grammar

SCHEMA = {"type": "object", "properties": {"b": {"type": "integer"}, "a": {"type": "integer"}}}


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


class Maker:
    """Makes texts and remembers how often."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def of(self, text: str) -> Callable[[], str]:
        def make() -> str:
            self.made.append(text)
            return text

        return make


def test_json_and_schemas_become_grammars() -> None:
    grammars = Grammars()

    assert run(grammars.of_format("json")) == json_grammar()
    assert run(grammars.of_format(SCHEMA)) == schema_to_grammar(SCHEMA)


def test_schemas_that_differ_in_the_order_of_their_members_are_different() -> None:
    """The order of a schema's members is that of the answer's."""
    grammars = Grammars()
    turned = {**SCHEMA, "properties": dict(reversed(SCHEMA["properties"].items()))}

    assert run(grammars.of_format(SCHEMA)) != run(grammars.of_format(turned))


def test_a_crowd_with_one_schema_has_it_made_once() -> None:
    maker, grammars = Maker(), Grammars()

    async def crowd() -> list[str]:
        return await asyncio.gather(*(grammars.made(SCHEMA, maker.of("text")) for _ in range(16)))

    assert run(crowd()) == ["text"] * 16
    assert maker.made == ["text"]


def test_the_least_recently_used_goes_when_there_are_too_many_bytes() -> None:
    maker, grammars = Maker(), Grammars(max_bytes=2_500)

    async def story() -> None:
        for name in ("a", "b", "a", "c", "a", "b"):
            await grammars.made(name, maker.of(name * 1_000))

    run(story())
    assert [text[0] for text in maker.made] == ["a", "b", "c", "b"]
    assert repr(grammars) == "<Grammars 2 kept, 2400 of 2500 bytes>"


def test_what_is_larger_than_all_that_is_kept_is_answered_and_not_kept() -> None:
    maker, grammars = Maker(), Grammars(max_bytes=500)

    assert run(grammars.made("a", maker.of("a" * 1_000))) == "a" * 1_000
    assert repr(grammars) == "<Grammars 0 kept, 0 of 500 bytes>"


def test_a_refusal_is_not_kept() -> None:
    grammars = Grammars()

    for _ in range(2):
        with pytest.raises(InvalidInput, match="grammar: line 1: "):
            run(grammars.checked("root ::= ("))

    assert repr(grammars).startswith("<Grammars 0 kept")


def test_a_text_that_was_checked_is_the_grammar() -> None:
    grammars = Grammars()

    assert run(grammars.checked('root ::= "a"')) == 'root ::= "a"'
    assert run(grammars.checked('root ::= "a"')) == 'root ::= "a"'
    assert repr(grammars).startswith("<Grammars 1 kept")
