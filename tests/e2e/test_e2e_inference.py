"""generate and chat against a real daemon, the real runner and the echo engine."""
# ruff: noqa: E501 - the table of errors reads best with a case a line

import json
import re
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fakes.daemon_process import DaemonProcess, wait_until
from prometheus_client.parser import text_string_to_metric_families

NANOSECOND_FIELDS = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")
HELLO = [{"role": "user", "content": "hello wörld"}]


def test_generate_streams_whole_characters_and_ends_with_the_numbers(shared: DaemonProcess) -> None:
    *chunks, last = shared.stream("/api/generate", model="echo", prompt="hé👋")

    assert "".join(chunk["response"] for chunk in chunks) == "hé👋"
    assert all(chunk.keys() == {"model", "created_at", "response", "done"} for chunk in chunks)
    assert (last["response"], last["done"], last["done_reason"]) == ("", True, "stop")
    assert last["prompt_eval_count"] == len("hé👋".encode()) + 1
    assert last["context"]
    assert all(last[field] > 0 for field in NANOSECOND_FIELDS)


def test_generate_without_stream_is_one_object(shared: DaemonProcess) -> None:
    response = shared.request("POST", "/api/generate", {"model": "echo", "prompt": "hello", "stream": False})

    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.json()["response"] == "hello"


def test_chat_answers_with_a_message(shared: DaemonProcess) -> None:
    *chunks, last = shared.stream("/api/chat", model="echo", messages=HELLO)

    assert "".join(chunk["message"]["content"] for chunk in chunks) == "hello wörld"
    assert last["message"] == {"role": "assistant", "content": ""}
    assert last["done_reason"] == "stop"


def test_a_streamed_answer_is_newline_delimited_json(shared: DaemonProcess) -> None:
    with shared.client.stream("POST", "/api/generate", json={"model": "echo", "prompt": "a"}) as response:
        body = b"".join(response.iter_bytes())

    assert response.headers["content-type"] == "application/x-ndjson"
    assert all(json.loads(line) for line in body.removesuffix(b"\n").split(b"\n"))


def test_an_empty_prompt_loads_and_with_keep_alive_zero_unloads(shared: DaemonProcess) -> None:
    loaded = shared.post("/api/generate", model="echo")
    assert (loaded["done_reason"], loaded["response"], loaded["done"]) == ("load", "", True)
    assert shared.loaded() == ["echo:latest"]

    unloaded = shared.post("/api/generate", model="echo", keep_alive=0)
    assert unloaded["done_reason"] == "unload"
    wait_until(lambda: shared.loaded() == [], "the unload")


def test_chat_without_messages_loads_and_unloads_too(shared: DaemonProcess) -> None:
    loaded = shared.post("/api/chat", model="echo", messages=[])
    unloaded = shared.post("/api/chat", model="echo", keep_alive=0)

    assert (loaded["done_reason"], loaded["message"]) == ("load", {"role": "assistant", "content": ""})
    assert unloaded["done_reason"] == "unload"


def test_the_context_of_an_answer_goes_before_the_next_prompt(shared: DaemonProcess) -> None:
    first = shared.post("/api/generate", model="echo", prompt="ab")
    second = shared.post("/api/generate", model="echo", prompt="cd", context=first["context"][:2])

    assert second["response"] == "abcd"


def test_raw_prompts_have_no_context(shared: DaemonProcess) -> None:
    assert "context" not in shared.post("/api/generate", model="echo", prompt="ab", raw=True)


@pytest.mark.parametrize(
    ("options", "text", "reason"),
    [
        ({"num_predict": 3}, "hel", "length"),
        ({"stop": ["lo"]}, "hel", "stop"),
        ({"num_predict": None, "nonsense": 1}, "hello", "stop"),
    ],
)
def test_options_reach_the_runner(shared: DaemonProcess, options: dict[str, Any], text: str, reason: str) -> None:
    answer = shared.post("/api/generate", model="echo", prompt="hello", options=options)

    assert (answer["response"], answer["done_reason"]) == (text, reason)


def test_log_probabilities_come_with_the_tokens(shared: DaemonProcess) -> None:
    answer = shared.post("/api/generate", model="echo", prompt="ab", logprobs=True, top_logprobs=1)

    assert [item["token"] for item in answer["logprobs"]] == ["a", "b"]
    assert answer["logprobs"][0]["top_logprobs"] == [{"token": "a", "logprob": 0.0, "bytes": [97]}]


