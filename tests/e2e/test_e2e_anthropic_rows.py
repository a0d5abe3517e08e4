"""Anthropic's API row by row against the daemon: what the model is sent, what is refused, and what comes back.

The mirror model answers with its messages, so that a row is a request and a text.
"""
# ruff: noqa: E501 - the tables read best with a case a line

import json
from itertools import groupby
from typing import Any

import pytest
from fakes.daemon_process import DaemonProcess

HI = {"role": "user", "content": "hi"}
USE = {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": 1}}
TOOL = {"name": "get_weather", "input_schema": {"type": "object", "properties": {}}}
CALLED = '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>'
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
URL = {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}
NOT_BASE64 = "invalid image source type: url. Only base64 images are supported."


def text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def result(content: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "t1", "content": content, **fields}


def user(*blocks: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"messages": [HI, {"role": "assistant", "content": list(blocks)}]}


def body_of(fields: dict[str, Any]) -> dict[str, Any]:
    return {"model": "mirror", "max_tokens": 999, "messages": [HI], **fields}


def answered(daemon: DaemonProcess, **fields: Any) -> dict[str, Any]:
    response = daemon.request("POST", "/v1/messages?beta=true", body_of(fields))
    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/json"), response.text
    found: dict[str, Any] = response.json()
    return found


def events_of(daemon: DaemonProcess, **fields: Any) -> list[dict[str, Any]]:
    """The events of a stream, each under its own name."""
    response = daemon.request("POST", "/v1/messages", body_of({**fields, "stream": True}))
    assert (response.headers["Content-Type"], response.headers["Cache-Control"]) == ("text/event-stream", "no-cache")
    frames = [frame.split("\n") for frame in response.text.removesuffix("\n\n").split("\n\n")]
    events = [json.loads(data.removeprefix("data: ")) for _, data in frames]
    assert [name for name, _ in frames] == [f"event: {event['type']}" for event in events]
    return events


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "<user>hi"),
        ({"system": "be kind"}, "<system>be kind<user>hi"),
        ({"system": [text("be "), {"type": "image"}, text("kind")]}, "<system>be kind<user>hi"),
        ({"system": ""}, "<user>hi"),
        ({"system": []}, "<user>hi"),
        ({"messages": [{"role": "system", "content": "be kind"}]}, "<system>be kind"),
        (user(text("a"), text("b")), "<user>ab"),
        (user(text("a"), {"type": "document", "source": {}}, {"type": "redacted_thinking", "data": "x"}), "<user>a"),
        ({"messages": [HI, {"role": "assistant", "content": []}, {"role": "user", "content": ""}]}, "<user>hi"),
        (assistant({"type": "thinking", "thinking": "x", "signature": "s"}, {"type": "thinking", "thinking": "hm"}, text("a"), USE), '<user>hi<assistant><think>hm</think>a(look {"at":1})'),
        ({"messages": [*assistant(USE)["messages"], *user(text("now"), result("4", is_error=True))["messages"]]}, '<user>hi<assistant>(look {"at":1})<tool of=t1>4<user>now'),
        (user(result([text("a"), text("b")]), text("c")), "<tool of=t1>ab<user>c"),
        (user(result(None)), "<tool of=t1>"),
        (assistant({**USE, "type": "server_tool_use"}, {"type": "web_search_tool_result", "tool_use_id": "t1", "content": []}), '<user>hi<assistant>(look {"at":1})<tool of=t1>[]'),
        ({"tools": [TOOL, {"type": "custom", "name": "own"}]}, "<user>hi[get_weather][own]"),
        ({"tools": [TOOL, {"name": "web_search"}]}, "<user>hi[get_weather][web_search]"),
        ({"tools": [TOOL, {"type": "web_search_20250305", "name": "web_search"}, {"name": "web_search"}]}, "<user>hi[get_weather]"),
        ({"tools": [TOOL], "tool_choice": {"type": "auto"}}, "<user>hi[get_weather]"),
        ({"tools": [TOOL], "tool_choice": {"type": "none"}}, "<user>hi"),
        ({"metadata": {"user_id": "u"}, "cache_control": {}, "service_tier": "auto", "container": None}, "<user>hi"),
        ({"temperature": 0.5, "top_p": 0.5, "top_k": 5, "stop_sequences": ["hi"]}, "<user>"),
        ({"max_tokens": 3}, "<us"),
    ],
)  # fmt: skip
def test_the_model_is_sent_what_the_contract_says(
    shared: DaemonProcess, mirror: str, fields: dict[str, Any], said: str
) -> None:
    [block] = answered(shared, **fields)["content"]

    assert block == text(said)


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": None, "max_tokens": 0}, "model is required"),
        ({"max_tokens": None, "messages": []}, "max_tokens is required and must be positive"),
        ({"max_tokens": -1}, "max_tokens is required and must be positive"),
        ({"messages": []}, "messages is required"),
        (user(), "messages is required"),
        (user({"type": "image"}), "invalid image source"),
        (user(result([{"type": "image"}])), "invalid tool_result image source"),
        (user(URL), NOT_BASE64),
        (user(result([URL])), NOT_BASE64),
        (user({**IMAGE, "source": {**IMAGE["source"], "data": "AA!A"}}), "invalid base64 image data: illegal base64 data at input byte 2"),
        (user(IMAGE), "registry.ollama.ai/library/mirror:latest does not support vision"),
        (assistant({**USE, "id": ""}), "tool_use block missing required 'id' field"),
        (assistant({**USE, "name": ""}), "tool_use block missing required 'name' field"),
        ({"tools": [{"name": "f", "input_schema": []}]}, 'invalid input_schema for tool "f": it must be a JSON schema object'),
        ({"model": "echo", "tools": [TOOL]}, "registry.ollama.ai/library/echo:latest does not support tools"),
        ({"priority": "high"}, "Expected `int | null`, got `str` - at `$.priority`"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_a_400_in_anthropics_shape(
    shared: DaemonProcess, mirror: str, fields: dict[str, Any], message: str, is_streamed: bool
) -> None:
    response = shared.request("POST", "/v1/messages", body_of({**fields, "stream": is_streamed}))
    found = response.json()
    found["error"].pop("hint", None)

    assert (response.status_code, response.headers["Content-Type"]) == (400, "application/json")
    assert found["request_id"].startswith("req_")
    assert (found["type"], found["error"]) == ("error", {"type": "invalid_request_error", "message": message})


@pytest.mark.parametrize(
    ("fields", "kinds"),
    [
        ({}, ["thinking", "text"]),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, ["thinking", "text"]),
        ({"thinking": {"type": "adaptive"}}, ["thinking", "text"]),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "lots"}}, ["thinking", "text"]),
        ({"output_config": {"effort": " XHIGH "}}, ["thinking", "text"]),
        ({"thinking": {"type": "disabled"}}, ["text"]),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}}, ["text"]),
        ({"think": False, "thinking": {"type": "enabled"}}, ["text"]),
    ],
)
def test_thinking_is_decided_by_its_type_then_by_the_effort(
    shared: DaemonProcess, thinker: str, fields: dict[str, Any], kinds: list[str]
) -> None:
    asked = {"model": thinker, "messages": [{"role": "user", "content": "<think>hm</think>4"}]}

    assert [block["type"] for block in answered(shared, **asked, **fields)["content"]] == kinds


