"""What users see when things break: dying runners, a stopping daemon, taken ports and stores, hostile files."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.daemon_process import DEADLINE_SECONDS, DaemonProcess, wait_until
from fakes.frozen import freeze
from fakes.gguf_files import echo_gguf

DIED = "model runner has unexpectedly stopped"
UNGUESSED = {"draft_num_predict": 0}
"""One token a step, so that a long answer takes long: guesses would have a loop done in no time."""


@pytest.mark.parametrize("fault", ["prefill-abort", "prefill-segv", "prefill-kill"])
def test_a_runner_that_dies_before_the_first_word_is_a_500_with_the_reason(
    fault: str, start: Callable[..., DaemonProcess], put_echo: Callable[..., str]
) -> None:
    daemon = start()
    put_echo(daemon, "bad", fault=fault)
    daemon.post("/api/pull", model="echo")
    daemon.post("/api/generate", model="echo")

    response = daemon.request("POST", "/api/generate", {"model": "bad", "prompt": "hello"})

    assert response.status_code == 500
    assert response.json()["error"].startswith(DIED)
    assert "SIG" in response.json()["error"]
    assert daemon.loaded() == ["echo:latest"]
    assert daemon.post("/api/generate", model="echo", prompt="fine")["response"] == "fine"


def test_a_runner_killed_in_mid_answer_ends_the_stream_with_an_error_line_and_starts_again(
    start: Callable[..., DaemonProcess], put_echo: Callable[..., str]
) -> None:
    daemon = start()
    put_echo(daemon, "slow", step_seconds=0.05)
    lines = daemon.stream("/api/generate", model="slow", prompt="x" * 2000, options=UNGUESSED)
    next(lines)
    [pid] = daemon.runner_pids()
    os.kill(pid, signal.SIGKILL)
    *_, last = lines

    assert last.keys() == {"error"}
    assert last["error"] == "an error was encountered while running the model: signal: SIGKILL"
    assert daemon.post("/api/generate", model="slow", prompt="ok")["response"] == "ok"


def test_a_runner_that_hangs_is_replaced_and_its_answers_end_with_an_error_line(
    start: Callable[..., DaemonProcess], put_echo: Callable[..., str]
) -> None:
    daemon = start()
    put_echo(daemon, "slow", step_seconds=0.05)
    lines = daemon.stream("/api/generate", model="slow", prompt="x" * 2000, options=UNGUESSED)
    next(lines)
    [pid] = daemon.runner_pids()
    freeze(pid)
    for _ in range(2):  # after this the daemon has read what the runner said before
        daemon.loaded()
    stopped = time.monotonic()
    wait_until(lambda: time.monotonic() - stopped > 1.2, "a silence that is long enough to be noticed")

    assert daemon.post("/api/generate", model="slow", prompt="ok")["response"] == "ok"
    *_, last = lines
    assert last == {"error": "an error was encountered while running the model: signal: SIGKILL"}
    assert pid not in daemon.runner_pids()
    assert "runner hangs" in daemon.log


@pytest.mark.parametrize("fault", ["load-abort", "load-exit", "load-error"])
def test_a_load_that_fails_is_a_500_and_leaves_nothing_loaded(
    fault: str, start: Callable[..., DaemonProcess], put_echo: Callable[..., str]
) -> None:
    daemon = start()
    put_echo(daemon, "bad", fault=fault)

    for _ in range(2):
        response = daemon.request("POST", "/api/generate", {"model": "bad", "prompt": "x"})
        assert response.status_code == 500
        assert response.json()["error"]
    assert daemon.loaded() == []
    assert daemon.runner_pids() == []


def test_a_load_that_lacks_memory_unloads_the_others_and_fails_only_then(
    start: Callable[..., DaemonProcess], put_echo: Callable[..., str]
) -> None:
    daemon = start()
    put_echo(daemon, "large", fault="load-memory")
    put_echo(daemon, "small")
    daemon.post("/api/generate", model="small")

    response = daemon.request("POST", "/api/generate", {"model": "large", "prompt": "x"})

    assert response.status_code == 500
    assert "told to find no memory" in response.json()["error"]
    assert daemon.loaded() == []
    assert daemon.log.count("load failed model=large") == 2


def test_a_stopping_daemon_ends_answers_with_an_error_line_and_leaves_no_runner(
    start: Callable[..., DaemonProcess], put_echo: Callable[..., str]
) -> None:
    daemon = start()
    put_echo(daemon, "slow", step_seconds=0.05)
    lines = daemon.stream("/api/generate", model="slow", prompt="x" * 2000, options=UNGUESSED)
    next(lines)
    pids = daemon.runner_pids()
    daemon.process.send_signal(signal.SIGTERM)
    *_, last = lines

    assert last == {"error": "the server is shutting down"}
    assert daemon.process.wait(DEADLINE_SECONDS) == 0
    assert pids
    assert not any(_is_running(pid) for pid in pids)


def test_a_killed_daemon_leaves_no_runner_behind(
    start: Callable[..., DaemonProcess], put_echo: Callable[..., str]
) -> None:
    daemon = start()
    put_echo(daemon, "slow", step_seconds=0.05)
    lines = daemon.stream("/api/generate", model="slow", prompt="x" * 2000, options=UNGUESSED)
    next(lines)
    pids = daemon.runner_pids()
    daemon.process.kill()

    wait_until(lambda: not any(_is_running(pid) for pid in pids), "the runner to notice")


def test_a_taken_port_is_one_sentence(shared: DaemonProcess, tmp_path: Path) -> None:
    ended = serve(tmp_path, OLLAMA_HOST=shared.address)

    assert ended.returncode == 1
    assert ended.stderr.splitlines()[0] == f"Error: listen tcp {shared.address}: bind: address already in use"
    assert "Traceback" not in ended.stderr


def test_a_second_daemon_on_one_store_is_refused(shared: DaemonProcess, tmp_path: Path) -> None:
    ended = serve(tmp_path, OLLAMA_HOST="127.0.0.1:0", OLLAMA_MODELS=str(shared.home / "models"))

    assert ended.returncode == 1
    assert "in use by another ollamapy daemon" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_bad_origin_is_refused_at_start(tmp_path: Path) -> None:
    ended = serve(tmp_path, OLLAMA_HOST="127.0.0.1:0", OLLAMA_ORIGINS="a.example")

    assert ended.returncode == 1
    assert "bad origin: origins must contain '*' or include" in ended.stderr


def serve(home: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    base = {k: v for k, v in os.environ.items() if not k.startswith("OLLAMA")}
    return subprocess.run(
        [sys.executable, "-m", "ollamapy", "serve"],
        env={**base, "OLLAMAPY_HOME": str(home), **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_hosts_and_origins_are_checked(shared: DaemonProcess) -> None:
    def status(**headers: str) -> int:
        return shared.client.get("/api/version", headers=headers).status_code

    assert status(Host="evil.example") == 403
    assert status(Origin="http://evil.example") == 403
    assert status(Origin="http://localhost:3000") == 200


def create(daemon: DaemonProcess, data: bytes) -> Any:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    daemon.client.post(f"/api/blobs/{digest}", content=data)
    return daemon.request("POST", "/api/create", {"model": "made", "files": {"x.gguf": digest}, "stream": False})


@pytest.mark.parametrize(
    "data",
    [b"not a gguf file", b"", echo_gguf()[:50], b"GGUF" + b"\xff" * 200],
    ids=["text", "empty", "truncated", "lying counts"],
)
def test_a_file_that_is_no_model_is_refused_and_leaves_no_model(shared: DaemonProcess, data: bytes) -> None:
    response = create(shared, data)

    assert response.status_code in (400, 500)
    assert response.json()["error"]
    assert shared.request("POST", "/api/show", {"model": "made"}).status_code == 404


def test_two_clients_loading_two_models_at_once_both_get_answers(
    start: Callable[..., DaemonProcess], put_echo: Callable[..., str]
) -> None:
    daemon = start(OLLAMA_MAX_LOADED_MODELS="1")
    names = [put_echo(daemon, name, load_seconds=seconds) for name, seconds in (("a", 0.2), ("b", 0.1))]
    answers: dict[str, Any] = {}

    def ask(name: str) -> None:
        answers[name] = daemon.post("/api/generate", model=name, prompt=f"I am {name}")["response"]

    threads = [threading.Thread(target=ask, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == {"a": "I am a", "b": "I am b"}


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
