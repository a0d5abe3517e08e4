"""The contract's limits, loads and transcripts of the native API: rows of its tables that other files have not."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fakes import goldens
from fakes.daemon_process import DaemonProcess
from fakes.gguf_files import tiny_model
from fakes.transcript import exchange
from fakes.uploads import put_model

HI = [{"role": "user", "content": "hi"}]
LONG = "0123456789" * 20
WAYS_OUT = "shorten the prompt, raise num_ctx, or use a model with a longer context"
CANNOT_SHIFT = (
    "the prompt is longer than the context length currently available to the model; shorten the prompt, adjust the "
    "context length in settings, or use a model with a longer context length"
)


def ask(daemon: DaemonProcess, path: str, **body: Any) -> httpx.Response:
    return daemon.request("POST", path, {"model": "echo", "stream": False, **body})


def told(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json().get("error", "")


# Honest limits


@pytest.mark.parametrize(
    ("path", "body", "error", "hint"),
    [
        ("/api/chat", {"messages": [{"role": "user", "content": LONG}]}, "201 tokens", WAYS_OUT),
        ("/api/generate", {"prompt": LONG}, "201 tokens", WAYS_OUT),
        ("/api/generate", {"prompt": LONG, "template": "{{ .Prompt }}", "truncate": False}, "201 tokens", WAYS_OUT),
        ("/api/generate", {"prompt": LONG, "raw": True, "truncate": False}, "201 tokens", WAYS_OUT),
        ("/api/generate", {"prompt": LONG, "raw": True, "shift": False}, CANNOT_SHIFT, "201 tokens, the limit is 64"),
        ("/api/generate", {"prompt": LONG, "template": "{{ .Prompt }}", "shift": False}, CANNOT_SHIFT, "limit is 64"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_a_prompt_that_does_not_fit_gets_its_length_the_limit_and_the_ways_out(
    shared: DaemonProcess, path: str, body: dict[str, Any], error: str, hint: str, stream: bool
) -> None:
    response = ask(shared, path, **body, stream=stream, options={"num_ctx": 64})

    assert response.status_code == 400
    assert error in response.json()["error"]
    assert hint in response.json()["hint"]
    if error != CANNOT_SHIFT:
        assert "exceeds the available context size of 64 tokens" in response.json()["error"]


def test_a_reply_tells_every_token_that_was_dropped(shared: DaemonProcess, templated: Callable[..., str]) -> None:
    name = templated("cutting", "{{ .Prompt }}")
    small = {"options": {"num_ctx": 64}}
    cut = ask(shared, "/api/generate", model=name, prompt=LONG, **small).json()
    *_, shifted = shared.stream("/api/generate", model="echo", prompt="ab" * 25, **small)
    *_, talked = shared.stream("/api/chat", model="echo", messages=[{"role": "user", "content": "ab" * 25}], **small)
    whole = ask(shared, "/api/chat", messages=HI, **small).json()
    stopped = ask(shared, "/api/generate", prompt="ab" * 25, shift=False, **small).json()

    assert cut["prompt_dropped_count"] + cut["prompt_eval_count"] == len(LONG) + 1
    assert shifted["context_dropped_count"] > 0
    assert talked["context_dropped_count"] > 0
    assert not {"prompt_dropped_count", "context_dropped_count"} & {*whole, *stopped}
    assert (stopped["done_reason"], shifted["prompt_eval_count"]) == ("length", 51)


def test_the_other_apis_tell_what_was_dropped_too(shared: DaemonProcess) -> None:
    messages = [{"role": "user", "content": "ab" * 25}]
    body = {"model": "echo", "messages": messages, "options": {"num_ctx": 64}}
    events = [
        line.removeprefix("data: ")
        for path in ("/v1/chat/completions", "/v1/messages")
        for line in shared.request("POST", path, {**body, "max_tokens": 99, "stream": True}).text.splitlines()
    ]
    completed = shared.post("/v1/completions", model="echo", prompt="ab" * 25, options={"num_ctx": 64}, max_tokens=99)

    assert shared.post("/v1/chat/completions", **body)["context_dropped_count"] > 0
    assert shared.post("/v1/messages", **body, max_tokens=99)["context_dropped_count"] > 0
    assert completed["context_dropped_count"] > 0
    assert sum('"context_dropped_count":' in event for event in events) == 2


# Loading


def test_a_file_that_cannot_be_run_is_told_so_and_leaves_nothing_loaded(shared: DaemonProcess) -> None:
    tiny = put_model(shared, "tiny", tiny_model())
    advice = (
        ": this model may be incompatible with your version of Ollama. If you previously pulled this model, try "
        "updating it by running `ollama pull tiny:latest`"
    )
    for path in ("/api/generate", "/api/chat", "/api/embed", "/api/embeddings"):
        status, error = told(ask(shared, path, model=tiny, prompt="hi", messages=HI, input="hi"))

        assert status == 500
        assert error.endswith(advice), path
    assert "tiny:latest" not in shared.loaded()
    assert ask(shared, "/api/generate", prompt="hi").json()["response"] == "hi"


def test_a_runner_is_replaced_for_what_it_was_loaded_with_and_for_nothing_else(
    start: Callable[..., DaemonProcess],
) -> None:
    daemon = start()
    daemon.post("/api/pull", model="echo")
    rows: list[tuple[dict[str, Any], bool]] = [
        ({}, True),
        ({"num_ctx": 4096}, False),
        ({"num_ctx": 100}, False),
        ({"temperature": 1.5, "seed": 3, "num_keep": 7, "stop": ["x"], "num_predict": 2, "top_k": 3}, False),
        ({"num_gpu": 0}, True),
        ({}, False),
        ({"num_thread": 2}, True),
        ({}, True),
        ({"use_mmap": False, "num_batch": 256}, True),
        ({}, True),
    ]
    before: list[int] = []
    for options, is_new in rows:
        daemon.post("/api/generate", model="echo", options=options, system="other", keep_alive="7m")
        after = daemon.runner_pids()
        assert (after != before, len(after)) == (is_new, 1), options
        before = after


def test_the_environments_switches_of_templates_and_loads_are_heeded(
    start: Callable[..., DaemonProcess], put_echo: Callable[..., str]
) -> None:
    daemon = start(OLLAMA_GO_TEMPLATE="0", OLLAMA_LOAD_TIMEOUT="1s", OLLAMA_SCHED_SPREAD="1")
    put_echo(daemon, "plain", step_seconds=0.0)
    put_echo(daemon, "stuck", load_seconds=600.0)
    daemon.post("/api/create", model="go", template="go: {{ .Prompt }}", **{"from": "plain"})

    assert daemon.post("/api/show", model="go")["template"] == "{{ messages[-1].content }}"
    stalled = daemon.request("POST", "/api/generate", {"model": "stuck"})
    assert told(stalled)[0] == 500
    assert told(stalled)[1].startswith("timed out waiting for llama-server to start")
    assert daemon.loaded() == []
    assert "not looked at names=OLLAMA_SCHED_SPREAD" in daemon.log


# Transcripts


def test_the_lists_and_the_rest_of_the_usual_requests_are_answered_as_they_always_were(
    start: Callable[..., DaemonProcess],
) -> None:
    """Together with the examples of generate, chat, show and create this is the native API of a plain client."""
    daemon = start()
    missing = f"/api/blobs/sha256:{'0' * 64}"
    asked: list[tuple[str, str, Any]] = [
        ("HEAD", "/", None),
        ("GET", "/api/status", None),
        ("GET", "/api/tags", None),
        ("GET", "/api/ps", None),
        ("POST", "/api/pull", {"model": "echo"}),
        ("GET", "/api/tags", None),
        ("POST", "/api/embed", {"model": "echo", "input": ["hi", "you"]}),
        ("POST", "/api/embed", {"model": "echo", "input": "hi", "dimensions": 9}),
        ("POST", "/api/embeddings", {"model": "echo", "prompt": "hi"}),
        ("GET", "/api/ps", None),
        ("POST", "/api/tokenize", {"model": "echo", "text": "hi"}),
        ("POST", "/api/detokenize", {"model": "echo", "tokens": [104, 105]}),
        ("POST", "/api/apply-template", {"model": "echo", "messages": HI}),
        ("POST", "/api/create", {"model": "small", "from": "echo", "quantize": "q4_K_M"}),
        ("POST", "/api/create", {"model": "small", "from": "echo", "quantize": "q9"}),
        ("POST", "/api/create", {"model": "small", "files": {"a.gguf": f"sha256:{'0' * 64}"}}),
        ("POST", "/api/copy", {"source": "nope", "destination": "x"}),
        ("DELETE", "/api/delete", {"model": "nope"}),
        ("POST", "/api/push", {"model": "nope"}),
        ("POST", "/api/show", {"model": "nope"}),
        ("POST", "/api/generate", {}),
        ("POST", "/api/chat", {}),
        ("HEAD", missing, None),
        ("GET", "/api/generate", None),
        ("GET", "/nothing", None),
    ]
    transcript = "\n".join(exchange(daemon, *request) for request in asked)

    goldens.check(goldens.FOLDER / "native" / "lists.txt", transcript)
