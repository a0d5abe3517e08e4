"""`/v1/chat/completions`: fields of the request, the whole answer, and the chunks of a stream, all by values."""
# ruff: noqa: E501 - the tables read best with a case a line

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from fakes.plain import plain

from ollamapy.dialects.body import decode
from ollamapy.dialects.openai.chat import ChatStream, Envelope, completion_of, requests_of
from ollamapy.errors import InvalidInput
from ollamapy.wire.native import (
    AnswerMessage,
    ChatRequest,
    ChatResponse,
    DebugInfo,
    Logprob,
    Message,
    ToolCall,
    ToolCallFunction,
)
from ollamapy.wire.openai import ChatCompletionRequest

HI = [{"role": "user", "content": "hi"}]
ENVELOPE = Envelope("chatcmpl-7", 1700000000, "m")
LOGPROB = Logprob(token="a", logprob=-0.5, bytes=(97,))
TOOLS = [{"type": "function", "function": {"name": "f"}}]


def natives(**fields: Any) -> list[ChatRequest]:
    return requests_of(decode(json.dumps({"model": "m", "messages": HI, **fields}).encode(), ChatCompletionRequest))


def native(**fields: Any) -> ChatRequest:
    [request] = natives(**fields)
    return request


def call(index: int = 0) -> ToolCall:
    return ToolCall(ToolCallFunction("f", {"x": "é"}, index), f"call_{index}")


def said(content: str = "", thinking: str = "", calls: Sequence[ToolCall] = (), **fields: Any) -> ChatResponse:
    message = AnswerMessage("assistant", content, thinking, tuple(calls))
    return ChatResponse(model="m", created_at="now", message=message, **{"done": False, **fields})


def ended(reason: str = "stop", content: str = "", **fields: Any) -> ChatResponse:
    return said(content, done=True, done_reason=reason, prompt_eval_count=5, eval_count=3, **fields)


def chunks(*answers: ChatResponse, includes_usage: bool = False) -> list[dict[str, Any]]:
    stream = ChatStream(ENVELOPE, includes_usage=includes_usage)
    out = [chunk for answer in answers for chunk in stream.push(0, answer)]
    found: list[dict[str, Any]] = plain([*out, *stream.finish()])
    return found


def deltas(*answers: ChatResponse) -> list[dict[str, Any]]:
    return [chunk["choices"][0]["delta"] for chunk in chunks(*answers)]


def test_a_plain_request_does_not_stream_and_sends_openais_defaults() -> None:
    assert native().stream is False
    assert native().options == {"temperature": 1.0, "top_p": 1.0}
    assert native(stream=True).stream is True


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({"max_tokens": 5}, {"num_predict": 5}),
        ({"max_completion_tokens": 6}, {"num_predict": 6}),
        ({"max_tokens": 5, "max_completion_tokens": 6}, {"num_predict": 5}),
        ({"temperature": 0.2, "top_p": 0.3}, {"temperature": 0.2, "top_p": 0.3}),
        ({"temperature": None}, {}),
        ({"seed": 3, "frequency_penalty": 1, "presence_penalty": 2}, {"seed": 3, "frequency_penalty": 1.0, "presence_penalty": 2.0}),
        ({"stop": "x"}, {"stop": ["x"]}),
        ({"stop": ["x", 1, "y"]}, {"stop": ["x", "y"]}),
        ({"stop": 5}, {}),
        ({"logit_bias": {"50": -100}}, {"logit_bias": {"50": -100.0}}),
        ({"options": {"num_ctx": 64, "temperature": 0.5, "seed": 1}, "seed": 2}, {"num_ctx": 64, "temperature": 0.5, "seed": 2}),
        ({"user": "u", "store": True, "whatever": []}, {}),
    ],
)  # fmt: skip
def test_fields_become_options(fields: dict[str, Any], options: dict[str, Any]) -> None:
    assert native(**fields).options == {"temperature": 1.0, "top_p": 1.0, **options}


@pytest.mark.parametrize(
    ("format_", "native_format"),
    [
        ({"type": " JSON_object "}, "json"),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}, {"type": "object"}),
        ({"type": "json_schema"}, None),
        ({"type": "text"}, None),
        (None, None),
    ],
)
def test_a_response_format_becomes_a_format(format_: Any, native_format: Any) -> None:
    assert native(response_format=format_).format == native_format


