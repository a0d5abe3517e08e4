"""When models are loaded, kept and unloaded, as clients see it. Echo loads and steps as slowly as it is told.

A machine that others use too may stand still for seconds between two requests of a test: what must still load or stream
by then does so for longer, or is stopped until then.
"""

import os
import signal
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fakes.daemon_process import DaemonProcess, wait_until
from fakes.frozen import freeze

Start = Callable[..., DaemonProcess]
PutEcho = Callable[..., str]
BUSY = "server busy, please try again.  maximum pending requests exceeded"
MINUTE = 60.0
FOREVER = 200 * 365 * 24 * 60 * MINUTE


@pytest.fixture
def clients() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=8) as pool:
        yield pool


def ask(daemon: DaemonProcess, **body: Any) -> httpx.Response:
    """A whole answer, with a client of its own."""
    with httpx.Client(base_url=daemon.url, timeout=120) as client:
        return client.post("/api/generate", json={"stream": False, **body})


def stream(daemon: DaemonProcess, model: str, prompt: str) -> Generator[dict[str, Any], None, None]:
    """A stream that has begun, a token a step; closing it is the client's leaving."""
    lines = daemon.stream("/api/generate", model=model, prompt=prompt, options={"draft_num_predict": 0})
    next(lines)
    return lines


def remaining(daemon: DaemonProcess, name: str = "echo:latest") -> float:
    """Seconds until a loaded model goes."""
    models = {model["name"]: model for model in daemon.request("GET", "/api/ps").json()["models"]}
    return (datetime.fromisoformat(models[name]["expires_at"]) - datetime.now(UTC)).total_seconds()


def await_waiting(daemon: DaemonProcess, count: int) -> None:
    """Until so many requests wait for a runner."""
    line = f"ollamapy_requests_waiting {count:.1f}\n"
    wait_until(lambda: line in daemon.request("GET", "/metrics").text, f"{count} requests to wait")


def with_echo(daemon: DaemonProcess) -> DaemonProcess:
    daemon.post("/api/pull", model="echo")
    return daemon


# The queue


def test_behind_the_head_so_many_wait_and_one_more_is_a_503(
    start: Start, put_echo: PutEcho, clients: ThreadPoolExecutor
) -> None:
    daemon = start(OLLAMA_MAX_QUEUE="1")
    put_echo(daemon, "slow", load_seconds=8.0)
    put_echo(daemon, "other", step_seconds=0.001)
    head = clients.submit(ask, daemon, model="slow")
    wait_until(lambda: bool(daemon.runner_pids()), "the load to begin")
    [loading] = daemon.runner_pids()
    freeze(loading)
    others = [clients.submit(ask, daemon, model="other", prompt="x") for _ in range(3)]
    wait_until(lambda: sum(other.done() for other in others) == 2, "two to be sent away")
    os.kill(loading, signal.SIGCONT)
    codes = sorted(other.result().status_code for other in others)
    texts = [other.result().json()["error"] for other in others if other.result().status_code == 503]

    assert codes == [200, 503, 503]
    assert texts == [BUSY, BUSY]
    assert head.result().json()["done_reason"] == "load"


def test_a_model_waits_until_the_one_in_use_has_answered_and_may_go(
    start: Start, put_echo: PutEcho, clients: ThreadPoolExecutor
) -> None:
    daemon = start(OLLAMA_MAX_LOADED_MODELS="1")
    put_echo(daemon, "a", step_seconds=0.3)
    put_echo(daemon, "b", step_seconds=0.001)
    running = stream(daemon, "a", "x" * 60)
    waiting = clients.submit(ask, daemon, model="b", prompt="I am b")
    await_waiting(daemon, 1)
    past = ask(daemon, model="a", prompt="past")
    was_waiting = not waiting.done()
    *_, last = running

    assert past.json()["response"] == "past"
    assert was_waiting
    assert last["done_reason"] == "stop"
    assert waiting.result().json()["response"] == "I am b"
    assert daemon.loaded() == ["b:latest"]


def test_two_requests_for_a_model_that_is_not_loaded_share_one_load(
    start: Start, put_echo: PutEcho, clients: ThreadPoolExecutor
) -> None:
    daemon = start()
    put_echo(daemon, "slow", load_seconds=0.5)
    asked = [clients.submit(ask, daemon, model="slow", prompt=str(n)) for n in range(4)]

    assert [found.result().json()["response"] for found in asked] == ["0", "1", "2", "3"]
    assert len(daemon.runner_pids()) == 1