def test_the_rendered_prompt_can_be_asked_for(shared: DaemonProcess) -> None:
    answer = shared.post("/api/chat", model="echo", messages=HELLO, _debug_render_only=True)

    assert answer["_debug_info"] == {"rendered_template": "hello wörld"}


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        ("/api/generate", {"model": ""}, 404, "model '' not found"),
        ("/api/chat", {"model": ""}, 400, "model is required"),
        ("/api/generate", {"model": "nope"}, 404, "model 'nope' not found"),
        ("/api/chat", {"model": "nope:8b"}, 404, "model 'nope:8b' not found"),
        ("/api/generate", {"model": "../x"}, 400, "invalid model name"),
        ("/api/generate", {"model": "x" * 81}, 400, "invalid model name"),
        ("/api/generate", {"model": "/etc/passwd"}, 400, "invalid model name"),
        ("/api/generate", {"model": "echo", "prompt": "x", "top_logprobs": 21}, 400, "top_logprobs must be between 0 and 20"),
        ("/api/generate", {"model": "echo", "prompt": "x", "raw": True, "system": "y"}, 400, "raw mode does not support template, system, or context"),
        ("/api/generate", {"model": "echo", "prompt": "x", "suffix": "y"}, 400, "registry.ollama.ai/library/echo:latest does not support insert"),
        ("/api/generate", {"model": "echo", "prompt": "x", "think": True}, 400, '"echo" does not support thinking'),
        ("/api/generate", {"model": "echo", "prompt": "x", "think": "some"}, 400, 'invalid think value: "some" (must be "high", "medium", "low", "max", true, or false)'),
        ("/api/generate", {"model": "echo", "prompt": "x", "think": 3}, 400, 'think must be a boolean or string ("high", "medium", "low", "max", true, or false)'),
        ("/api/chat", {"model": "echo", "messages": HELLO, "tools": [{"type": "function", "function": {"name": "f"}}]}, 400, "registry.ollama.ai/library/echo:latest does not support tools"),
        ("/api/generate", {"model": "echo", "prompt": "x", "options": {"num_ctx": "big"}}, 500, 'option "num_ctx" must be of type integer'),
        ("/api/generate", {"model": "echo", "prompt": "x", "options": {"stop": "x"}}, 500, 'option "stop" must be of type array'),
        ("/api/generate", {"model": "echo", "prompt": "x", "keep_alive": "5"}, 400, 'time: missing unit in duration "5"'),
        ("/api/generate", {"model": "echo", "prompt": "x", "keep_alive": True}, 400, "Unsupported type: 'bool'"),
        ("/api/generate", {"model": "echo", "prompt": "x", "format": "xml"}, 500, 'invalid format: "\\"xml\\""; expected "json" or a valid JSON Schema object'),
        ("/api/generate", {"model": "echo:cloud", "prompt": "x"}, 403, "ollama cloud is disabled: remote model is unavailable"),
    ],
)  # fmt: skip
def test_bad_requests_get_the_contracts_status_and_text(
    shared: DaemonProcess, path: str, body: dict[str, Any], status: int, error: str
) -> None:
    response = shared.request("POST", path, body)

    assert (response.status_code, response.json()["error"]) == (status, error)


def test_a_prompt_that_cannot_fit_is_refused_with_its_numbers(shared: DaemonProcess) -> None:
    body = {"model": "echo", "messages": [{"role": "user", "content": "x" * 5000}]}
    response = shared.request("POST", "/api/chat", body)

    assert response.status_code == 400
    assert "5001 tokens" in response.json()["error"]
    assert "exceeds the available context size" in response.json()["error"]


def test_a_request_may_have_a_smaller_context_without_a_reload(shared: DaemonProcess) -> None:
    shared.post("/api/generate", model="echo", prompt="a")
    before = shared.runner_pids()
    answer = shared.post("/api/generate", model="echo", prompt="abcdefghij" * 10, raw=True, options={"num_ctx": 64})

    assert answer["prompt_dropped_count"] > 0
    assert shared.runner_pids() == before


def test_many_clients_at_once_all_get_their_own_answer(shared: DaemonProcess) -> None:
    answers: dict[int, str] = {}

    def ask(n: int) -> None:
        with httpx.Client(base_url=shared.url, timeout=60) as client:
            body = {"model": "echo", "prompt": f"number {n}", "stream": False}
            answers[n] = client.post("/api/generate", json=body).json()["response"]

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == {n: f"number {n}" for n in range(64)}


def test_a_client_that_goes_away_frees_its_place(
    start: Callable[..., DaemonProcess], put_echo: Callable[..., str]
) -> None:
    daemon = start(OLLAMA_NUM_PARALLEL="1")
    put_echo(daemon, "slow", step_seconds=0.05)
    body = {"model": "slow", "prompt": "x" * 2000, "options": {"draft_num_predict": 0}}
    with daemon.client.stream("POST", "/api/generate", json=body) as response:
        next(response.iter_lines())

    # The only place is taken for 100 s, and clients wait 60 s, unless the first request is cancelled.
    assert daemon.post("/api/generate", model="slow", prompt="hi")["response"] == "hi"


