"""What programs that cannot run here send, step by step as their published sources have it, and what they then need."""

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
import pytest
from fakes.daemon_process import DaemonProcess
from fakes.shapes import difference

JSON = "application/json"
LINES = "application/x-ndjson"
EVENTS = "text/event-stream"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
HELLO = [{"role": "user", "content": "hello"}]
DETAILS = {"format": "gguf", "family": "echo", "families": ["echo"], "parameter_size": str, "quantization_level": str}
LISTED = {"name": str, "model": str, "modified_at": TIME, "size": int, "digest": re.compile("[0-9a-f]{64}")}
DURATIONS = {"total_duration": int, "load_duration": int, "prompt_eval_duration": int, "eval_duration": int}
LAST = {"done": True, "done_reason": "stop", "prompt_eval_count": int, "eval_count": int, **DURATIONS}
WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "description": "", "parameters": {"type": "object", "properties": {}}},
}


@dataclass(frozen=True)
class Step:
    """A request and its answer: `shape` is that of the JSON, or of the last line or event of a stream."""

    method: str
    path: str
    body: Any = None
    shape: Any = field(default_factory=dict)
    kind: str = JSON
    status: int = 200
    text: str | None = None
    """What the pieces of a stream make together."""


WEBUI_HEADERS = {
    "Authorization": "Bearer none",
    "Content-Type": "application/json",
    "X-OpenWebUI-User-Name": "Ann%20Example",
    "X-OpenWebUI-User-Role": "admin",
    "User-Agent": "Python/3.11 aiohttp/3.11",
}
WEBUI_CHAT = {
    "model": "echo:latest",
    "messages": [{"role": "system", "content": "be kind"}, *HELLO],
    "options": {"temperature": 0.7, "num_ctx": 2048, "tfs_z": 1, "new_topic_penalty": 0.5},
    "keep_alive": "5m",
}

OPEN_WEBUI = [
    Step("GET", "/api/version", shape={"version": re.compile(r"\d+\.\d+\.\d+")}),
    Step("POST", "/api/pull", {"model": "echo", "name": "echo", "insecure": True}, {"status": "success"}, LINES),
    Step("GET", "/api/tags", shape={"models": [{**LISTED, "details": DETAILS}]}),
    Step(
        "POST", "/api/show", {"model": "echo:latest", "name": "echo:latest"}, {"details": DETAILS, "model_info": dict}
    ),
    Step("POST", "/api/chat", {**WEBUI_CHAT, "stream": True}, {**LAST, "model": "echo:latest"}, LINES, text="hello"),
    Step("POST", "/api/chat", {**WEBUI_CHAT, "stream": False}, {"message": {"role": "assistant", "content": str}}),
    Step("POST", "/api/chat", {**WEBUI_CHAT, "tools": []}, LAST, LINES, text="hello"),
    Step("POST", "/api/generate", {"model": "echo:latest", "prompt": "hello"}, LAST, LINES, text="hello"),
    Step("GET", "/api/ps", shape={"models": [{"name": "echo:latest", "model": "echo:latest", "expires_at": TIME}]}),
    Step("POST", "/api/embed", {"model": "echo", "input": ["a", "b"], "keep_alive": 0}, {"embeddings": [[float]]}),
    Step("POST", "/api/embeddings", {"model": "echo", "prompt": "a", "keep_alive": 0}, {"embedding": [float]}),
    Step(
        "POST", "/v1/chat/completions", {"model": "echo", "messages": HELLO}, {"choices": [{"finish_reason": "stop"}]}
    ),
    Step("GET", "/v1/models", shape={"object": "list", "data": [{"id": str, "object": "model", "created": int}]}),
    Step("POST", "/api/create", {"model": "webui-made", "from": "echo"}, {"status": "success"}, LINES),
    Step("POST", "/api/copy", {"source": "webui-made", "destination": "webui-copy"}, kind=""),
    Step("DELETE", "/api/delete", {"name": "webui-made", "model": "webui-made"}, kind=""),
    Step("DELETE", "/api/delete", {"name": "webui-copy:latest", "model": "webui-copy:latest"}, kind=""),
    Step("DELETE", "/api/delete", {"model": "webui-made"}, {"error": str}, status=404),
    Step("POST", "/api/chat", {"model": "nope:latest", "messages": HELLO, "stream": True}, {"error": str}, status=404),
    # One object, although a stream is not refused: Open WebUI reads it as JSON, and looks at the type that is sent.
    Step("POST", "/api/generate", {"model": "echo:latest", "keep_alive": 0, "prompt": ""}, {"done_reason": "unload"}),
]

