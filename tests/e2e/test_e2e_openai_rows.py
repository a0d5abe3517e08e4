"""OpenAI's API row by row against the daemon: what the model is sent, what is refused, and what comes back.

The mirror model answers with its messages, so that a row is a request and a text.
"""
# ruff: noqa: E501 - the tables read best with a case a line

import base64
import json
import struct
from itertools import groupby
from typing import Any

import httpx
import pytest
from fakes.daemon_process import DaemonProcess

Sent = tuple[str, dict[str, Any]]
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
CALLED = '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>'
HI = {"role": "user", "content": "hi"}
ASSISTANT = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "b"}]}
DONE_CALL = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"at":1}'}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "4"}
EFFORT = (
    'invalid reasoning value: "lots" (must be "minimal", "low", "medium", "high", "xhigh", "ultra", "max", or "none")'
)
NO_URL = "image URLs are not currently supported, please use base64 encoded data instead"


def chat(*messages: Any, **fields: Any) -> Sent:
    return "/v1/chat/completions", {"model": "mirror", "messages": list(messages), **fields}


def completion(prompt: Any = "hi", **fields: Any) -> Sent:
    return "/v1/completions", {"model": "echo", "prompt": prompt, **fields}


def respond(*items: Any, **fields: Any) -> Sent:
    return "/v1/responses", {"model": "mirror", "input": list(items), **fields}


def embed(input_: Any, **fields: Any) -> Sent:
    return "/v1/embeddings", {"model": "echo", "input": input_, **fields}


def answered(daemon: DaemonProcess, sent: Sent) -> dict[str, Any]:
    response = daemon.request("POST", *sent)
    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/json"), response.text
    found: dict[str, Any] = response.json()
    return found


def text_of(answer: dict[str, Any]) -> str:
    """What was said, in any of the three shapes."""
    if "output" in answer:
        return "".join(part["text"] for item in answer["output"] for part in item.get("content", ()))
    [choice] = answer["choices"]
    return str(choice["text"] if "text" in choice else choice["message"]["content"])


