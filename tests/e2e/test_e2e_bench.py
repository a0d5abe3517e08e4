"""`ollamapy bench` as a user has it: real processes, a real daemon, real files."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.daemon_process import DaemonProcess, wait_until
from fakes.pseudo_terminal import PseudoTerminal

Bench = Callable[..., "subprocess.CompletedProcess[str]"]
LONG = ("--clients", "2", "--prompt-tokens", "3000", "--output-tokens", "2000", "--turns", "100000")
TINY = ("--clients", "1,3", "--prompt-tokens", "120", "--output-tokens", "5")


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "ollamapy", "bench", *words]


def environment(home: Path, host: str) -> dict[str, str]:
    base = {name: value for name, value in os.environ.items() if not name.startswith("OLLAMA")}
    return {**base, "OLLAMAPY_HOME": str(home), "OLLAMA_HOST": host, "OLLAMAPY_NO_AUTOSTART": "1"}


@pytest.fixture
def bench(tmp_path: Path, shared: DaemonProcess) -> Bench:
    """Runs the command against the shared daemon."""

    def call(*words: str, **env: str) -> "subprocess.CompletedProcess[str]":
        whole = {**environment(tmp_path / "home", shared.address), **env}
        return subprocess.run(command(*words), env=whole, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    return call


def test_a_model_is_measured(bench: Bench, tmp_path: Path) -> None:
    done = bench("echo", *TINY, "--json", "out.json")

    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line[:1].isdigit()]
    assert [row[:2] for row in rows] == [["1", "ollamapy"], ["3", "ollamapy"]]
    assert re.search("^ollamapy serves .* at once with the first token under 500 ms and 10 tokens/s", done.stdout, re.M)
    assert "3 clients, run 3 of 3, ollamapy" in done.stderr
    result = json.loads((tmp_path / "out.json").read_text())
    assert [point["summary"]["num_requests"] for point in result["points"]] == [4, 9]
    assert all(point["summary"]["output_tokens"] == 5 for point in result["points"])
    # The words are random: eleven of them, of which no choice makes a prompt shorter than 111 or longer than 127.
    assert all(abs(point["summary"]["prompt_tokens"] - 120) < 10 for point in result["points"])
    assert all(point["summary"]["num_failed"] == 0 for point in result["points"])


@pytest.mark.skipif(sys.platform != "linux", reason="memory is seen on Linux only")
def test_the_memory_of_the_daemon_and_of_its_runner_is_seen(bench: Bench, tmp_path: Path) -> None:
    bench("echo", *TINY, "--json", "out.json")

    peak = json.loads((tmp_path / "out.json").read_text())["points"][0]["summary"]["peak"]
    assert peak["daemon_bytes"] > 10_000_000
    assert peak["children_bytes"] > 10_000_000


def test_a_server_is_measured_against_itself_in_turn(bench: Bench, shared: DaemonProcess) -> None:
    done = bench("echo", *TINY, "--url", shared.url, "--against", shared.url + "/")

    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" times the output of ") == 2
    assert f"1 client, run 2 of 4, {shared.url}\n1 client, run 3 of 4, {shared.url}\n" in done.stderr


def test_a_chat_of_turns_with_a_shared_prefix_is_measured(bench: Bench, tmp_path: Path) -> None:
    words = ("--clients", "2", "--prompt-tokens", "60", "--output-tokens", "5", "--turns", "3", "--shared-prefix", "90")
    done = bench("echo", *words, "--json", "out.json")

    assert done.returncode == 0, done.stderr
    assert "90 more shared by all, 3 turns" in done.stdout
    (point,) = json.loads((tmp_path / "out.json").read_text())["points"]
    assert point["summary"]["num_requests"] == 2 * 3 * 3
    assert point["summary"]["cached_share"] > 0


def test_results_are_kept_and_compared(bench: Bench, tmp_path: Path) -> None:
    first = bench("echo", *TINY, "--history")
    second = bench("echo", *TINY, "--history")

    assert "Nothing like it was measured before" in first.stdout
    assert second.stdout.count(" times\n") == 2
    assert len(list((tmp_path / "home" / "bench").iterdir())) == 2


def test_a_plot_is_drawn(bench: Bench, tmp_path: Path) -> None:
    done = bench("echo", *TINY, "--plot", "out.png", MPLCONFIGDIR=str(tmp_path))

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("nobody",), "not found"),
        (("echo", "--clients", "many"), "--clients must be numbers from 1 to 1024"),
        (("echo", "--turns", "0"), "--turns must be between 1 and 1000000, not 0"),
        (("echo", "--api", "soap"), '--api must be "ollama" or "openai", not \'soap\''),
        (("echo", "--url", "nonsense"), "cannot use 'nonsense"),
        (("echo", "--url", "http://127.0.0.1:1", "--against", "llama-server"), "--url names another server"),
        (("echo", "--against", "llama-server:none"), "wants 1 to 256 slots"),
        (("echo", "--against", "nonsense"), "cannot use 'nonsense"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(bench: Bench, words: tuple[str, ...], error: str) -> None:
    done = bench(*words)

    assert done.returncode == 1
    assert error in next(line for line in done.stderr.splitlines() if line.startswith("Error: "))
    assert "Traceback" not in done.stderr


def test_a_dead_server_is_said(bench: Bench) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        answers = [bench("echo", "--url", url), bench("echo", OLLAMA_HOST=url), bench("echo", "--against", url)]

    assert [done.returncode for done in answers] == [1, 1, 1]
    assert "no server answers at" in answers[0].stderr
    assert "could not connect to ollama server" in answers[1].stderr
    assert "no server answers at" in answers[2].stderr
    assert not any("Traceback" in done.stderr for done in answers)


@pytest.fixture
def running(
    tmp_path: Path, start: Callable[..., DaemonProcess]
) -> Iterator[tuple[DaemonProcess, "subprocess.Popen[str]"]]:
    """A benchmark that would take long, in its runs, and the daemon that it measures."""
    daemon = start()
    assert daemon.post("/api/pull", model="echo") == {"status": "success"}
    said = tmp_path / "said"
    with said.open("w") as file:
        process = subprocess.Popen(
            command("echo", *LONG),
            env=environment(tmp_path / "home", daemon.address),
            stdout=file,
            stderr=file,
            text=True,
        )
    wait_until(lambda: "2 clients, run 1" in said.read_text(), "the runs to begin")
    yield daemon, process
    process.kill()
    process.wait()


def test_a_server_that_dies_meanwhile_ends_it(
    running: tuple[DaemonProcess, "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    daemon, process = running
    daemon.stop()

    assert process.wait(60) == 1
    said = (tmp_path / "said").read_text()
    assert said.splitlines()[-1].startswith("Error: ") or said.splitlines()[-2].startswith("Error: ")
    assert "Traceback" not in said


@pytest.fixture
def terminal(
    tmp_path: Path, shared: DaemonProcess, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., PseudoTerminal]]:
    """Starts the command in a pseudo terminal, against the shared daemon."""
    for name, value in environment(tmp_path / "home", shared.address).items():
        monkeypatch.setenv(name, value)
    started: list[PseudoTerminal] = []

    def start(*words: str) -> PseudoTerminal:
        started.append(PseudoTerminal(command(*words), columns=160))
        return started[-1]

    yield start
    for each in started:
        each.close()


def test_a_terminal_shows_the_points_as_they_come_and_then_the_table(terminal: Callable[..., PseudoTerminal]) -> None:
    screen = terminal("echo", *TINY)
    screen.expect("3 clients, run 3 of 3, ollamapy")
    screen.expect("echo: 120 prompt and 5 output tokens asked for")
    screen.expect("ollamapy serves")

    assert screen.wait() == 0


def test_ctrl_c_ends_it_without_a_result(
    terminal: Callable[..., PseudoTerminal], shared: DaemonProcess, tmp_path: Path
) -> None:
    screen = terminal("echo", *LONG)
    screen.expect("2 clients, run 1 of 3, ollamapy")
    screen.expect("2 running")
    screen.press("\x03")
    screen.expect("stopped: nothing was kept of this benchmark")

    assert screen.wait() == 130
    assert "Traceback" not in screen.shown
    assert not (tmp_path / "home" / "bench").exists()
    assert shared.post("/api/generate", model="echo", prompt="still here")["response"] == "still here"


@pytest.mark.weights
@pytest.mark.timeout(900)
def test_the_starter_is_measured_against_llama_server(tmp_path: Path, starter_gguf: Path) -> None:
    catalogue = tmp_path / "catalogue.yaml"
    catalogue.write_text(f"starter:\n  source: file:{starter_gguf}\n  description: the starter\n")
    daemon = DaemonProcess(tmp_path, {"OLLAMAPY_CATALOGUE": str(catalogue)})
    try:
        assert daemon.post("/api/pull", model="starter") == {"status": "success"}
        words = ("starter", "--clients", "2", "--prompt-tokens", "60", "--output-tokens", "5")
        done = subprocess.run(
            command(*words, "--against", "llama-server:2", "--json", str(tmp_path / "out.json")),
            env=environment(tmp_path, daemon.address),
            capture_output=True,
            text=True,
            timeout=600,
        )
    finally:
        assert daemon.stop() == 0

    assert done.returncode == 0, done.stderr
    points = json.loads((tmp_path / "out.json").read_text())["points"]
    assert [point["label"] for point in points] == ["ollamapy", "llama-server -np 2"]
    assert [point["summary"]["num_failed"] for point in points] == [0, 0]
    assert all(abs(point["summary"]["prompt_tokens"] - 60) < 5 for point in points)
