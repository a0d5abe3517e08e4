"""Anthropic's requests, and what the native API gets: the contract's rows by values."""
# ruff: noqa: E501 - the tables read best with a case a line

import json
from typing import Any

import pytest

from ollamapy.dialects.anthropic.requests import counted_request_of, estimate_of, request_of
from ollamapy.dialects.body import decode
from ollamapy.errors import InvalidInput
from ollamapy.wire.anthropic import CountRequest, MessagesRequest
from ollamapy.wire.native import ChatRequest, Message, Tool, ToolCall, ToolCallFunction, ToolFunction

HI = [{"role": "user", "content": "hi"}]
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
USE = {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": 1}}
NATIVE_CALL = ToolCall(ToolCallFunction("look", {"at": 1}), "t1")


def sent(**fields: Any) -> MessagesRequest:
    return decode(json.dumps({"model": "m", "max_tokens": 9, "messages": HI, **fields}).encode(), MessagesRequest)


def native(**fields: Any) -> ChatRequest:
    return request_of(sent(**fields))


def text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def result(content: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "t1", "content": content}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"role": "user", "content": "hi"}, [Message("user", "hi")]),
        ({"role": "user", "content": [text("a"), text("b")]}, [Message("user", "ab")]),
        ({"role": "user", "content": [text("a"), IMAGE]}, [Message("user", "a", images=("AAAA",))]),
        ({"role": "user", "content": []}, []),
        ({"role": "user", "content": ""}, []),
        ({"role": "user", "content": [{"type": "document", "source": {"x": 1}}, {"type": "redacted_thinking", "data": "x"}]}, []),
        ({"role": "user", "content": [{"type": "search_result", "source": "http://x", "content": [text("a")]}]}, []),
        (
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "a", "signature": "s"}, {"type": "thinking", "thinking": "b"}, text("x"), USE]},
            [Message("assistant", "x", "b", tool_calls=(NATIVE_CALL,))],
        ),
        ({"role": "user", "content": [text("now"), result("4")]}, [Message("tool", "4", tool_call_id="t1"), Message("user", "now")]),
        ({"role": "user", "content": [result(None)]}, [Message("tool", "", tool_call_id="t1")]),
        ({"role": "user", "content": [result([text("a"), text("b"), IMAGE])]}, [Message("tool", "ab", images=("AAAA",), tool_call_id="t1")]),
        (
            {
                "role": "assistant",
                "content": [
                    {**USE, "type": "server_tool_use"},
                    {"type": "web_search_tool_result", "tool_use_id": "t1", "content": [{"url": "u"}]},
                ],
            },
            [Message("assistant", tool_calls=(NATIVE_CALL,)), Message("tool", '[{"url":"u"}]', tool_call_id="t1")],
        ),
        ({"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f"}]}, [Message("assistant", tool_calls=(ToolCall(ToolCallFunction("f", {}), "t"),))]),
    ],
)  # fmt: skip
def test_a_message_becomes_native_ones(message: dict[str, Any], expected: list[Message]) -> None:
    assert list(native(messages=[*HI, message]).messages) == [Message("user", "hi"), *expected]


def test_messages_of_which_nothing_is_left_are_none() -> None:
    with pytest.raises(InvalidInput, match="messages is required"):
        native(system="be kind", messages=[{"role": "user", "content": ""}])


def test_a_system_text_among_the_messages_is_a_message() -> None:
    assert native(messages=[{"role": "system", "content": "be kind"}]).messages == (Message("system", "be kind"),)


@pytest.mark.parametrize(
    ("system", "expected"),
    [("be kind", "be kind"), ([text("be "), text("kind")], "be kind"), ("", None), ([], None), (None, None)],
)
def test_the_system_text_is_the_first_message(system: Any, expected: str | None) -> None:
    first = native(system=system).messages[0]

    assert first == (Message("system", expected) if expected else Message("user", "hi"))


def test_options_are_sent_only_when_given() -> None:
    given = native(temperature=0.5, top_p=0.25, top_k=3, stop_sequences=["x"], options={"num_ctx": 64, "top_k": 9})

    assert native().options == {"num_predict": 9}
    assert given.options == {
        "num_ctx": 64,
        "num_predict": 9,
        "temperature": 0.5,
        "top_p": 0.25,
        "top_k": 3,
        "stop": ["x"],
    }


def test_it_does_not_stream_unless_asked_to() -> None:
    assert (native().stream, native(stream=True).stream) == (False, True)


@pytest.mark.parametrize(
    ("fields", "think"),
    [
        ({}, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, True),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}}, False),
        ({"thinking": {"type": "adaptive"}}, None),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, "max"),
        ({"output_config": {"effort": " LOW "}}, "low"),
        ({"output_config": {"effort": "xhigh"}}, "high"),
        ({"output_config": {"effort": "lots"}}, None),
        ({"think": False, "thinking": {"type": "enabled"}}, False),
    ],
)
def test_thinking_is_decided_by_its_type_then_by_the_effort(fields: dict[str, Any], think: Any) -> None:
    assert native(**fields).think == think