def test_keep_alive_of_a_request_is_shown_and_for_ever_is_centuries(shared: DaemonProcess) -> None:
    shared.post("/api/generate", model="echo", keep_alive=-1)
    model, *_ = shared.request("GET", "/api/ps").json()["models"]
    shared.post("/api/generate", model="echo", keep_alive="5m")

    assert int(model["expires_at"][:4]) > 2300
    assert model["size_vram"] == 0
    assert model["context_length"] == 4096


def test_a_model_that_shares_weights_shares_the_runner(shared: DaemonProcess) -> None:
    shared.post("/api/generate", model="echo")
    created = shared.post("/api/create", model="kind", **{"from": "echo"}, system="be kind")
    before = shared.runner_pids()

    assert created == {"status": "success"}
    assert shared.post("/api/generate", model="kind", prompt="hi")["response"] == "be kind\n\nhi"
    assert shared.runner_pids() == before
    assert shared.loaded() == ["echo:latest"]


def test_a_models_own_template_makes_the_prompt(shared: DaemonProcess, templated: Callable[..., str]) -> None:
    name = templated("tagged", "<{{ .System }}|{{ .Prompt }}>", system="be kind")

    assert shared.post("/api/generate", model=name, prompt="hi")["response"] == "<be kind|hi>"
    assert shared.post("/api/chat", model=name, messages=HELLO)["message"]["content"] == "<be kind|hello wörld>"


def test_a_template_over_messages_sees_them_all(shared: DaemonProcess, templated: Callable[..., str]) -> None:
    name = templated("listed", "{{ range .Messages }}{{ .Role }}={{ .Content }};{{ end }}")
    messages = [{"role": role, "content": role[0]} for role in ("user", "assistant", "user")]

    assert shared.post("/api/chat", model=name, messages=messages)["message"]["content"] == "user=u;assistant=a;user=u;"


def test_a_template_of_the_request_replaces_the_models(shared: DaemonProcess) -> None:
    answer = shared.post("/api/generate", model="echo", prompt="hi", template="({{ .Prompt }})")
    response = shared.request("POST", "/api/generate", {"model": "echo", "prompt": "hi", "template": "{{ .Prompt "})

    assert answer["response"] == "(hi)"
    assert response.status_code == 500
    assert "unclosed action" in response.json()["error"]


def test_a_template_with_a_suffix_fills_in_the_middle(shared: DaemonProcess, templated: Callable[..., str]) -> None:
    name = templated("filler", "<PRE>{{ .Prompt }}<SUF>{{ .Suffix }}<MID>")

    assert "insert" in shared.post("/api/show", model=name)["capabilities"]
    answer = shared.post("/api/generate", model=name, prompt="a", suffix="b")
    assert answer["response"] == "<PRE>a<SUF>b<MID>"


def test_a_template_that_does_not_parse_is_refused_at_create(shared: DaemonProcess) -> None:
    body = {"model": "broken", "from": "echo", "template": "{{ if }}", "stream": False}
    response = shared.request("POST", "/api/create", body)

    assert response.status_code == 400
    assert response.json()["error"].startswith("template error: ")


def test_thinking_between_the_templates_tags_is_told_apart(
    shared: DaemonProcess, templated: Callable[..., str]
) -> None:
    template = "{{ range .Messages }}{{ if .Thinking }}<reason>{{ .Thinking }}</reason>{{ end }}{{ .Content }}{{ end }}"
    name = templated("thinker", template)
    messages = [{"role": "user", "content": "<reason>hm</reason>four"}]

    thought = shared.post("/api/chat", model=name, messages=messages)["message"]
    plain = shared.post("/api/chat", model=name, messages=messages, think=False)["message"]

    assert "thinking" in shared.post("/api/show", model=name)["capabilities"]
    assert (thought["thinking"], thought["content"]) == ("hm", "four")
    assert plain["content"] == "<reason>hm</reason>four"


def test_a_think_budget_ends_the_thinking_and_says_so(shared: DaemonProcess, templated: Callable[..., str]) -> None:
    """The answer goes on after the tag: echo writes what comes next in its prompt, the tag or not."""
    template = "{{ range .Messages }}{{ if .Thinking }}<reason>{{ .Thinking }}</reason>{{ end }}{{ .Content }}{{ end }}"
    name = templated("budgeted", template)
    messages = [{"role": "user", "content": "<reason>0123456789" + "." * 20 + "four"}]

    cut = shared.post("/api/chat", model=name, messages=messages, options={"think_budget": 4})
    whole = shared.post("/api/chat", model=name, messages=messages, options={"think_budget": 400})

    assert cut["message"]["thinking"] == "0123\n"
    assert cut["message"]["content"].endswith("four")
    assert cut["thinking_cut"]
    assert whole["message"]["thinking"].endswith("four")
    assert "thinking_cut" not in whole


