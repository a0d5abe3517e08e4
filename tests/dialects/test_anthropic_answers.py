"""Native answers as Anthropic's messages and events, by values."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from fakes.plain import plain

from ollamapy.dialects.anthropic.answers import Envelope, MessageStream, message_of
from ollamapy.dialects.anthropic.errors import error_of
from ollamapy.errors import Busy, Cancelled, Error, InvalidInput, NotFound, Refused
from ollamapy.wire.native import AnswerMessage, ChatResponse, ToolCall, ToolCallFunction

ENVELOPE = Envelope("msg_7", "m")


def call(index: int = 0) -> ToolCall:
    return ToolCall(ToolCallFunction("f", {"x": "é"}, index), f"call_{index}")


def said(content: str = "", thinking: str = "", calls: Sequence[ToolCall] = (), **fields: Any) -> ChatResponse:
    message = AnswerMessage("assistant", content, thinking, tuple(calls))
    return ChatResponse(model="m", created_at="now", message=message, **{"done": False, **fields})


def ended(reason: str = "stop", content: str = "", **fields: Any) -> ChatResponse:
    return said(content, done=True, done_reason=reason, prompt_eval_count=5, eval_count=3, **fields)


def events(*answers: ChatResponse, envelope: Envelope = ENVELOPE) -> list[dict[str, Any]]:
    stream = MessageStream(envelope, 42)
    found: list[dict[str, Any]] = plain([event for answer in answers for event in stream.push(0, answer)])
    assert list(stream.finish()) == []
    return found


def outline(*answers: ChatResponse) -> list[str]:
    """The events in short: type, index of the block, what is in it."""
    short = {"message_start": "begin", "message_delta": "delta", "message_stop": "end"}
    lines = []
    for event in events(*answers):
        block = event.get("content_block", {}).get("type", "")
        delta = event.get("delta", {})
        text = next((delta[key] for key in ("text", "thinking", "partial_json") if key in delta), "")
        kind = short.get(event["type"]) or event["type"].removeprefix("content_block_")
        lines.append(" ".join(part for part in (kind, str(event.get("index", "")), block, text) if part))
    return lines


def test_a_whole_message_has_its_fields_in_the_contracts_order() -> None:
    assert msgspec.json.encode(message_of(ENVELOPE, ended(content="hi"))).decode() == (
        '{"id":"msg_7","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"hi"}],'
        '"stop_reason":"end_turn","usage":{"input_tokens":5,"output_tokens":3}}'
    )


def test_thinking_text_and_calls_are_blocks_in_this_order() -> None:
    answer = said("x", "hm", [call(0), call(1)], done=True, done_reason="stop", prompt_dropped_count=4, warning="w")
    found = plain(message_of(Envelope("msg_7", "m", "no thinking"), answer))

    assert found["content"] == [
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": "x"},
        {"type": "tool_use", "id": "call_0", "name": "f", "input": {"x": "é"}},
        {"type": "tool_use", "id": "call_1", "name": "f", "input": {"x": "é"}},
    ]
    assert (found["prompt_dropped_count"], found["warning"]) == (4, "no thinking; w")


def test_an_empty_answer_has_no_blocks() -> None:
    assert plain(message_of(ENVELOPE, ended()))["content"] == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (ended("stop"), "end_turn"),
        (ended("length"), "max_tokens"),
        (ended("load"), "stop_sequence"),
        (said(calls=[call()], done=True, done_reason="length"), "tool_use"),
    ],
)
def test_the_reason_to_stop_follows_the_native_one(answer: ChatResponse, reason: str) -> None:
    assert message_of(ENVELOPE, answer).stop_reason == reason
    assert events(answer)[-2]["delta"] == {"stop_reason": reason}


def test_the_events_of_a_plain_answer() -> None:
    begin, start, first, second, stop, delta, end = events(said("a"), said("b"), ended())

    usage = {"input_tokens": 42, "output_tokens": 0}
    message = {"id": "msg_7", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage}
    assert begin == {"type": "message_start", "message": message}
    assert start == {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    assert first == {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}}
    assert second["delta"]["text"] == "b"
    assert stop == {"type": "content_block_stop", "index": 0}
    usage = {"input_tokens": 5, "output_tokens": 3}
    assert delta == {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}
    assert end == {"type": "message_stop"}


@pytest.mark.parametrize(
    ("answers", "lines"),
    [
        ([ended()], ["begin", "delta", "end"]),
        ([ended(content="a")], ["begin", "start 0 text", "delta 0 a", "stop 0", "delta", "end"]),
        (
            [said(thinking="h"), said(thinking="m"), said("a"), ended()],
            [
                *("begin", "start 0 thinking", "delta 0 h", "delta 0 m", "stop 0"),
                *("start 1 text", "delta 1 a", "stop 1", "delta", "end"),
            ],
        ),
        (
            [said("a", "hm"), said(thinking="late"), said("b"), ended()],
            [
                *("begin", "start 0 thinking", "delta 0 hm", "stop 0"),
                *("start 1 text", "delta 1 a", "delta 1 b", "stop 1", "delta", "end"),
            ],
        ),
        (
            [said("a"), said(calls=[call(0), call(1)]), said("b"), ended()],
            [
                *("begin", "start 0 text", "delta 0 a", "stop 0"),
                *("start 1 tool_use", 'delta 1 {"x":"é"}', "stop 1"),
                *("start 2 tool_use", 'delta 2 {"x":"é"}', "stop 2"),
                *("start 3 text", "delta 3 b", "stop 3", "delta", "end"),
            ],
        ),
        (
            [said(thinking="hm"), said(calls=[call()]), ended()],
            [
                *("begin", "start 0 thinking", "delta 0 hm", "stop 0"),
                *("start 1 tool_use", 'delta 1 {"x":"é"}', "stop 1", "delta", "end"),
            ],
        ),
        (
            [said("a"), said(thinking="hm"), ended()],
            [
                *("begin", "start 0 text", "delta 0 a", "stop 0"),
                *("start 1 thinking", "delta 1 hm", "stop 1", "delta", "end"),
            ],
        ),
        ([said(), said(), ended()], ["begin", "delta", "end"]),
    ],
)
def test_one_block_is_open_at_a_time(answers: list[ChatResponse], lines: list[str]) -> None:
    assert outline(*answers) == lines


def test_a_call_begins_with_an_empty_input() -> None:
    _, start, *_ = events(said(calls=[call()]), ended())

    block = {"type": "tool_use", "id": "call_0", "name": "f", "input": {}}
    assert start == {"type": "content_block_start", "index": 0, "content_block": block}


def test_the_real_number_of_tokens_is_said_at_once_when_it_is_known() -> None:
    assert events(ended())[0]["message"]["usage"] == {"input_tokens": 5, "output_tokens": 0}


def test_what_went_otherwise_is_said_at_the_end() -> None:
    answers = (said("a", warning="w"), ended(prompt_dropped_count=4, context_dropped_count=9, thinking_cut=True))
    delta = events(*answers, envelope=Envelope("msg_7", "m", "no thinking"))[-2]

    assert (delta["prompt_dropped_count"], delta["context_dropped_count"]) == (4, 9)
    assert (delta["thinking_cut"], delta["warning"]) == (True, "no thinking; w")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidInput("x"), "invalid_request_error"),
        (Refused("x"), "permission_error"),
        (NotFound("x"), "not_found_error"),
        (Busy("x"), "overloaded_error"),
        (Cancelled("x"), "api_error"),
        (Error("x"), "api_error"),
    ],
)
def test_errors_have_the_type_of_their_status(error: Error, kind: str) -> None:
    whole = msgspec.json.encode(error_of(error, "req_1")).decode()

    assert whole == f'{{"type":"error","error":{{"type":"{kind}","message":"x"}},"request_id":"req_1"}}'
    assert plain(error_of(error)) == {"type": "error", "error": {"type": kind, "message": "x"}}