OTERM_CHAT = {"model": "echo", "messages": HELLO, "tools": [], "format": "", "options": {}, "keep_alive": "5m"}
OTERM = [
    Step("POST", "/api/pull", {"model": "echo", "stream": True}, {"status": "success"}, LINES),
    Step("GET", "/api/tags", shape={"models": [{**LISTED, "details": DETAILS}]}),
    Step("POST", "/api/show", {"model": "echo"}, {"capabilities": ["completion"], "modified_at": TIME}),
    Step("POST", "/api/chat", {**OTERM_CHAT, "stream": True}, LAST, LINES, text="hello"),
    Step("POST", "/api/chat", {**OTERM_CHAT, "stream": False}, {"message": {"content": "hello"}, **LAST}),
    Step(
        "POST",
        "/v1/chat/completions",
        {"model": "echo", "messages": HELLO, "stream": True, "stream_options": {"include_usage": True}},
        {"choices": [], "usage": {"prompt_tokens": int, "completion_tokens": int, "total_tokens": int}},
        EVENTS,
        text="hello",
    ),
]


@pytest.mark.client("Open WebUI (replayed)", "generate", "chat", "stream", "embeddings", "models", "errors")
def test_open_webuis_requests_are_answered(shared: DaemonProcess) -> None:
    with httpx.Client(base_url=shared.url, headers=WEBUI_HEADERS, timeout=180) as client:
        assert client.head("/").status_code == 200
        for step in OPEN_WEBUI:
            replay(client, step)


@pytest.mark.client("Open WebUI (replayed)", "tools", "thinking")
def test_open_webui_reads_calls_and_thinking_from_lines(shared: DaemonProcess, caller: str, thinker: str) -> None:
    call = '<tool_call>{"name": "get_weather", "arguments": {}}</tool_call>'
    called = {"model": caller, "messages": [{"role": "user", "content": call}], "tools": [WEATHER], "stream": True}
    thought = {"model": thinker, "messages": [{"role": "user", "content": "<think>hm</think>four"}], "think": True}
    with httpx.Client(base_url=shared.url, headers=WEBUI_HEADERS, timeout=180) as client:
        lines = [json.loads(line) for line in client.post("/api/chat", json=called).text.splitlines()]
        thoughts = [json.loads(line) for line in client.post("/api/chat", json=thought).text.splitlines()]

    [found] = [call for line in lines for call in line["message"].get("tool_calls", [])]
    assert (found["function"]["name"], found["function"]["arguments"]) == ("get_weather", {})
    assert "".join(line["message"].get("thinking", "") for line in thoughts) == "hm"
    assert "".join(line["message"]["content"] for line in thoughts) == "four"


@pytest.mark.client("oterm (replayed)", "chat", "stream", "models")
def test_oterms_requests_are_answered(shared: DaemonProcess) -> None:
    with httpx.Client(base_url=shared.url, timeout=180) as client:
        for step in OTERM:
            replay(client, step)


def test_times_can_be_read_by_python(shared: DaemonProcess) -> None:
    """Open WebUI shows when a model goes."""
    shared.post("/api/generate", model="echo")
    times = [model["expires_at"] for model in shared.request("GET", "/api/ps").json()["models"]]
    times += [model["modified_at"] for model in shared.request("GET", "/api/tags").json()["models"]]

    assert all(datetime.fromisoformat(time).tzinfo for time in times)


def replay(client: httpx.Client, step: Step) -> None:
    content = json.dumps(step.body) if step.body is not None else None
    response = client.request(step.method, step.path, content=content)
    what = f"{step.method} {step.path} {content}: {response.status_code} {response.text[-500:]}"

    assert response.status_code == step.status, what
    assert response.headers.get("content-type", "").partition(";")[0] == step.kind, what
    if step.kind:
        parts = parts_of(response)
        assert difference(step.shape, parts[-1]) == "", what
        if step.text is not None:
            assert "".join(text_of(part) for part in parts).endswith(step.text), what


def parts_of(response: httpx.Response) -> list[Any]:
    """The objects of an answer, one or many."""
    kind = response.headers["content-type"].partition(";")[0]
    if kind == JSON:
        return [response.json()]
    lines = [line.removeprefix("data: ") for line in response.text.splitlines()]
    return [json.loads(line) for line in lines if line.startswith("{")]


def text_of(part: dict[str, Any]) -> str:
    if "choices" in part:
        return "".join(choice["delta"].get("content") or "" for choice in part["choices"])
    text: str = part.get("message", {}).get("content", "") or part.get("response", "")
    return text