def test_more_requests_than_places_wait_without_a_503(
    start: Start, put_echo: PutEcho, clients: ThreadPoolExecutor
) -> None:
    daemon = start(OLLAMA_NUM_PARALLEL="2", OLLAMA_MAX_QUEUE="1")
    put_echo(daemon, "slow", step_seconds=0.01)
    running = [stream(daemon, "slow", "x" * 50) for _ in range(2)]
    third = clients.submit(ask, daemon, model="slow", prompt="third")
    for lines in running:
        assert list(lines)[-1]["done_reason"] == "stop"

    assert third.result().json()["response"] == "third"


# Who leaves


def test_a_client_that_leaves_during_the_load_leaves_nothing_loaded(start: Start, put_echo: PutEcho) -> None:
    daemon = start()
    put_echo(daemon, "slow", load_seconds=280.0)
    with httpx.Client(base_url=daemon.url) as client, pytest.raises(httpx.ReadTimeout):
        client.post("/api/generate", json={"model": "slow"}, timeout=1.0)

    wait_until(lambda: daemon.runner_pids() == [], "the load to be given up")
    assert daemon.loaded() == []


def test_a_client_that_leaves_the_queue_holds_nobody_up(
    start: Start, put_echo: PutEcho, clients: ThreadPoolExecutor
) -> None:
    daemon = start(OLLAMA_MAX_LOADED_MODELS="1")
    put_echo(daemon, "a", load_seconds=2.0)
    put_echo(daemon, "b", load_seconds=30.0)
    put_echo(daemon, "c", step_seconds=0.001)
    head = clients.submit(ask, daemon, model="a")
    wait_until(lambda: bool(daemon.runner_pids()), "the load to begin")
    with httpx.Client(base_url=daemon.url) as client, pytest.raises(httpx.ReadTimeout):
        client.post("/api/generate", json={"model": "b"}, timeout=0.5)

    assert ask(daemon, model="c", prompt="I am c").json()["response"] == "I am c"
    assert head.result().status_code == 200


# Keeping


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (42, 42.0),
        (42.5, 42.5),
        ("5m", 5 * MINUTE),
        ("1h30m", 90 * MINUTE),
        ("1.5h", 90 * MINUTE),
        (-1, FOREVER),
        (-0.5, FOREVER),
        ("-1s", FOREVER),
        (None, 5 * MINUTE),
    ],
)
def test_a_model_is_kept_as_long_as_the_request_says(shared: DaemonProcess, given: Any, seconds: float) -> None:
    unload(shared, "echo")
    shared.post("/api/generate", model="echo", prompt="x", keep_alive=given)
    found = remaining(shared)
    unload(shared, "echo")

    if seconds == FOREVER:
        assert found > FOREVER
    else:
        assert seconds - 20 < found <= seconds


def unload(daemon: DaemonProcess, name: str) -> None:
    assert daemon.post("/api/generate", model=name, keep_alive=0)["done_reason"] == "unload"
    wait_until(lambda: f"{name}:latest" not in daemon.loaded(), "the unload")


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (True, "Unsupported type: 'bool'"),
        ([], "Unsupported type: '[]interface {}'"),
        ({}, "Unsupported type: 'map[string]interface {}'"),
        ("1d", 'time: unknown unit "d" in duration "1d"'),
        ("5", 'time: missing unit in duration "5"'),
        ("soon", 'time: invalid duration "soon"'),
    ],
)
def test_what_is_no_keep_alive_is_refused(shared: DaemonProcess, given: Any, error: str) -> None:
    response = ask(shared, model="echo", prompt="x", keep_alive=given)

    assert (response.status_code, response.json()["error"]) == (400, error)


@pytest.mark.parametrize("nothing", [0, "0", "0s", "0m"])
def test_a_model_that_is_kept_for_nothing_answers_and_goes(shared: DaemonProcess, nothing: Any) -> None:
    assert shared.post("/api/generate", model="echo", prompt="hi", keep_alive=nothing)["response"] == "hi"
    wait_until(lambda: "echo:latest" not in shared.loaded(), "the unload")


def test_the_last_keep_alive_given_stays_and_may_be_shortened(start: Start) -> None:
    daemon = with_echo(start(OLLAMA_KEEP_ALIVE="10m"))
    found = []
    for given in ({}, {"keep_alive": "1h"}, {}, {"keep_alive": "2m"}, {}):
        daemon.post("/api/generate", model="echo", prompt="x", **given)
        found.append(round(remaining(daemon) / MINUTE))

    assert found == [10, 60, 60, 2, 2]


@pytest.mark.parametrize(("value", "is_kept"), [("0", False), ("-1", True)])
def test_the_environment_says_how_long_by_default(start: Start, value: str, is_kept: bool) -> None:
    daemon = with_echo(start(OLLAMA_KEEP_ALIVE=value))
    daemon.post("/api/generate", model="echo", prompt="x")

    if is_kept:
        assert remaining(daemon) > FOREVER
    else:
        wait_until(lambda: daemon.loaded() == [], "the unload")