def test_the_oldest_messages_go_when_a_chat_does_not_fit_and_the_answer_says_so(
    shared: DaemonProcess, templated: Callable[..., str]
) -> None:
    name = templated("long", "{{ range .Messages }}{{ .Content }};{{ end }}")
    texts = (("system", "be kind"), ("user", "x" * 100), ("assistant", "yes"), ("user", "last"))
    messages = [{"role": role, "content": content} for role, content in texts]

    answer = shared.post("/api/chat", model=name, messages=messages, options={"num_ctx": 100})

    assert answer["message"]["content"] == "be kind;yes;last;"
    assert answer["prompt_dropped_count"] == 101


def test_a_single_prompt_that_does_not_fit_is_cut_in_the_middle(
    shared: DaemonProcess, templated: Callable[..., str]
) -> None:
    name = templated("cut", "{{ .Prompt }}")
    body = {"model": name, "prompt": "0123456789" * 20, "options": {"num_ctx": 100}, "stream": False}

    answer = shared.request("POST", "/api/generate", body).json()
    refused = shared.request("POST", "/api/generate", {**body, "shift": False})

    assert answer["prompt_dropped_count"] > 100
    assert refused.status_code == 400
    assert refused.json()["error"].startswith("the prompt is longer than the context length currently available")


TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}},
    },
}


@pytest.fixture(scope="module")
def caller(templated: Callable[..., str]) -> str:
    """A model whose template offers tools, on echo: it answers with what the user said."""
    template = (
        "{{ range .Messages }}{{ if .ToolCalls }}<tool_call>{{ range .ToolCalls }}{{ .Function.Name }}{{ end }}"
        "</tool_call>{{ end }}{{ if eq .Role \"user\" }}{{ .Content }}{{ end }}{{ end }}{{ if .Tools }}{{ end }}"
    )  # fmt: skip
    return templated("caller", template)


@pytest.mark.parametrize("stream", [True, False])
def test_a_call_of_an_offered_tool_comes_as_a_call(shared: DaemonProcess, caller: str, stream: bool) -> None:
    text = 'Let me see. <tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>'
    body = {"model": caller, "messages": [{"role": "user", "content": text}], "tools": [TOOL]}
    answers = list(shared.stream("/api/chat", **body)) if stream else [shared.post("/api/chat", **body)]

    [call] = [call for answer in answers for call in answer["message"].get("tool_calls", [])]
    assert call["function"] == {"name": "get_weather", "arguments": {"city": "Paris"}, "index": 0}
    assert re.fullmatch(r"call_[a-z0-9]{8}", call["id"])
    assert "".join(answer["message"]["content"] for answer in answers).strip() == "Let me see."
    assert answers[-1]["done_reason"] == "stop"


def test_a_model_without_tools_refuses_them_and_one_with_them_says_so(shared: DaemonProcess, caller: str) -> None:
    refused = shared.request("POST", "/api/chat", {"model": "echo", "messages": HELLO, "tools": [TOOL]})

    assert refused.status_code == 400
    assert "tools" in shared.post("/api/show", model=caller)["capabilities"]


def test_metrics_count_answers_and_their_tokens(shared: DaemonProcess) -> None:
    shared.post("/api/generate", model="echo", prompt="count me", raw=True)

    text = shared.request("GET", "/metrics").text
    values = {
        (sample.name, sample.labels.get("reason", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("model", "echo:latest") == "echo:latest"
    }

    assert values["ollamapy_answers_total", "stop"] >= 1
    assert values["ollamapy_output_tokens_total", ""] >= len("count me")
    assert values["ollamapy_requests_running", ""] == 0
    assert values["ollamapy_model_bytes", ""] >= 0


def test_a_reply_says_how_much_of_its_prompt_was_in_the_cache(shared: DaemonProcess) -> None:
    prompt = "a text that nobody has sent before, and that is sent twice"

    first = shared.post("/api/generate", model="echo", prompt=prompt)
    second = shared.post("/api/generate", model="echo", prompt=prompt)

    assert first["response"] == second["response"] == prompt
    assert first.get("prompt_cached_count", 0) < 5 < second["prompt_cached_count"] < second["prompt_eval_count"]
    assert first["prompt_eval_count"] == second["prompt_eval_count"]
