"""Gaps filled through the daemon, by `/infill` and by generate, on a random model whose vocabulary has the marks."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from fakes import tiny_coder
from fakes.daemon_process import DaemonProcess, wait_until
from fakes.tiny_coder import FILE, MIDDLE, PREFIX, REPOSITORY, SUFFIX

pytestmark = pytest.mark.weights

GREEDY = {"temperature": 0, "num_predict": 6}
VIM = {
    "id_slot": 0,
    "input_prefix": "def f():\n",
    "input_suffix": "\n    return x\n",
    "input_extra": [{"filename": "a.py", "text": "x = 1\n", "time": [1, 2]}],
    "prompt": "    x = ",
    "n_predict": 8,
    "stop": [],
    "n_indent": 4,
    "top_k": 40,
    "top_p": 0.90,
    "stream": False,
    "samplers": ["top_k", "top_p", "infill"],
    "cache_prompt": True,
    "t_max_prompt_ms": 500,
    "t_max_predict_ms": 1000,
}
"""What llama.vim sends."""


def bytes_of(text: str) -> list[int]:
    return [3 + byte for byte in text.encode()]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A daemon with `coder`; nothing else in its store."""
    home = tmp_path_factory.mktemp("coder")
    tiny_coder.write(home / "coder.gguf")
    data = (home / "coder.gguf").read_bytes()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    daemon = DaemonProcess(home)
    assert daemon.client.post(f"/api/blobs/{digest}", content=data).status_code == 201
    assert daemon.post("/api/create", model="coder", files={"coder.gguf": digest}) == {"status": "success"}
    yield daemon
    assert daemon.stop() == 0


def test_generate_with_extra_files_tells_the_model_by_its_own_tokens(daemon: DaemonProcess) -> None:
    answer = daemon.post(
        "/api/generate",
        model="coder",
        prompt="a<|fim_middle|>",
        suffix="b",
        extra=[{"filename": "c.py", "text": "d"}, {"text": "e"}],
        options=GREEDY,
    )

    prompt = [
        *[1, REPOSITORY, *bytes_of("myproject\n"), FILE, *bytes_of("c.py\nd"), FILE, *bytes_of("tmp\ne")],
        *[FILE, *bytes_of("filename\n"), PREFIX, *bytes_of("a<|fim_middle|>"), SUFFIX, *bytes_of("b"), MIDDLE],
    ]
    assert answer["context"][: len(prompt)] == prompt
    assert answer["prompt_eval_count"] == len(prompt)
    assert 0 < answer["eval_count"] <= 6


def test_what_an_editor_sends_is_answered_as_its_server_does(daemon: DaemonProcess) -> None:
    """It names no model: the one in the store is meant."""
    response = daemon.request("POST", "/infill", VIM)

    assert response.status_code == 200, response.text
    answer = response.json()
    assert isinstance(answer["content"], str)
    assert (answer["stop"], answer["model"], answer["truncated"]) == (True, "coder:latest", False)
    assert answer["stop_type"] in ("eos", "limit")
    assert 0 < answer["tokens_predicted"] <= 8
    timings = answer["timings"]
    assert timings["prompt_n"] + timings["cache_n"] == answer["tokens_evaluated"]
    assert timings["predicted_n"] == answer["tokens_predicted"]


def test_an_editor_gets_the_fields_that_it_names(daemon: DaemonProcess) -> None:
    wanted = ["content", "timings/prompt_n", "timings/predicted_ms", "truncated", "tokens_cached", "nothing", ""]

    answer = daemon.request("POST", "/infill", {**VIM, "response_fields": wanted}).json()

    assert set(answer) == {"content", "timings/prompt_n", "timings/predicted_ms", "truncated", "tokens_cached"}


def test_a_request_for_no_tokens_warms_the_cache_for_the_next(daemon: DaemonProcess) -> None:
    extra = [{"filename": "long.py", "text": "z = 2\n" * 40}]
    warm = {"input_prefix": "", "input_suffix": "", "prompt": "", "n_predict": 0, "samplers": [], "t_max_predict_ms": 1}
    assert daemon.request("POST", "/infill", {**warm, "input_extra": extra}).json()["content"] == ""

    answer = daemon.request("POST", "/infill", {**VIM, "input_extra": extra}).json()

    assert answer["timings"]["cache_n"] > 240


