"""`/v1/responses`: the request, the whole answer, and the events of a stream, all by values."""
# ruff: noqa: E501 - the tables read best with a case a line

import json
from collections.abc import Sequence
from typing import Any

import pytest
from fakes.plain import plain

from ollamapy.dialects.body import decode
from ollamapy.dialects.openai.response_stream import ResponseStream
from ollamapy.dialects.openai.responses import Envelope, request_of, response_of
from ollamapy.errors import InvalidInput
from ollamapy.wire.native import (
    AnswerMessage,
    ChatRequest,
    ChatResponse,
    Message,
    Tool,
    ToolCall,
    ToolCallFunction,
    ToolFunction,
)
from ollamapy.wire.responses import ResponsesRequest

IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
CALL = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"at": 1}'}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "4"}
NATIVE_CALL = ToolCall(ToolCallFunction("look", {"at": 1}), "c1")
NATIVE_RESULT = Message("tool", "4", tool_call_id="c1")


def sent(**fields: Any) -> ResponsesRequest:
    return decode(json.dumps({"model": "m", "input": "hi", **fields}).encode(), ResponsesRequest)


def native(**fields: Any) -> ChatRequest:
    return request_of(sent(**fields))[0]


def assistant(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


def thought(text: str) -> dict[str, Any]:
    return {"type": "reasoning", "summary": [], "encrypted_content": text}


@pytest.mark.parametrize(
    ("input_", "expected"),
    [
        ("hi", [Message("user", "hi")]),
        ("", []),
        ([], []),
        ([{"role": "User", "content": "hi"}], [Message("user", "hi")]),
        ([{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]}], [Message("user", "ab")]),
        ([{"role": "user", "content": [IMAGE, {"type": "input_image"}]}], [Message("user", images=("AAAA",))]),
        ([assistant("a")], [Message("assistant", "a")]),
        ([CALL, RESULT], [Message("assistant", tool_calls=(NATIVE_CALL,)), NATIVE_RESULT]),
        ([assistant("a"), CALL, RESULT], [Message("assistant", "a", tool_calls=(NATIVE_CALL,)), NATIVE_RESULT]),
        ([assistant("a"), CALL, assistant("b"), RESULT], [Message("assistant", "a\nb", tool_calls=(NATIVE_CALL,)), NATIVE_RESULT]),
        ([CALL, {**RESULT, "output": [{"type": "input_text", "text": "4"}]}], [Message("assistant", tool_calls=(NATIVE_CALL,)), NATIVE_RESULT]),
        ([thought("hm"), assistant("a")], [Message("assistant", "a", "hm")]),
        ([thought("hm"), CALL], [Message("assistant", thinking="hm", tool_calls=(NATIVE_CALL,))]),
        ([assistant("a"), thought("hm")], [Message("assistant", "a"), Message("assistant", thinking="hm")]),
        ([thought("hm"), {"role": "user", "content": "x"}, assistant("a")], [Message("user", "x"), Message("assistant", "a", "hm")]),
        ([{"type": "web_search_call", "id": "w"}, {"role": "user", "content": "x"}], [Message("user", "x")]),
    ],
)  # fmt: skip
def test_input_becomes_native_messages(input_: Any, expected: list[Message]) -> None:
    assert list(native(input=input_).messages) == expected


def test_several_calls_of_one_answer_are_numbered() -> None:
    [message] = native(input=[CALL, CALL]).messages

    assert [call.function.index for call in message.tool_calls] == [0, 1]


