"""Rows of the native API that other files have not: how fields combine, what is shown when, and what is left out."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from fakes import goldens
from fakes.daemon_process import DaemonProcess
from fakes.transcript import exchange

Templated = Callable[..., str]
LISTED = "{{ range .Messages }}{{ .Role }}={{ .Content }};{{ end }}"
TIMES = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")


def generate(daemon: DaemonProcess, **body: Any) -> Any:
    return daemon.post("/api/generate", **{"model": "echo", "prompt": "hello", **body})


@pytest.mark.parametrize(
    "name", ["echo", "echo:latest", "library/echo", "registry.ollama.ai/library/echo:latest", "ECHO"]
)
def test_an_answer_names_the_model_as_it_was_asked_for(shared: DaemonProcess, name: str) -> None:
    *chunks, last = shared.stream("/api/generate", model=name, prompt="hello")

    assert {chunk["model"] for chunk in (*chunks, last)} == {name}


def test_times_are_in_utc_with_at_most_nine_digits(shared: DaemonProcess) -> None:
    for chunk in shared.stream("/api/chat", model="echo", messages=[{"role": "user", "content": "hello"}]):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z", chunk["created_at"])


@pytest.mark.parametrize("keep_alive", ["5m", 0])
def test_a_load_and_an_unload_have_no_counts(shared: DaemonProcess, keep_alive: Any) -> None:
    answer = shared.post("/api/generate", model="echo", keep_alive=keep_alive)

    assert answer.keys() <= {
        "model",
        "created_at",
        "response",
        "done",
        "done_reason",
        "total_duration",
        "load_duration",
    }


def test_nothing_is_asked_for_by_fields_that_are_null_or_empty(shared: DaemonProcess) -> None:
    nothing = {"format": None, "think": None, "keep_alive": None, "options": None, "system": None, "images": None}
    answer = generate(shared, **nothing)
    other = generate(shared, format="", options={"seed": None, "num_predict": None}, images=[], suffix="")

    assert answer["response"] == other["response"] == "hello"
    assert "logprobs" not in answer


def test_an_int_option_is_cut_toward_zero(shared: DaemonProcess) -> None:
    assert generate(shared, options={"num_predict": 2.9})["response"] == "he"


def test_the_options_of_a_request_go_before_the_models_and_a_list_replaces_a_list(
    shared: DaemonProcess, templated: Templated
) -> None:
    name = templated("bounded", "{{ .Prompt }}", parameters={"num_predict": 4, "stop": ["l"]})

    assert generate(shared, model=name)["response"] == "he"
    assert generate(shared, model=name, options={"stop": ["zz"]})["response"] == "hell"
    assert generate(shared, model=name, options={"stop": ["zz"], "num_predict": 9})["response"] == "hello"


def test_stored_messages_come_first_unless_a_context_is_sent(shared: DaemonProcess, templated: Templated) -> None:
    stored = [{"role": "user", "content": "1"}, {"role": "assistant", "content": "2"}]
    name = templated("remembers", LISTED, system="kind", messages=stored)
    asked = [{"role": "user", "content": "3"}]

    assert generate(shared, model=name, prompt="3")["response"] == "system=kind;user=1;assistant=2;user=3;"
    assert generate(shared, model=name, prompt="3", context=[])["response"] == "system=kind;user=3;"
    assert generate(shared, model=name, prompt="3", system="odd")["response"].startswith("system=odd;")
    assert content(shared, name, asked) == "system=kind;user=1;assistant=2;user=3;"


def test_a_chat_that_brings_its_system_text_does_without_the_models(
    shared: DaemonProcess, templated: Templated
) -> None:
    name = templated("systematic", LISTED, system="kind")
    asked = [{"role": "system", "content": "odd"}, {"role": "user", "content": "3"}]

    assert content(shared, name, asked) == "system=odd;user=3;"
    assert content(shared, name, asked[::-1]) == "system=kind;user=3;system=odd;"


def test_roles_are_lower_case(shared: DaemonProcess, templated: Templated) -> None:
    assert content(shared, templated("roles", LISTED), [{"role": "USER", "content": "hi"}]) == "user=hi;"


def content(daemon: DaemonProcess, name: str, messages: list[dict[str, str]]) -> str:
    text: str = daemon.post("/api/chat", model=name, messages=messages)["message"]["content"]
    return text


def test_an_answer_of_one_token_again_and_again_is_ended(shared: DaemonProcess, templated: Templated) -> None:
    answer = generate(shared, model=templated("monotonous", "{{ .Prompt }}"), prompt="a" * 100)

    assert set(answer["response"]) == {"a"}
    assert 30 <= len(answer["response"]) <= 32
    assert (answer["done"], answer["done_reason"]) == (True, "stop")


def test_log_probabilities_stream_with_their_pieces(shared: DaemonProcess) -> None:
    parts = list(shared.stream("/api/generate", model="echo", prompt="abc", logprobs=True, top_logprobs=0))
    items = [item for part in parts for item in part.get("logprobs", [])]

    assert [item["token"] for item in items] == ["a", "b", "c"]
    assert all(item.keys() == {"token", "logprob", "bytes"} for item in items)


def test_what_the_cloud_would_do_is_refused_in_the_contracts_words(shared: DaemonProcess) -> None:
    asked = {
        ("POST", "/api/show"): (
            {"model": "big:cloud"},
            "ollama cloud is disabled: remote model details are unavailable",
        ),
        ("POST", "/api/experimental/web_search"): (
            {"query": "x"},
            "ollama cloud is disabled: web search is unavailable",
        ),
    }
    for (method, path), (body, error) in asked.items():
        response = shared.request(method, path, body)

        assert (response.status_code, response.json()["error"]) == (403, error)
    assert shared.request("POST", "/api/me", {}).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "error"),
    [
        ("POST", "/api/show", {"model": "nope"}, 404, "model 'nope:latest' not found"),
        ("POST", "/api/copy", {"source": "nope", "destination": "x"}, 404, 'model "nope" not found'),
        ("DELETE", "/api/delete", {"model": "nope"}, 404, "model 'nope' not found"),
        ("POST", "/api/embed", {"model": "nope", "input": "x"}, 404, 'model "nope" not found, try pulling it first'),
        ("POST", "/api/pull", {"model": ""}, 400, "invalid model name"),
        ("POST", "/api/push", {"model": "", "stream": False}, 400, "model is required"),
        ("POST", "/api/create", {"model": "made"}, 400, "neither 'from' or 'files' was specified"),
    ],
)
def test_each_route_says_in_its_own_words_what_is_not_there(
    shared: DaemonProcess, method: str, path: str, body: dict[str, Any], status: int, error: str
) -> None:
    response = shared.request(method, path, body)

    assert (response.status_code, response.json()["error"]) == (status, error)


CALL = '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>'
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
HI: Any = [{"role": "user", "content": "hi"}]


def test_the_usual_requests_are_answered_as_they_always_were(shared: DaemonProcess, caller: str, thinker: str) -> None:
    """Clients parse these bytes: whatever changes here is seen by somebody. Times and counts of time stand as 0."""
    asked: list[tuple[str, str, Any]] = [
        ("GET", "/", None),
        ("POST", "/api/generate", {"model": "echo", "prompt": "hi"}),
        ("POST", "/api/generate", {"model": "echo", "prompt": "hi", "stream": False, "raw": True}),
        (
            "POST",
            "/api/generate",
            {"model": "echo", "prompt": "h", "stream": False, "logprobs": True, "top_logprobs": 1},
        ),
        ("POST", "/api/generate", {"model": "echo"}),
        ("POST", "/api/chat", {"model": "echo", "messages": HI}),
        ("POST", "/api/chat", {"model": "echo", "messages": HI, "stream": False}),
        ("POST", "/api/chat", {"model": caller, "messages": [{"role": "user", "content": CALL}], "tools": [TOOL]}),
        ("POST", "/api/chat", {"model": thinker, "messages": [{"role": "user", "content": "<think>a</think>b"}]}),
        ("POST", "/api/chat", {"model": "echo", "messages": []}),
        ("POST", "/api/chat", {"model": "nope", "messages": HI}),
        ("POST", "/api/embed", {"model": "echo", "input": "", "keep_alive": 0}),
        ("POST", "/api/show", {"model": "echo"}),
        ("POST", "/api/pull", {"model": "echo", "stream": False}),
        ("POST", "/api/create", {"model": "golden", "from": "echo", "system": "be golden"}),
        ("POST", "/api/copy", {"source": "golden", "destination": "golden-too"}),
        ("DELETE", "/api/delete", {"model": "golden"}),
        ("DELETE", "/api/delete", {"model": "golden-too"}),
        ("HEAD", f"/api/blobs/sha256:{'0' * 64}", None),
        ("POST", "/api/chat", {"model": "echo", "messages": [], "keep_alive": 0}),
    ]
    told = [exchange(shared, *request) for request in asked]

    goldens.check(goldens.FOLDER / "native" / "examples.txt", "\n".join(told))
