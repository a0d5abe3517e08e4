"""OpenAI's messages and tools, and what the native API gets: the contract's rows by values."""
# ruff: noqa: E501 - the tables read best with a case a line

from typing import Any

import msgspec
import pytest

from ollamapy.dialects.openai.messages import messages_of, tools_of
from ollamapy.errors import InvalidInput
from ollamapy.wire.native import Message, Tool, ToolCall, ToolCallFunction, ToolFunction
from ollamapy.wire.openai import OfferedTool, SentMessage

CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
NATIVE_CALL = ToolCall(ToolCallFunction("look", {"at": 1}), "c1")
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def translated(*messages: dict[str, Any]) -> list[Message]:
    return list(messages_of(msgspec.convert(messages, tuple[SentMessage, ...])))


@pytest.mark.parametrize(
    ("message", "native"),
    [
        ({"role": "User", "content": "hi"}, [Message("user", "hi")]),
        ({"role": "developer", "content": "hi"}, [Message("developer", "hi")]),
        ({"role": "user", "content": ""}, [Message("user", "")]),
        ({"role": "user", "content": []}, []),
        (
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            [Message("user", "a"), Message("user", "b")],
        ),
        (
            {"role": "user", "content": [{"type": "text", "text": "a"}, IMAGE]},
            [Message("user", "a"), Message("user", images=("AAAA",))],
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": "data:;base64,AAA="}]},
            [Message("user", images=("AAA=",))],
        ),
        (
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}]},
            [Message("user", images=("AA==",))],
        ),
        ({"role": "assistant", "content": "x", "reasoning": "hm"}, [Message("assistant", "x", "hm")]),
        ({"role": "assistant", "content": None, "tool_calls": [CALL]}, [Message("assistant", tool_calls=(NATIVE_CALL,))]),
        ({"role": "assistant", "tool_calls": []}, [Message("assistant")]),
        (
            {"role": "assistant", "content": [{"type": "text", "text": "a"}], "tool_calls": [CALL], "reasoning": "hm"},
            [Message("assistant", "a", "hm", tool_calls=(NATIVE_CALL,))],
        ),
        ({"role": "assistant", "content": [], "tool_calls": [CALL]}, [Message("assistant", tool_calls=(NATIVE_CALL,))]),
        (
            {"role": "tool", "content": "4", "tool_call_id": "c9", "name": "add"},
            [Message("tool", "4", tool_name="add", tool_call_id="c9")],
        ),
        ({"role": "user", "content": "hi", "name": "Ann"}, [Message("user", "hi")]),
    ],
)  # fmt: skip
def test_a_message_becomes_native_ones(message: dict[str, Any], native: list[Message]) -> None:
    assert translated(message) == native


def test_a_tools_result_gets_the_name_of_the_newest_call_with_its_id() -> None:
    older = {"role": "assistant", "tool_calls": [CALL]}
    newer = {"role": "assistant", "tool_calls": [{**CALL, "function": {"name": "add", "arguments": "{}"}}]}
    parts = [{"type": "text", "text": "1"}, {"type": "text", "text": "2"}]

    *_, first, second = translated(older, newer, {"role": "tool", "tool_call_id": "c1", "content": parts})
    [*_, unknown] = translated(older, {"role": "tool", "tool_call_id": "c2", "content": "3"})

    assert first == Message("tool", "1", tool_name="add", tool_call_id="c1")
    assert second == Message("tool", "2", tool_name="add", tool_call_id="c1")
    assert unknown.tool_name == ""


def test_calls_are_numbered_within_their_message() -> None:
    [message] = translated({"role": "assistant", "tool_calls": [CALL, CALL]})

    assert [call.function.index for call in message.tool_calls] == [0, 1]


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"role": "user"}, "invalid message content type: <nil>"),
        ({"role": "user", "content": 1}, "invalid message content type: float64"),
        ({"role": "user", "content": True}, "invalid message content type: bool"),
        ({"role": "user", "content": {}}, "invalid message content type: map[string]interface {}"),
        ({"role": "user", "content": ["x"]}, "invalid message format"),
        ({"role": "user", "content": [{"type": "text", "text": 1}]}, "invalid message format"),
        ({"role": "user", "content": [{"type": "file"}]}, "invalid message format"),
        ({"role": "user", "content": [{"type": "input_audio", "input_audio": "x"}]}, "invalid input_audio format"),
        (
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]},
            "invalid input_audio format: missing data",
        ),
        (
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA-A"}}]},
            "invalid input_audio base64 data: illegal base64 data at input byte 2",
        ),
        *(
            ({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": bad}}]}, text)
            for text in ["invalid tool call arguments"]
            for bad in ("", "[1]", "{", "null", "[" * 10_000)
        ),
        *(
            ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}, text)
            for text in ["image URLs are not currently supported, please use base64 encoded data instead"]
            for url in ("http://x/y.png", "https://x/y.png")
        ),
        *(
            ({"role": "user", "content": [{"type": "image_url", "image_url": url}]}, "invalid image input")
            for url in ("data:image/gif;base64,AAAA", "AAAA", "data:image/png;base64,A", {}, None, 7, "file:///etc/hosts")
        ),
    ],
)  # fmt: skip
def test_a_message_that_is_none_is_refused_in_the_contracts_words(message: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        translated(message)

    assert caught.value.message == text


def test_tools_lose_what_the_native_api_does_not_know() -> None:
    function = {"name": "f", "description": None, "parameters": {"type": "object"}, "strict": True}
    offered = msgspec.convert([{"type": "function", "function": function}], tuple[OfferedTool, ...])

    assert tools_of(offered) == (Tool(ToolFunction("f", "", {"type": "object"})),)
    assert tools_of(None) == ()