def test_an_unload_is_answered_at_once_and_waits_for_the_stream(start: Start, put_echo: PutEcho) -> None:
    daemon = start()
    put_echo(daemon, "slow", step_seconds=0.3)
    running = stream(daemon, "slow", "x" * 50)
    unloaded = ask(daemon, model="slow", keep_alive=0).json()
    was_loaded = daemon.loaded()
    *_, last = running

    assert (unloaded["done_reason"], unloaded["response"]) == ("unload", "")
    assert was_loaded == ["slow:latest"]
    assert (last["done_reason"], last["eval_count"]) == ("stop", 51)  # the end is a token
    wait_until(lambda: daemon.loaded() == [], "the unload")


def test_a_request_to_a_model_that_is_to_go_is_answered_and_keeps_it_only_when_it_says_so(
    start: Start, put_echo: PutEcho
) -> None:
    daemon = start()
    put_echo(daemon, "slow", step_seconds=0.1)
    for given, is_kept in (({}, False), ({"keep_alive": "9m"}, True)):
        running = stream(daemon, "slow", "x" * 3000)
        assert remaining(daemon, "slow:latest") > 4 * MINUTE
        ask(daemon, model="slow", keep_alive=0)
        assert ask(daemon, model="slow", prompt="hi", **given).json()["response"] == "hi"
        running.close()

        if is_kept:
            assert remaining(daemon, "slow:latest") > 8 * MINUTE
        else:
            wait_until(lambda: daemon.loaded() == [], "the unload")


def test_a_model_that_was_never_loaded_is_unloaded_without_a_load(start: Start) -> None:
    daemon = with_echo(start())

    assert ask(daemon, model="echo", keep_alive=0).json()["done_reason"] == "unload"
    assert daemon.runner_pids() == []


def test_the_shortest_kept_goes_first(start: Start, put_echo: PutEcho) -> None:
    daemon = start(OLLAMA_MAX_LOADED_MODELS="2")
    for name, keep_alive in (("a", "1m"), ("b", "10m"), ("c", "5m")):
        put_echo(daemon, name, step_seconds=0.001 + ord(name) / 1e6)
        ask(daemon, model=name, keep_alive=keep_alive)

    assert set(daemon.loaded()) == {"b:latest", "c:latest"}


def test_a_loaded_model_outlives_its_name_and_a_copy_shares_it(start: Start) -> None:
    daemon = with_echo(start())
    daemon.post("/api/generate", model="echo")
    assert daemon.request("POST", "/api/copy", {"source": "echo", "destination": "twin"}).status_code == 200
    assert daemon.request("DELETE", "/api/delete", {"model": "echo"}).status_code == 200
    pids = daemon.runner_pids()

    assert ask(daemon, model="twin", prompt="hi").json()["response"] == "hi"
    assert daemon.loaded() == ["echo:latest"]
    assert daemon.runner_pids() == pids


# Contexts


@pytest.mark.parametrize(
    ("env", "parameters", "options", "wanted"),
    [
        ({}, {}, {}, 4096),
        ({"OLLAMA_CONTEXT_LENGTH": "8192"}, {}, {}, 8192),
        ({"OLLAMA_CONTEXT_LENGTH": "8192"}, {"num_ctx": 2048}, {}, 2048),
        ({"OLLAMA_CONTEXT_LENGTH": "8192"}, {"num_ctx": 2048}, {"num_ctx": 1024}, 1024),
        ({}, {}, {"num_ctx": 100_000}, 16_384),
        ({}, {}, {"num_ctx": 1}, 4),
    ],
)
def test_the_context_is_the_requests_the_models_or_the_environments(
    start: Start, env: dict[str, str], parameters: dict[str, int], options: dict[str, int], wanted: int
) -> None:
    daemon = start(**env)
    put_long(daemon)
    daemon.post("/api/create", model="made", **{"from": "long"}, parameters=parameters)
    daemon.post("/api/generate", model="made", options=options)
    [model] = daemon.request("GET", "/api/ps").json()["models"]

    assert model["context_length"] == wanted


def put_long(daemon: DaemonProcess) -> None:
    """An echo model that was trained on 16,384 tokens."""
    import hashlib

    from fakes.gguf_files import echo_gguf

    data = echo_gguf(context_length=16_384)
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    daemon.client.post(f"/api/blobs/{digest}", content=data)
    daemon.post("/api/create", model="long", files={"long.gguf": digest})