def test_instructions_are_the_first_message() -> None:
    assert native(instructions="be kind").messages == (Message("system", "be kind"), Message("user", "hi"))


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"input": None}, "input must be a string or array: found null"),
        ({"input": 5}, "input must be a string or array: found int"),
        ({"input": [5]}, "input[0]: Expected `object`, got `int`"),
        ({"input": [{"content": "x"}]}, "input[0]: input item missing required 'type' field"),
        ({"input": [CALL, {"type": "mcp_call"}]}, 'input[1]: unknown input item type: "mcp_call"'),
        ({"input": [{"role": "user", "content": [{"type": "video"}]}]}, "input[0]: content[0]: unknown content type: video"),
        ({"input": [{"role": "user", "content": 5}]}, "input[0]: content must be a string or array: found int"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "file inputs are not currently supported"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "http://x"}]}]}, "image URLs are not currently supported, please use base64 encoded data instead"),
        ({"input": [{**CALL, "arguments": "{"}]}, "failed to parse function call arguments: Input data was truncated"),
        ({"tools": [{"type": "function", "parameters": 5}]}, "tools: Expected `object | null`, got `int` - at `$[0].parameters`"),
        ({"reasoning": {"effort": "lots"}}, 'invalid reasoning value: "lots" (must be "minimal", "low", "medium", "high", "xhigh", "ultra", "max", or "none")'),
    ],
)  # fmt: skip
def test_bad_input_is_refused_and_says_where(fields: dict[str, Any], fault: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        native(**fields)

    assert caught.value.message == fault


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, {"temperature": 1.0}),
        ({"temperature": 0.5, "top_p": 0.25, "max_output_tokens": 7}, {"temperature": 0.5, "top_p": 0.25, "num_predict": 7}),
        ({"options": {"num_ctx": 64, "temperature": 0.1}}, {"num_ctx": 64, "temperature": 0.1}),
    ],
)  # fmt: skip
def test_fields_become_options(fields: dict[str, Any], options: dict[str, Any]) -> None:
    assert native(**fields).options == options


def test_format_and_effort_are_passed_on() -> None:
    schema = {"type": "object"}

    assert native(text={"format": {"type": "json_schema", "name": "n", "schema": schema}}).format == schema
    assert native(text={"format": {"type": "text"}}).format is None
    assert native(reasoning={"effort": "minimal", "summary": "auto"}).think == "low"
    assert native(keep_alive=5).keep_alive == 5


def test_functions_are_offered_and_other_tools_are_named() -> None:
    function = {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}
    space = {
        "type": "namespace",
        "name": "ns",
        "tools": [{"type": "function", "name": "g"}, {"type": "function", "name": "ns.h"}],
    }
    request, warning = request_of(
        sent(tools=[function, space, {"type": "web_search"}, {"type": "custom", "name": "patch"}])
    )

    assert request.tools[0] == Tool(ToolFunction("f", "d", {"type": "object"}))
    assert [tool.function.name for tool in request.tools] == ["f", "ns.g", "ns.h"]
    assert warning == "only functions can be offered to the model, so these are left out: custom patch"
    assert request_of(sent(tools=[function, {"type": "web_search_preview"}]))[1] == ""
    assert native(tools=[function], tool_choice="none").tools == ()


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, None),
        ("auto", None),
        ("none", None),
        ("required", "required"),
        ({"type": "function", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
        ({"type": "mcp"}, {"type": "mcp"}),
    ],
)
def test_a_choice_of_tools_is_said_in_the_native_words(choice: Any, expected: Any) -> None:
    assert native(tools=[{"type": "function", "name": "f"}], tool_choice=choice).tool_choice == expected


def call(index: int = 0) -> ToolCall:
    return ToolCall(ToolCallFunction("f", {"x": "é"}, index), f"call_{index}")


def said(content: str = "", thinking: str = "", calls: Sequence[ToolCall] = (), **fields: Any) -> ChatResponse:
    message = AnswerMessage("assistant", content, thinking, tuple(calls))
    return ChatResponse(model="m", created_at="1970-01-01T00:00:09Z", message=message, **{"done": False, **fields})


def ended(reason: str = "stop", content: str = "", **fields: Any) -> ChatResponse:
    return said(content, done=True, done_reason=reason, prompt_eval_count=5, eval_count=3, **fields)