@pytest.mark.parametrize(
    ("fields", "think"),
    [
        ({}, None),
        ({"reasoning_effort": ""}, None),
        ({"reasoning_effort": "none"}, False),
        *(({"reasoning_effort": effort}, "low") for effort in ("minimal", "low")),
        *(({"reasoning_effort": effort}, effort) for effort in ("medium", "high", "max")),
        *(({"reasoning_effort": effort}, "max") for effort in ("xhigh", "ultra")),
        ({"reasoning": {"effort": "high"}, "reasoning_effort": "low"}, "high"),
        ({"reasoning": {}, "reasoning_effort": "low"}, None),
        ({"think": True, "reasoning_effort": "low"}, True),
    ],
)
def test_an_effort_becomes_think(fields: dict[str, Any], think: Any) -> None:
    assert native(**fields).think == think


def test_extra_fields_of_the_native_api_are_passed_on() -> None:
    assert native(keep_alive="5m").keep_alive == "5m"
    assert native(logprobs=True, top_logprobs=3).top_logprobs == 3
    assert native(_debug_render_only=True).debug_render_only


def test_tools_are_not_offered_when_none_may_be_called() -> None:
    assert native(tools=TOOLS, tool_choice="none").tools == ()
    assert len(native(tools=TOOLS, tool_choice="auto").tools) == 1


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, None),
        ("auto", None),
        ("none", None),
        ("required", "required"),
        ({"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "f"}}),
    ],
)
def test_a_choice_of_tools_is_passed_on(choice: Any, expected: Any) -> None:
    assert native(tools=TOOLS, tool_choice=choice).tool_choice == expected


def test_several_choices_are_several_requests_whose_seeds_differ() -> None:
    assert [request.options.get("seed") for request in natives(n=3, seed=7)] == [7, 8, 9]
    assert [request.options.get("seed") for request in natives(n=2)] == [None, None]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"messages": []}, "[] is too short - 'messages'"),
        ({"messages": None}, "[] is too short - 'messages'"),
        ({"n": 0}, "n must be between 1 and 128, not 0"),
        ({"n": 129}, "n must be between 1 and 128, not 129"),
        (
            {"reasoning_effort": "lots"},
            'invalid reasoning value: "lots" (must be "minimal", "low", "medium", "high", "xhigh", "ultra", "max", or '
            '"none")',
        ),
        ({"max_tokens": "x"}, "Expected `int | null`, got `str` - at `$.max_tokens`"),
    ],
)
def test_bad_fields_are_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        natives(**fields)

    assert caught.value.message == text