@pytest.mark.parametrize(
    ("model", "asked", "fields", "events", "reason"),
    [
        ("echo", "hi", {}, ["start text", "delta text", "stop"], "end_turn"),
        ("echo", "hi", {"stop_sequences": ["i"]}, ["start text", "delta text", "stop"], "end_turn"),
        ("echo", "hi", {"max_tokens": 1}, ["start text", "delta text", "stop"], "max_tokens"),
        ("echo", "hi", {"stop_sequences": ["h"]}, [], "end_turn"),
        (
            "can-think",
            "<think>hm</think>4",
            {},
            ["start thinking", "delta thinking", "stop", "start text", "delta text", "stop"],
            "end_turn",
        ),
        (
            "knows-tools",
            f"Yes. {CALLED}",
            {"tools": [TOOL]},
            ["start text", "delta text", "stop", "start tool_use", "delta partial_json", "stop"],
            "tool_use",
        ),
        (
            "knows-tools",
            CALLED + "x" * 9,
            {"tools": [TOOL], "max_tokens": len(CALLED)},
            ["start tool_use", "delta partial_json", "stop"],
            "tool_use",
        ),
    ],
)
def test_blocks_stream_one_after_another_and_end_with_the_reason(
    shared: DaemonProcess,
    caller: str,
    thinker: str,
    model: str,
    asked: str,
    fields: dict[str, Any],
    events: list[str],
    reason: str,
) -> None:
    sent = {"model": model, "messages": [{"role": "user", "content": asked}], **fields}
    begin, *middle, delta, end = events_of(shared, **sent)

    def short(event: dict[str, Any]) -> str:
        what = event.get("content_block", {}).get("type") or "".join(
            {"text", "thinking", "partial_json"} & set(event.get("delta", ()))
        )
        return f"{event['type'].removeprefix('content_block_')} {what}".strip()

    assert [line for line, _ in groupby(short(event) for event in middle)] == events
    stops = [event["index"] for event in middle if event["type"] == "content_block_stop"]
    assert stops == list(range(len(stops))) == sorted({event["index"] for event in middle})
    assert (begin["type"], begin["message"]["content"], begin["message"]["usage"]["output_tokens"]) == (
        "message_start",
        [],
        0,
    )
    assert delta["delta"] == {"stop_reason": reason}
    assert delta["usage"].keys() == {"input_tokens", "output_tokens"}
    assert end == {"type": "message_stop"}
    whole = answered(shared, **sent)
    assert (whole["stop_reason"], "stop_sequence" in whole) == (reason, False)
    assert whole["usage"] == delta["usage"]