def answered(answer: ChatResponse, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = plain(response_of(Envelope(7, 1, sent(**fields)), answer))
    return found


def events(*answers: ChatResponse, **fields: Any) -> list[dict[str, Any]]:
    stream = ResponseStream(Envelope(7, 1, sent(**fields), "careful" if fields else ""))
    found: list[dict[str, Any]] = plain([event for answer in answers for event in stream.push(0, answer)])
    assert list(stream.finish()) == []
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    return found


MESSAGE = {
    "id": "msg_7_0",
    "type": "message",
    "status": "completed",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "hi", "annotations": [], "logprobs": []}],
}


def test_a_whole_response_has_every_field() -> None:
    assert list(answered(ended(content="hi", prompt_cached_count=2)).items()) == [
        ("id", "resp_7"),
        ("object", "response"),
        ("created_at", 1),
        ("completed_at", 9),
        ("status", "completed"),
        ("incomplete_details", None),
        ("model", "m"),
        ("previous_response_id", None),
        ("instructions", None),
        ("output", [MESSAGE]),
        ("error", None),
        ("tools", []),
        ("tool_choice", "auto"),
        ("truncation", "disabled"),
        ("parallel_tool_calls", True),
        ("text", {"format": {"type": "text"}}),
        ("top_p", 1.0),
        ("temperature", 1.0),
        ("presence_penalty", 0),
        ("frequency_penalty", 0),
        ("top_logprobs", 0),
        ("reasoning", None),
        (
            "usage",
            {
                "input_tokens": 5,
                "output_tokens": 3,
                "total_tokens": 8,
                "input_tokens_details": {"cached_tokens": 2},
                "output_tokens_details": {"reasoning_tokens": 0},
            },
        ),
        ("max_output_tokens", None),
        ("max_tool_calls", None),
        ("store", False),
        ("background", False),
        ("service_tier", "default"),
        ("metadata", {}),
        ("safety_identifier", None),
        ("prompt_cache_key", None),
    ]


def test_what_was_asked_for_is_said_again() -> None:
    asked: dict[str, Any] = {
        "instructions": "be kind",
        "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": True}],
        "tool_choice": "auto",
        "truncation": "auto",
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}},
        "top_p": 0.5,
        "temperature": 0.25,
        "reasoning": {"effort": "low", "summary": "auto"},
        "max_output_tokens": 9,
        "background": True,
    }
    found = answered(ended(content="hi"), **asked)

    assert {name: found[name] for name in asked} == asked


def test_thinking_text_and_calls_are_items_in_this_order() -> None:
    output = answered(said("x", "hm", [call()], done=True, done_reason="stop"))["output"]

    assert [item["id"] for item in output] == ["rs_7_0", "msg_7_1", "fc_7_2"]
    assert output[0] == {
        "id": "rs_7_0",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "hm"}],
        "encrypted_content": "hm",
    }
    assert output[2] == {
        "id": "fc_7_2",
        "type": "function_call",
        "status": "completed",
        "call_id": "call_0",
        "name": "f",
        "arguments": '{"x":"é"}',
    }


def test_calls_without_text_have_no_message_and_an_empty_answer_has_one() -> None:
    assert [item["type"] for item in answered(said(calls=[call()], done=True))["output"]] == ["function_call"]
    assert [item["content"][0]["text"] for item in answered(ended())["output"]] == [""]


def test_a_cut_answer_is_completed_and_says_why_it_ended() -> None:
    found = answered(
        ended("length", "hi", prompt_dropped_count=4, context_dropped_count=9, thinking_cut=True, warning="w")
    )

    assert (found["status"], found["incomplete_details"]) == ("completed", {"reason": "max_output_tokens"})
    assert (found["prompt_dropped_count"], found["context_dropped_count"]) == (4, 9)
    assert (found["thinking_cut"], found["warning"]) == (True, "w")


