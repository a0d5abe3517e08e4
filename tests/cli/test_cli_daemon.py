"""Starting the daemon in the background: the real one, on a port of its own."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ollamapy.cli.daemon import START_SECONDS, connect
from ollamapy.client import Client
from ollamapy.errors import Cancelled, Unreachable
from ollamapy.settings import Settings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An environment without a daemon, where one may be started; whatever was started is stopped."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for name in ("OLLAMAPY_NO_AUTOSTART", "OLLAMA_MODELS", "OLLAMA_ORIGINS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{port}")
    monkeypatch.setenv("OLLAMAPY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    yield tmp_path
    for pid in started(tmp_path):
        stop(pid)


def started(world: Path) -> list[int]:
    """The processes that the log says are listening."""
    log = world / "home" / "logs" / "server.log"
    return [int(pid) for pid in re.findall(r"pid=(\d+)", log.read_text())] if log.exists() else []


def stop(pid: int) -> None:
    """Ends a daemon and waits until it answers no more."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not answers())


def answers() -> bool:
    """Whether a daemon is there, be it one that is stopping."""
    with Client(f"http://{os.environ['OLLAMA_HOST']}") as client, contextlib.suppress(Cancelled):
        try:
            client.heartbeat()
        except Unreachable:
            return False
    return True


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ollamapy(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ollamapy", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_command_starts_the_daemon_that_it_lacks_and_says_so_once(world: Path) -> None:
    first, second = [ollamapy("list").communicate(timeout=120) for _ in range(2)]

    log = world / "home" / "logs" / "server.log"
    assert first == (
        "NAME    ID    SIZE    MODIFIED\n",
        f"starting the ollamapy daemon in the background; it logs to {log}\n",
    )
    assert second == (first[0], "")


def test_two_commands_that_start_one_at_once_both_end_well(world: Path) -> None:
    both = [ollamapy("list"), ollamapy("list")]
    ends = [each.communicate(timeout=120) for each in both]

    assert [each.returncode for each in both] == [0, 0], ends
    assert len(started(world)) == 1


def test_a_daemon_that_cannot_start_is_told_at_once_with_its_reason(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_ORIGINS", "a.example")
    start = time.monotonic()
    command = ollamapy("list")
    out, err = command.communicate(timeout=120)

    assert (command.returncode, out) == (1, "")
    assert "Error: the daemon ended with exit code 1 while it started: " in err
    assert "bad origin" in err
    assert time.monotonic() - start < START_SECONDS, "it was not waited for"


def test_a_daemon_ignores_what_lies_in_the_folder_it_was_started_in(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Someone may run `ollamapy list` in a folder of files they do not trust."""
    folder = world / "downloads"
    folder.mkdir()
    (folder / "aiohttp.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(folder)

    command = ollamapy("list")
    out, err = command.communicate(timeout=120)

    assert (command.returncode, out) == (0, "NAME    ID    SIZE    MODIFIED\n"), err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OLLAMAPY_NO_AUTOSTART", "1"),
        ("OLLAMA_HOST", "https://127.0.0.1:1"),
        ("OLLAMA_HOST", "http://127.0.0.1:1/prefix"),
        ("OLLAMA_HOST", "ollamapy.invalid"),
    ],
)
def test_elsewhere_or_when_told_not_to_nothing_is_started(
    world: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(Unreachable):
        connect(Settings.from_env())
    assert not (world / "home").exists()


@pytest.mark.parametrize("words", [("--version",), ("--help",), ("create", "bad name"), ("show", "a", "b")])
def test_what_needs_no_daemon_starts_none(world: Path, words: tuple[str, ...]) -> None:
    ollamapy(*words).communicate(timeout=120)

    assert not (world / "home").exists()


def test_serve_on_a_port_in_use_says_what_ollama_says(world: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        env = dict(os.environ, OLLAMA_HOST=f"127.0.0.1:{port}")
        ended = subprocess.run(
            [sys.executable, "-m", "ollamapy", "serve"], env=env, capture_output=True, text=True, timeout=120
        )

    assert ended.returncode == 1
    assert f"Error: listen tcp 127.0.0.1:{port}: bind: address already in use" in ended.stderr


def test_serve_ends_with_exit_code_0_on_sigterm(world: Path) -> None:
    command = ollamapy("start")
    wait_until(answers)
    command.terminate()
    _, err = command.communicate(timeout=120)

    assert command.returncode == 0, err
    assert "Traceback" not in err