def test_a_budget_of_thinking_is_kept() -> None:
    assert native(thinking={"type": "enabled", "budget_tokens": 1024}).options["think_budget"] == 1024
    assert "think_budget" not in native(thinking={"type": "disabled", "budget_tokens": 1024}).options


def test_tools_are_offered_but_for_anthropics_own_search() -> None:
    mine = {"name": "f", "description": "d", "input_schema": {"type": "object"}}
    search = {"type": "web_search_20250305", "name": "web_search"}
    shadow = {"name": "web_search", "input_schema": {}}

    assert native(tools=[mine]).tools == (Tool(ToolFunction("f", "d", {"type": "object"})),)
    assert native(tools=[mine, search, shadow]).tools == native(tools=[mine]).tools
    assert len(native(tools=[mine, shadow]).tools) == 2
    assert native(tools=[mine], tool_choice={"type": "none"}).tools == ()
    assert native(tools=[mine], tool_choice={"type": "auto"}).tools == native(tools=[mine]).tools


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, None),
        ({"type": "auto"}, None),
        ({"type": "none"}, None),
        ({"type": "any"}, "required"),
        ({"type": "tool", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
    ],
)
def test_a_choice_of_tools_is_said_in_the_native_words(choice: Any, expected: Any) -> None:
    assert native(tools=[{"name": "f"}], tool_choice=choice).tool_choice == expected


def test_an_output_format_is_a_format() -> None:
    schema = {"type": "object"}

    assert native(output_config={"format": {"type": "json_schema", "schema": schema}}).format == schema
    assert native().format is None


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"model": ""}, "model is required"),
        ({"model": None, "max_tokens": 0, "messages": []}, "model is required"),
        ({"max_tokens": None}, "max_tokens is required and must be positive"),
        ({"max_tokens": 0, "messages": []}, "max_tokens is required and must be positive"),
        ({"max_tokens": -1}, "max_tokens is required and must be positive"),
        ({"messages": []}, "messages is required"),
        ({"messages": None}, "messages is required"),
        *(
            ({"messages": [{"role": "user", "content": [block]}]}, fault)
            for block, fault in [
                ({"type": "image"}, "invalid image source"),
                ({"type": "image", "source": {"type": "url", "url": "http://x"}}, "invalid image source type: url. Only base64 images are supported."),
                ({"type": "image", "source": {"type": "base64", "data": "AA!A"}}, "invalid base64 image data: illegal base64 data at input byte 2"),
                ({"type": "image", "source": {"type": "base64"}}, "invalid base64 image data: the data is no text"),
                (result([{"type": "image"}]), "invalid tool_result image source"),
                (result([{"type": "image", "source": {"type": "url"}}]), "invalid image source type: url. Only base64 images are supported."),
                ({"type": "tool_use", "name": "f"}, "tool_use block missing required 'id' field"),
                ({"type": "tool_use", "id": "t"}, "tool_use block missing required 'name' field"),
                ({"type": "tool_use", "id": "t", "name": "f", "input": []}, "tool_use block's 'input' must be an object"),
            ]
        ),
        ({"tools": [{"name": "f", "input_schema": []}]}, 'invalid input_schema for tool "f": it must be a JSON schema object'),
    ],
)  # fmt: skip
def test_a_bad_request_is_refused_in_the_contracts_words_and_order(fields: dict[str, Any], fault: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        native(**fields)

    assert caught.value.message == fault


def test_bad_content_of_a_result_is_refused() -> None:
    with pytest.raises(InvalidInput, match="invalid tool_result content"):
        native(messages=[{"role": "user", "content": [result([1])]}])


def test_counting_needs_no_bound_on_the_answer() -> None:
    wanted = decode(json.dumps({"model": "m", "messages": HI}).encode(), CountRequest)

    assert counted_request_of(wanted).messages == (Message("user", "hi"),)


@pytest.mark.parametrize(
    ("fields", "estimate"),
    [
        ({"messages": [{"role": "user", "content": "x" * 40}]}, 11),
        ({"messages": [{"role": "u", "content": ""}]}, 1),
        ({"messages": [{"role": "user", "content": [text("é" * 4), {"type": "thinking", "thinking": "four"}]}]}, 4),
        ({"messages": [{"role": "user", "content": "x"}], "system": "y" * 15}, 5),
        ({"messages": [{"role": "user", "content": "x"}], "tools": [{"name": "abcd", "description": "efgh", "input_schema": {"a": 1}}]}, 5),
    ],
)  # fmt: skip
def test_an_estimate_is_a_quarter_of_the_bytes(fields: dict[str, Any], estimate: int) -> None:
    assert estimate_of(sent(**fields)) == estimate


def test_calls_and_results_count_for_the_estimate_with_their_json() -> None:
    blocks = [USE, result([text("sunny")])]
    num_bytes = sum(len(json.dumps(block, separators=(",", ":"))) for block in blocks)

    assert estimate_of(sent(messages=[{"role": "user", "content": blocks}])) == (len("user") + num_bytes) // 4