def frames_of(response: httpx.Response) -> list[tuple[str, Any]]:
    """Name and value of each event; a name is empty where the API has none."""
    assert response.headers["Content-Type"] == "text/event-stream"
    assert response.headers["Cache-Control"] == "no-cache"
    found = []
    for frame in response.text.removesuffix("\n\n").split("\n\n"):
        *names, data = frame.split("\n")
        found.append(("".join(names).removeprefix("event: "), data.removeprefix("data: ")))
    return found


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (chat({"role": "USER", "content": "hi"}), "<user>hi"),
        (chat({"role": "developer", "content": "x"}, HI), "<developer>x<user>hi"),
        (chat({"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}), "<user>a\n\nb"),
        (chat(HI, {"role": "assistant", "content": "x", "reasoning": "hm"}), "<user>hi<assistant><think>hm</think>x"),
        (chat(HI, {"role": "assistant", "tool_calls": [CALL]}), '<user>hi<assistant>(look {"at":1})'),
        (chat(HI, {"role": "assistant", "content": None, "tool_calls": []}, HI), "<user>hi<assistant><user>hi"),
        (chat({"role": "assistant", "content": [{"type": "text", "text": "a"}], "tool_calls": [CALL], "reasoning": "hm"}), '<assistant><think>hm</think>a(look {"at":1})'),
        (chat({"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "c1", "content": "4"}), '<assistant>(look {"at":1})<tool name=look of=c1>4'),
        (chat({"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "c1", "name": "add", "content": "4"}), '<assistant>(look {"at":1})<tool name=add of=c1>4'),
        (chat(HI, tools=[TOOL]), "<user>hi[get_weather]"),
        (chat(HI, tools=[TOOL], tool_choice="none"), "<user>hi"),
        (chat(HI, user="u", store=True, metadata={"a": "b"}, parallel_tool_calls=False, service_tier="auto", whatever=[]), "<user>hi"),
        (chat(HI, response_format={"type": "text"}), "<user>hi"),
        (chat(HI, response_format={"type": "json_schema"}), "<user>hi"),
        (chat(HI, stop="hi"), "<user>"),
        (chat(HI, stop=[1, "er", None]), "<us"),
        (chat(HI, max_tokens=3), "<us"),
        (chat(HI, max_completion_tokens=3), "<us"),
        (chat(HI, max_tokens=2, max_completion_tokens=3), "<u"),
        (completion(), "hi"),
        (completion(model="mirror"), "<user>hi"),
        (completion(best_of=2, echo=True, user="u", stop=5, logprobs=3), "hi"),
        (completion(stop="i"), "h"),
        (completion("<think>hm</think>4", model="can-think"), "4"),
        (completion(""), ""),
        (completion(None), ""),
        (respond(input="hi"), "<user>hi"),
        (respond(input="hi", instructions="be kind"), "<system>be kind<user>hi"),
        (respond(input="", instructions="be kind"), "<system>be kind"),
        (respond({"role": "User", "content": "hi"}), "<user>hi"),
        (respond({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]}), "<user>ab"),
        (respond({"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_image"}]}), "<user>a"),
        (respond(HI, DONE_CALL, RESULT), '<user>hi<assistant>(look {"at":1})<tool of=c1>4'),
        (respond(ASSISTANT, DONE_CALL, RESULT), '<assistant>b(look {"at":1})<tool of=c1>4'),
        (respond(DONE_CALL, ASSISTANT, RESULT), '<assistant>b(look {"at":1})<tool of=c1>4'),
        (respond(DONE_CALL, {**RESULT, "output": [{"type": "input_text", "text": "4"}]}), '<assistant>(look {"at":1})<tool of=c1>4'),
        (respond({"type": "reasoning", "summary": [], "encrypted_content": "hm"}, ASSISTANT), "<assistant><think>hm</think>b"),
        (respond(ASSISTANT, HI, {"type": "reasoning", "summary": [], "encrypted_content": "hm"}), "<assistant>b<user>hi<assistant><think>hm</think>"),
        (respond({"type": "web_search_call", "id": "w"}, HI), "<user>hi"),
        (respond(HI, tools=[{"type": "function", "name": "f"}, {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "g"}, {"type": "function", "name": "n.h"}]}]), "<user>hi[f][n.g][n.h]"),
        (respond(HI, tools=[{"type": "web_search"}], previous_response_id="resp_1", conversation="c", store=True, include=[], metadata={}, parallel_tool_calls=False), "<user>hi"),
        (respond(HI, max_output_tokens=3), "<us"),
        (respond(HI, text={"format": {"type": "text"}}), "<user>hi"),
    ],
)  # fmt: skip
def test_the_model_is_sent_what_the_contract_says(
    shared: DaemonProcess, mirror: str, thinker: str, sent: Sent, text: str
) -> None:
    assert text_of(answered(shared, sent)) == text


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (chat(), "[] is too short - 'messages'"),
        (chat({"role": "user"}), "invalid message content type: <nil>"),
        (chat({"role": "user", "content": [{"type": "file"}]}), "invalid message format"),
        (chat({"role": "user", "content": [{"type": "text"}]}), "invalid message format"),
        (chat({"role": "user", "content": [{"type": "image_url", "image_url": "https://x/y.png"}]}), NO_URL),
        (chat({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/gif;base64,AAAA"}}]}), "invalid image input"),
        (chat({"role": "user", "content": [{"type": "image_url", "image_url": "data:image/png;base64,AAAA"}]}), "registry.ollama.ai/library/mirror:latest does not support vision"),
        (chat({"role": "user", "content": [{"type": "input_audio"}]}), "invalid input_audio format"),
        (chat({"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}), "invalid input_audio format: missing data"),
        (chat({"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "A"}}]}), "invalid input_audio base64 data: illegal base64 data at input byte 1"),
        (chat({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[]"}}]}), "invalid tool call arguments"),
        (chat(HI, reasoning_effort="lots"), EFFORT),
        (chat(HI, reasoning={"effort": "lots"}), EFFORT),
        (chat(HI, logprobs=True, top_logprobs=21), "top_logprobs must be between 0 and 20"),
        (chat(HI, model="echo", tools=[TOOL]), "registry.ollama.ai/library/echo:latest does not support tools"),
        (chat(HI, model="echo", think=True), '"echo" does not support thinking'),
        (chat(HI, n=0), "n must be between 1 and 128, not 0"),
        (chat(HI, priority="high"), "Expected `int | null`, got `str` - at `$.priority`"),
        (chat(HI, keep_alive=True), "Unsupported type: 'bool'"),
        (completion(["a", "b"]), "Expected `str | null`, got `array` - at `$.prompt`"),
        (completion(stop=["a", 1]), "invalid type for 'stop' field: float64"),
        (completion(suffix="x"), "registry.ollama.ai/library/echo:latest does not support insert"),
        (respond(input=5), "input must be a string or array: found int"),
        (respond({"content": "x"}), "input[0]: input item missing required 'type' field"),
        (respond(HI, {"type": "mcp_call"}), 'input[1]: unknown input item type: "mcp_call"'),
        (respond({"role": "user", "content": [{"type": "video"}]}), "input[0]: content[0]: unknown content type: video"),
        (respond({"role": "user", "content": [{"type": "input_file"}]}), "file inputs are not currently supported"),
        (respond({"role": "user", "content": [{"type": "input_image", "image_url": "http://x"}]}), NO_URL),
        (respond({**DONE_CALL, "arguments": "{"}), "failed to parse function call arguments: Input data was truncated"),
        (embed(None), "invalid input"),
        (embed([]), "invalid input"),
        (embed([1, 2]), "invalid input type"),
        (embed("a", encoding_format="hex"), "Invalid value for 'encoding_format' = hex. Supported values: ['float', 'base64']."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_a_400_in_openais_shape(
    shared: DaemonProcess, mirror: str, sent: Sent, message: str, is_streamed: bool
) -> None:
    path, body = sent
    response = shared.request("POST", path, {**body, "stream": is_streamed})
    error = response.json()["error"]
    error.pop("hint", None)

    assert (response.status_code, response.headers["Content-Type"]) == (400, "application/json")
    assert error == {"message": message, "type": "invalid_request_error", "param": None, "code": None}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, ("hm", "4")),
        ({"reasoning_effort": ""}, ("hm", "4")),
        *(({"reasoning_effort": effort}, ("hm", "4")) for effort in ("minimal", "medium", "max", "xhigh", "ultra")),
        ({"reasoning_effort": "none"}, ("", "<think>hm</think>4")),
        ({"reasoning": {"effort": "none"}}, ("", "<think>hm</think>4")),
        ({"reasoning": {}, "reasoning_effort": "none"}, ("hm", "4")),
        ({"think": False, "reasoning_effort": "high"}, ("", "<think>hm</think>4")),
    ],
)
def test_an_effort_turns_thinking_on_or_off(
    shared: DaemonProcess, thinker: str, fields: dict[str, Any], said: tuple[str, str]
) -> None:
    asked = chat({"role": "user", "content": "<think>hm</think>4"}, model=thinker, **fields)
    message = answered(shared, asked)["choices"][0]["message"]

    assert (message.get("reasoning", ""), message["content"]) == said


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (chat(HI), "stop"),
        (chat(HI, stop="h"), "stop"),
        (chat(HI, max_tokens=1), "length"),
        (chat({"role": "user", "content": CALLED}, model="knows-tools", tools=[TOOL]), "tool_calls"),
        (chat({"role": "user", "content": CALLED + "x" * 9}, model="knows-tools", tools=[TOOL], max_tokens=len(CALLED) + 1), "length"),
        (completion(), "stop"),
        (completion(max_tokens=1), "length"),
        (completion(""), "load"),
    ],
)  # fmt: skip
def test_an_answer_says_why_it_ended_streamed_or_not(
    shared: DaemonProcess, mirror: str, caller: str, sent: Sent, reason: str
) -> None:
    path, body = sent
    whole = answered(shared, sent)
    frames = frames_of(shared.request("POST", path, {**body, "stream": True}))
    chunks = [json.loads(data) for _, data in frames[:-1]]

    assert whole["choices"][0]["finish_reason"] == reason
    assert frames[-1] == ("", "[DONE]")
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [*[None] * (len(chunks) - 1), reason]
    assert not any("usage" in chunk for chunk in chunks)


def test_reasoning_and_calls_stream_as_deltas_of_their_own(shared: DaemonProcess, mirror: str) -> None:
    """Thinking, text and a call in one answer: what each delta carries, repetitions folded."""
    asked = {"role": "user", "content": f"<think>hm</think>Let me see. {CALLED}"}
    template = "{{ range .Messages }}{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ if .ToolCalls }}<tool_call>{{ range .ToolCalls }}{{ .Function.Name }}{{ end }}</tool_call>{{ end }}{{ .Content }}{{ end }}{{ if .Tools }}{{ end }}"
    body = {"model": "both", "from": "echo", "template": template}
    assert shared.post("/api/create", **body) == {"status": "success"}
    path, body = chat(asked, model="both", tools=[TOOL], stream=True, stream_options={"include_usage": True})
    *frames, done = frames_of(shared.request("POST", path, body))
    *chunks, usage = (json.loads(data) for _, data in frames)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]

    assert done == ("", "[DONE]")
    assert [keys for keys, _ in groupby(tuple(delta) for delta in deltas)] == [
        ("role", "content", "reasoning"),
        ("content", "reasoning"),
        ("content",),
        ("content", "tool_calls"),
        (),
    ]
    assert "".join(delta.get("reasoning", "") for delta in deltas) == "hm"
    [call] = [call for delta in deltas for call in delta.get("tool_calls", ())]
    assert (call["index"], call["type"], call["function"]["arguments"]) == (0, "function", '{"city":"Paris"}')
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == usage["usage"]["prompt_tokens"] + usage["usage"]["completion_tokens"]
    assert len({(chunk["id"], chunk["created"]) for chunk in [*chunks, usage]}) == 1


@pytest.mark.parametrize(
    ("model", "text", "kinds"),
    [
        ("echo", "", []),
        (
            "can-think",
            "<think>hm</think>4",
            [
                *(
                    "output_item.added",
                    "reasoning_summary_text.delta",
                    "reasoning_summary_text.done",
                    "output_item.done",
                ),
                *("output_item.added", "content_part.added", "output_text.delta"),
                *("output_text.done", "content_part.done", "output_item.done"),
            ],
        ),
        (
            "knows-tools",
            f"Yes. {CALLED}",
            [
                *("output_item.added", "content_part.added", "output_text.delta"),
                *("output_text.done", "content_part.done", "output_item.done"),
                *("output_item.added", "function_call_arguments.delta", "function_call_arguments.done"),
                "output_item.done",
            ],
        ),
    ],
)
def test_a_response_streams_the_contracts_events_and_ends_with_what_they_made(
    shared: DaemonProcess, caller: str, thinker: str, model: str, text: str, kinds: list[str]
) -> None:
    tools = [{"type": "function", "name": "get_weather"}] if model == caller else []
    body = {"model": model, "input": text, "stream": True, "tools": tools}
    frames = frames_of(shared.request("POST", "/v1/responses", body))
    events = [json.loads(data) for _, data in frames]
    names = [name for name, _ in groupby(name.removeprefix("response.") for name, _ in frames)]

    assert [name for name, _ in frames] == [event["type"] for event in events]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert names == ["created", "in_progress", *kinds, "completed"]
    done = [event for event in events if event["type"] == "response.output_item.done"]
    assert events[-1]["response"]["output"] == [event["item"] for event in done]
    assert [event["output_index"] for event in done] == list(range(len(done)))


ALL: list[Sent] = [chat(HI, model="echo"), completion(), respond(HI, model="echo")]


@pytest.mark.parametrize("sent", ALL, ids=lambda sent: sent[0])
def test_native_fields_act_on_every_route(shared: DaemonProcess, sent: Sent) -> None:
    path, body = sent
    extra = {"options": {"num_predict": 1}, "keep_alive": -1, "priority": 3, "grammar": None, "think": None}

    assert text_of(answered(shared, (path, {**body, **extra}))) == "h"
    assert int(shared.request("GET", "/api/ps").json()["models"][0]["expires_at"][:4]) > 2300
    assert text_of(answered(shared, (path, {**body, "keep_alive": "5m", "priority": -3}))) == "hi"
    assert int(shared.request("GET", "/api/ps").json()["models"][0]["expires_at"][:4]) < 2300


def test_vectors_come_in_the_asked_form(shared: DaemonProcess) -> None:
    numbers = answered(shared, embed(["a", "b"], dimensions=8, encoding_format=None, user="u", keep_alive="5m"))
    packed = answered(shared, embed("b", dimensions=8, encoding_format="BASE64", model="library/echo"))

    assert (numbers["object"], numbers["model"], packed["model"]) == ("list", "echo", "library/echo")
    assert [(item["object"], item["index"]) for item in numbers["data"]] == [("embedding", 0), ("embedding", 1)]
    vector = struct.unpack("<8f", base64.b64decode(packed["data"][0]["embedding"]))
    assert vector == pytest.approx(numbers["data"][1]["embedding"])
    assert numbers["usage"] == {"prompt_tokens": 2, "total_tokens": 2}


def test_log_probabilities_have_the_native_shape_and_completions_do_not_show_theirs(shared: DaemonProcess) -> None:
    fields = {"logprobs": True, "top_logprobs": 1, "model": "echo"}
    found = answered(shared, chat(HI, **fields))["choices"][0]["logprobs"]["content"]
    native = shared.post("/api/chat", messages=[HI], **fields)

    assert found == native["logprobs"]
    assert "logprobs" not in answered(shared, completion(logprobs=1))["choices"][0]


def test_a_prompt_may_be_rendered_only(shared: DaemonProcess, mirror: str) -> None:
    assert answered(shared, chat(HI, _debug_render_only=True))["_debug_info"] == {"rendered_template": "<user>hi"}


def test_models_are_those_of_tags_in_its_order(shared: DaemonProcess, mirror: str) -> None:
    assert shared.request("POST", "/api/copy", {"source": "echo", "destination": "ann/parrot:v1"}).status_code == 200
    listed = shared.request("GET", "/v1/models").json()
    tags = shared.request("GET", "/api/tags").json()["models"]

    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == [model["name"] for model in tags]
    assert {model["id"]: model["owned_by"] for model in listed["data"]}["ann/parrot:v1"] == "ann"
    for name in ("ann/parrot:v1", "ann%2Fparrot:v1"):
        assert shared.request("GET", f"/v1/models/{name}").json()["id"] == "ann/parrot:v1"


@pytest.mark.weights
def test_an_empty_text_is_a_text_of_the_tokens_that_the_tokenizer_adds(starters: DaemonProcess) -> None:
    """The native API would only load the model."""
    answer = answered(starters, embed("", model="starter-embed"))

    assert [len(item["embedding"]) for item in answer["data"]] == [384]
    assert answer["usage"] == {"prompt_tokens": 2, "total_tokens": 2}