@pytest.mark.parametrize(
    ("body", "text"), [(b"", "EOF"), (b" \n", "EOF"), (b"{", "truncated"), (b"[]", "Expected `object`")]
)
def test_a_body_that_is_no_request_is_refused_with_the_parsers_text(body: bytes, text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        decode(body, ChatCompletionRequest)


def test_fields_are_named_in_any_case_as_in_the_native_api() -> None:
    body = b'{"MODEL": "m", "Messages": [{"ROLE": "user", "Content": "hi", "tool_calls": null}], "max_Tokens": 3}'
    [request] = requests_of(decode(body, ChatCompletionRequest))

    assert (request.model, request.messages, request.options["num_predict"]) == ("m", (Message("user", "hi"),), 3)


def test_a_whole_answer_has_its_fields_in_the_contracts_order() -> None:
    answer = msgspec.json.encode(completion_of(ENVELOPE, [ended(content="hi", logprobs=(LOGPROB,))])).decode()

    assert answer == (
        '{"id":"chatcmpl-7","object":"chat.completion","created":1700000000,"model":"m","system_fingerprint":"fp_ollama",'
        '"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop",'
        '"logprobs":{"content":[{"token":"a","logprob":-0.5,"bytes":[97]}]}}],'
        '"usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8}}'
    )


def test_a_whole_answer_says_thinking_calls_and_what_was_left_out() -> None:
    answer = said("", "hm", [call(0), call(1)], done=True, done_reason="stop", prompt_dropped_count=9, warning="w")
    found = plain(completion_of(ENVELOPE, [answer]))

    assert found["choices"][0]["message"] == {
        "role": "assistant",
        "content": "",
        "reasoning": "hm",
        "tool_calls": [
            {"id": f"call_{n}", "index": n, "type": "function", "function": {"name": "f", "arguments": '{"x":"é"}'}}
            for n in (0, 1)
        ],
    }
    assert found["choices"][0]["finish_reason"] == "tool_calls"
    assert (found["prompt_dropped_count"], found["warning"]) == (9, "w")


def test_choices_share_the_prompt_and_add_up_their_tokens() -> None:
    found = completion_of(ENVELOPE, [ended(content="a"), ended("length", "b")])

    assert [(choice.index, choice.message.content, choice.finish_reason) for choice in found.choices] == [
        (0, "a", "stop"),
        (1, "b", "length"),
    ]
    assert plain(found.usage) == {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11}


def test_a_length_stays_a_length_with_calls() -> None:
    assert completion_of(ENVELOPE, [ended("length")]).choices[0].finish_reason == "length"
    assert chunks(said(calls=[call()]), ended("length"))[-1]["choices"][0]["finish_reason"] == "length"


def test_a_rendered_prompt_is_passed_on() -> None:
    answer = said(debug_info=DebugInfo(rendered_template="<hi>"))

    assert plain(completion_of(ENVELOPE, [answer]))["_debug_info"] == {"rendered_template": "<hi>"}


def test_chunks_have_the_contracts_shape() -> None:
    first, second, last = chunks(said("a", logprobs=(LOGPROB,)), said("b"), ended())

    head = {
        "id": "chatcmpl-7",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": "m",
        "system_fingerprint": "fp_ollama",
    }
    logprobs = {"content": [{"token": "a", "logprob": -0.5, "bytes": [97]}]}
    begin = {"index": 0, "delta": {"role": "assistant", "content": "a"}, "finish_reason": None, "logprobs": logprobs}
    assert first == {**head, "choices": [begin]}
    assert second == {**head, "choices": [{"index": 0, "delta": {"content": "b"}, "finish_reason": None}]}
    assert last == {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([said("a"), ended()], [{"role": "assistant", "content": "a"}, {}]),
        ([ended()], [{"role": "assistant", "content": ""}, {}]),
        ([said("a"), ended(content="b")], [{"role": "assistant", "content": "a"}, {"content": "b"}, {}]),
        (
            [said(thinking="hm"), said("a", "m"), ended()],
            [
                {"role": "assistant", "content": "", "reasoning": "hm"},
                {"reasoning": "m"},
                {"content": "a"},
                {},
            ],
        ),
        ([said("a", "hm"), ended()], [{"role": "assistant", "reasoning": "hm"}, {"content": "a"}, {}]),
    ],
)
def test_deltas_follow_the_contracts_table(answers: list[ChatResponse], expected: list[dict[str, Any]]) -> None:
    assert deltas(*answers) == expected


def test_a_chunk_with_thinking_and_calls_is_split_and_the_log_probabilities_go_first() -> None:
    thinking, calls, _ = chunks(said("", "hm", [call()], logprobs=(LOGPROB,)), ended())

    assert "logprobs" in thinking["choices"][0]
    assert "logprobs" not in calls["choices"][0]
    assert calls["choices"][0]["delta"]["content"] == ""
    assert calls["choices"][0]["delta"]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"x":"é"}'}


def test_a_call_anywhere_in_the_stream_decides_the_reason() -> None:
    assert chunks(said(calls=[call()]), said("more"), ended())[-1]["choices"][0]["finish_reason"] == "tool_calls"
    assert (
        chunks(said(calls=[call()], done=True, done_reason="stop"))[-1]["choices"][0]["finish_reason"] == "tool_calls"
    )


def test_usage_comes_last_and_only_when_asked_for() -> None:
    *before, last = chunks(said("a"), ended(), includes_usage=True)

    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    assert not any("usage" in chunk for chunk in before)
    assert not any("usage" in chunk for chunk in chunks(said("a"), ended()))


def test_each_choice_of_a_stream_begins_and_ends_by_itself() -> None:
    stream = ChatStream(ENVELOPE, 2, includes_usage=True)
    pushed = [(0, said("a")), (1, said("b")), (1, said(calls=[call()])), (0, ended()), (1, ended())]
    out = [chunk for index, answer in pushed for chunk in stream.push(index, answer)]

    choices = [chunk.choices[0] for chunk in out]
    assert [(choice.index, choice.delta.role) for choice in choices[:3]] == [
        (0, "assistant"),
        (1, "assistant"),
        (1, ""),
    ]
    assert [(choice.index, choice.finish_reason) for choice in choices[3:]] == [(0, "stop"), (1, "tool_calls")]
    [usage] = stream.finish()
    assert usage.usage is not None
    assert usage.usage.completion_tokens == 6


def test_what_was_left_out_is_said_with_the_reason() -> None:
    *_, last = chunks(said("a"), ended(prompt_dropped_count=4, thinking_cut=True))

    assert (last["prompt_dropped_count"], last["thinking_cut"]) == (4, True)
    assert chunks(said("a", warning="w"))[0]["warning"] == "w"
