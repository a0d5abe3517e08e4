"""The command line as a user has it: real processes, a daemon that starts by itself, a store of its own."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.daemon_process import wait_until

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def port() -> Iterator[int]:
    """Holds a port: nobody else is given it, but a daemon that is told to may listen there.

    Linux lets it as long as this socket does not listen itself; elsewhere the port is let go, and hoped for.
    """
    with socket.socket() as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
        if sys.platform != "linux":
            place.close()
        yield port


@pytest.fixture
def run(tmp_path: Path, port: int) -> Iterator[Run]:
    """Runs `ollamapy` with words, against a port and a home of this test's; the daemon that it started is stopped."""
    base = {k: v for k, v in os.environ.items() if not k.startswith("OLLAMA")}
    env = {**base, "OLLAMAPY_HOME": str(tmp_path / "home"), "OLLAMA_HOST": f"127.0.0.1:{port}"}

    def call(*words: str, text: str | None = None, **extra: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "ollamapy", *words],
            env={**env, **extra},
            cwd=tmp_path,
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            text=True,
            timeout=120,
        )

    yield call
    log = tmp_path / "home" / "logs" / "server.log"
    if log.exists() and (found := re.findall(r"listening .* pid=(\d+)", log.read_text())):
        for pid in map(int, found):
            stop(pid)


def stop(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    wait_until(lambda: not Path(f"/proc/{pid}").exists() or sys.platform != "linux", "the daemon to end")


def test_the_first_command_starts_the_daemon_pulls_and_answers(run: Run) -> None:
    answer = run("run", "echo", "hello there")

    assert answer.returncode == 0
    assert answer.stdout == "hello there\n\n"
    assert "starting the ollamapy daemon in the background" in answer.stderr
    assert "Traceback" not in answer.stderr

    again = run("run", "echo", "again", "and again")
    assert again.stdout == "again and again\n\n"
    assert "starting" not in again.stderr


def test_a_model_lives_from_create_to_rm(run: Run, tmp_path: Path) -> None:
    (tmp_path / "Modelfile").write_text('FROM echo\nSYSTEM "be kind"\nPARAMETER temperature 0.5\n')

    assert run("create", "kind").returncode == 0
    assert run("cp", "kind", "kinder").stdout == "copied 'kind' to 'kinder'\n"
    assert re.search(r"^kinder:latest +[0-9a-f]{12} +460 B", run("list").stdout, re.M) is not None
    assert run("show", "kinder", "--system").stdout == "be kind"
    assert run("run", "kind", text="piped").stdout == "be kind\n\npiped\n\n"
    assert "kind:latest" in run("ps").stdout
    assert run("stop", "kind").stdout == ""
    assert run("rm", "kind", "nope", "kinder").stdout == "deleted 'kind'\n"
    assert run("list", "kind").stdout.splitlines()[1].startswith("kinder:latest")


def test_without_a_daemon_and_without_autostart_it_says_what_to_do(run: Run) -> None:
    ended = run("list", OLLAMAPY_NO_AUTOSTART="1")

    assert ended.returncode == 1
    assert ended.stderr.startswith("Error: could not connect to ollama")
    assert ended.stdout == ""


def test_two_first_commands_at_once_share_one_daemon(run: Run) -> None:
    import threading

    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(run("run", "echo", "hi").stdout)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == ["hi\n\n", "hi\n\n"]
