"""Field names as Go's decoder takes them."""

import json
from typing import Any

import msgspec
import pytest

from ollamapy.errors import InvalidInput
from ollamapy.wire.fields import normalised
from ollamapy.wire.native import ChatRequest, CreateRequest, GenerateRequest, decode


def chat(**body: Any) -> ChatRequest:
    return decode(json.dumps(body).encode(), ChatRequest)


@pytest.mark.parametrize("name", ["model", "Model", "MODEL", "mOdEl"])
def test_a_field_is_known_in_any_case(name: str) -> None:
    assert chat(**{name: "echo"}).model == "echo"


def test_fields_of_messages_and_of_their_calls_are_known_in_any_case() -> None:
    call = {"ID": "1", "Function": {"Name": "f", "Arguments": {"City": "Paris"}}}
    [message] = chat(Messages=[{"Role": "user", "CONTENT": "hi", "Tool_Calls": [call]}]).messages

    assert (message.role, message.content) == ("user", "hi")
    assert message.tool_calls[0].function.name == "f"
    assert message.tool_calls[0].function.arguments == {"City": "Paris"}


def test_a_name_on_the_wire_counts_and_not_the_codes_own() -> None:
    assert decode(b'{"From": "a", "from_": "b"}', CreateRequest).from_ == "a"
    assert decode(b'{"_Debug_Render_Only": true, "debug_render_only": false}', GenerateRequest).debug_render_only


def test_of_two_spellings_the_later_counts() -> None:
    assert decode(b'{"model": "a", "MODEL": "b"}', GenerateRequest).model == "b"
    assert decode(b'{"MODEL": "b", "model": "a", "Model": null}', GenerateRequest).model == "a"


def test_what_is_free_form_stays_as_it_is() -> None:
    schema = {"Type": "object", "properties": {"Name": {"default": None}}}
    request = chat(options={"Seed": 1, "stop": None}, format=schema)

    assert request.options == {"Seed": 1, "stop": None}
    assert request.format == schema


def test_nulls_and_missing_members_are_absent_everywhere() -> None:
    [message] = chat(messages=[{"role": None, "content": None, "tool_calls": [{"function": {"name": "f"}}]}]).messages

    assert (message.role, message.content) == ("", "")
    assert message.tool_calls[0].function.arguments == {}


@pytest.mark.parametrize("messages", [5, [5], [[]], {"role": 5}, [{"content": ["a"]}]])
def test_what_is_no_message_is_refused(messages: Any) -> None:
    with pytest.raises(InvalidInput, match=r"\$\.messages"):
        chat(messages=messages)


class Text(msgspec.Struct, tag="text", tag_field="kind"):
    text: str | None = "none"


class Number(msgspec.Struct, tag="number", tag_field="kind"):
    number: int | None = 0


class Pair(msgspec.Struct, tag="pair", tag_field="kind"):
    left: Text | Number
    right: Text


def test_what_may_be_one_struct_or_another_stays_as_it_is_and_tags_are_kept() -> None:
    left, right = {"kind": "number", "number": None}, {"Kind": "text", "TEXT": "x", "other": 1}

    found = normalised({"KIND": "pair", "Left": left, "RIGHT": right}, Pair)

    assert found == {"kind": "pair", "left": left, "right": {"kind": "text", "text": "x"}}