def test_a_stream_begins_with_an_estimate_of_a_quarter_of_the_bytes(shared: DaemonProcess, mirror: str) -> None:
    sent = {"system": "s" * 20, "messages": [{"role": "user", "content": [text("x" * 40), result("4")]}]}
    begin, *_ = events_of(shared, **sent)

    num_bytes = 20 + len("user") + 40 + len(json.dumps(result("4"), separators=(",", ":")))
    assert begin["message"]["usage"] == {"input_tokens": num_bytes // 4, "output_tokens": 0}


def test_native_fields_act_here_too(shared: DaemonProcess) -> None:
    extra: dict[str, Any] = {
        "model": "echo",
        "options": {"num_ctx": 64, "stop": ["i"]},
        "keep_alive": -1,
        "priority": 2,
    }

    assert answered(shared, **extra)["content"] == [text("h")]
    assert int(shared.request("GET", "/api/ps").json()["models"][0]["expires_at"][:4]) > 2300
    assert answered(shared, **extra, stop_sequences=["z"])["content"] == [text("hi")]


def test_keys_and_versions_in_the_headers_are_passed_over(shared: DaemonProcess, mirror: str) -> None:
    headers = {"x-api-key": "k", "Authorization": "Bearer k", "anthropic-version": "1", "anthropic-beta": "a,b"}
    response = shared.client.post("/v1/messages", json=body_of({}), headers=headers)

    assert response.status_code == 200


def test_counting_counts_what_answering_does(shared: DaemonProcess, mirror: str) -> None:
    body = body_of({"system": "be kind", "tools": [TOOL]})
    counted = shared.request("POST", "/v1/messages/count_tokens", body).json()
    refused = shared.request("POST", "/v1/messages/count_tokens", {"model": "mirror"})

    assert counted == {"input_tokens": answered(shared, **body)["usage"]["input_tokens"]}
    assert (refused.status_code, refused.json()["error"]["message"]) == (400, "messages is required")
    assert shared.request("POST", "/v1/messages/batches", body).text == "404 page not found"