def test_the_events_of_a_plain_answer() -> None:
    created, progress, added, part, first, second, text, part_done, done, completed = events(
        said("h"), said("i"), ended()
    )

    assert (created["type"], progress["type"]) == ("response.created", "response.in_progress")
    assert (created["response"]["status"], created["response"]["output"]) == ("in_progress", [])
    assert (created["response"]["usage"], created["response"]["completed_at"]) == (None, None)
    place = {"item_id": "msg_7_0", "output_index": 0, "content_index": 0}
    empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    whole = {**empty, "text": "hi"}
    begun = {**MESSAGE, "status": "in_progress", "content": []}
    assert added == {"type": "response.output_item.added", "sequence_number": 2, "output_index": 0, "item": begun}
    assert part == {"type": "response.content_part.added", "sequence_number": 3, **place, "part": empty}
    assert first == {"type": "response.output_text.delta", "sequence_number": 4, **place, "delta": "h", "logprobs": []}
    assert second["delta"] == "i"
    assert text == {"type": "response.output_text.done", "sequence_number": 6, **place, "text": "hi", "logprobs": []}
    assert part_done == {"type": "response.content_part.done", "sequence_number": 7, **place, "part": whole}
    assert done == {"type": "response.output_item.done", "sequence_number": 8, "output_index": 0, "item": MESSAGE}
    assert (completed["type"], completed["response"]["status"]) == ("response.completed", "completed")
    assert completed["response"]["output"] == [MESSAGE]
    assert completed["response"]["usage"]["total_tokens"] == 8


def test_the_events_of_thinking() -> None:
    _, _, added, first, second, text, done, *rest = events(said(thinking="h"), said(thinking="m"), said("a"), ended())

    place = {"item_id": "rs_7_0", "output_index": 0, "summary_index": 0}
    assert added["item"] == {"id": "rs_7_0", "type": "reasoning", "summary": []}
    assert first == {"type": "response.reasoning_summary_text.delta", "sequence_number": 3, **place, "delta": "h"}
    assert second["delta"] == "m"
    assert text == {"type": "response.reasoning_summary_text.done", "sequence_number": 5, **place, "text": "hm"}
    assert done["item"]["encrypted_content"] == "hm"
    assert rest[0]["output_index"] == 1


def test_the_events_of_a_call() -> None:
    _, _, added, delta, arguments, done, completed = events(said(calls=[call()]), ended())

    item = {"id": "fc_7_0", "type": "function_call", "status": "in_progress", "call_id": "call_0", "name": "f"}
    assert added["item"] == {**item, "arguments": ""}
    assert (delta["type"], delta["delta"]) == ("response.function_call_arguments.delta", '{"x":"é"}')
    assert (arguments["type"], arguments["arguments"]) == ("response.function_call_arguments.done", '{"x":"é"}')
    assert done["item"] == {**item, "status": "completed", "arguments": '{"x":"é"}'}
    assert completed["response"]["output"] == [done["item"]]


@pytest.mark.parametrize(
    ("answers", "kinds"),
    [
        ([ended()], []),
        ([said(), said("a"), ended()], ["message"]),
        ([said("a"), said(calls=[call(0), call(1)]), said("b"), ended()], ["message", "function_call", "function_call", "message"]),
        ([said("a", "hm", [call()]), ended()], ["reasoning", "message", "function_call"]),
        ([said("a"), said(thinking="hm"), ended()], ["message", "reasoning"]),
    ],
)  # fmt: skip
def test_items_are_closed_in_turn_and_are_the_output(answers: list[ChatResponse], kinds: list[str]) -> None:
    found = events(*answers)
    added = [event for event in found if event["type"] == "response.output_item.added"]
    done = [event for event in found if event["type"] == "response.output_item.done"]

    assert [event["item"]["type"] for event in done] == kinds
    assert [event["output_index"] for event in added] == [event["output_index"] for event in done]
    assert [event["item"]["id"] for event in added] == [event["item"]["id"] for event in done]
    assert found[-1]["response"]["output"] == [event["item"] for event in done]


def test_what_was_left_out_is_said_at_the_end() -> None:
    *_, completed = events(said("a", warning="w"), ended(prompt_dropped_count=4), instructions="x")

    assert completed["response"]["warning"] == "careful; w"
    assert completed["response"]["prompt_dropped_count"] == 4