def test_a_stream_ends_with_the_numbers(daemon: DaemonProcess) -> None:
    response = daemon.request("POST", "/infill", {**VIM, "stream": True, "temperature": 0, "samplers": []})

    assert response.headers["Content-Type"].startswith("text/event-stream")
    events = [json.loads(line.removeprefix("data: ")) for line in response.text.split("\n\n") if line]
    *chunks, last = events
    assert all(not chunk["stop"] for chunk in chunks)
    assert last["stop"]
    assert last["content"] == ""
    assert last["tokens_predicted"] > 0


def test_files_that_do_not_fit_are_left_out_and_the_answer_says_so(daemon: DaemonProcess) -> None:
    extra = [{"filename": f"{n}.py", "text": "x" * 400} for n in range(5)]

    answer = daemon.request("POST", "/infill", {**VIM, "input_extra": extra}).json()

    assert answer["truncated"]
    assert answer["prompt_dropped_count"] > 900
    assert answer["tokens_evaluated"] < 1024


@pytest.mark.parametrize(
    ("body", "status", "complaint"),
    [
        ({"input_suffix": "x"}, 400, "missing required field `input_prefix`"),
        ({"input_prefix": "x"}, 400, "missing required field `input_suffix`"),
        ({"input_prefix": "x", "input_suffix": "", "input_extra": {}}, 400, "$.input_extra"),
        ({"input_prefix": "x", "input_suffix": "", "input_extra": [{"filename": "a"}]}, 400, "`text`"),
        ({"input_prefix": "x", "input_suffix": "", "prompt": 5}, 400, "$.prompt"),
        ({"input_prefix": "x", "input_suffix": "", "samplers": ["best"]}, 400, 'option "samplers" must be one of'),
        ({"input_prefix": "x", "input_suffix": "", "model": "nobody"}, 404, "model 'nobody' not found"),
        ({"input_prefix": "x", "input_suffix": "", "n_predict": "many"}, 400, "$.n_predict"),
    ],
)
def test_a_request_that_cannot_be_answered_has_an_error_in_its_servers_words(
    daemon: DaemonProcess, body: dict[str, Any], status: int, complaint: str
) -> None:
    response = daemon.request("POST", "/infill", body)

    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, status)
    assert error["type"] == {400: "invalid_request_error", 404: "not_found_error"}[status]
    assert complaint in error["message"]


@pytest.mark.parametrize("field", [{"raw": True}, {"template": "x"}, {"system": "x"}, {"context": [1]}])
def test_extra_files_and_a_template_exclude_each_other(daemon: DaemonProcess, field: dict[str, Any]) -> None:
    response = daemon.request("POST", "/api/generate", {"model": "coder", "prompt": "x", "extra": [], **field})

    assert response.status_code == 400
    assert response.json()["error"] == f"extra does not go with {next(iter(field))}"


def test_a_suffix_without_extra_files_needs_a_template_as_ever(daemon: DaemonProcess) -> None:
    response = daemon.request("POST", "/api/generate", {"model": "coder", "prompt": "x", "suffix": "y"})

    assert response.status_code == 400
    assert response.json()["error"] == "registry.ollama.ai/library/coder:latest does not support insert"


def test_a_model_without_the_marks_says_so(shared: DaemonProcess) -> None:
    gap = {"model": "echo", "input_prefix": "x", "input_suffix": "y"}
    missing = "the model cannot fill gaps: its vocabulary has no token for prefix, suffix, middle"

    native = shared.request("POST", "/api/generate", {"model": "echo", "prompt": "x", "suffix": "y", "extra": []})
    editor = shared.request("POST", "/infill", gap)

    assert (native.status_code, native.json()["error"]) == (501, missing)
    assert editor.status_code == 501
    assert editor.json()["error"] == {"code": 501, "message": missing, "type": "not_supported_error"}


def test_no_model_is_guessed_when_there_are_several(shared: DaemonProcess) -> None:
    assert shared.request("POST", "/api/copy", {"source": "echo", "destination": "other"}).status_code == 200
    shared.post("/api/generate", model="echo", keep_alive=0)
    wait_until(lambda: not shared.loaded(), "the model to be unloaded")

    response = shared.request("POST", "/infill", {"input_prefix": "x", "input_suffix": "y"})

    assert response.status_code == 400
    assert response.json()["error"]["message"] == "model is required"
    assert "one of echo:latest, other:latest" in response.json()["error"]["hint"]
