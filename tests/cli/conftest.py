"""The command line against the fake daemon: in this process for speed, in a pseudo terminal where that matters."""

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.command_line import Cli, Result
from fakes.fake_daemon import FakeDaemon
from fakes.pseudo_terminal import PseudoTerminal

from ollamapy.cli import app
from ollamapy.client import Client


@pytest.fixture(scope="session")
def daemon_process() -> Iterator[FakeDaemon]:
    fake = FakeDaemon()
    yield fake
    fake.close()


@pytest.fixture
def daemon(daemon_process: FakeDaemon) -> FakeDaemon:
    daemon_process.reset()
    return daemon_process


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A world of its own: no daemon is started, nothing is written elsewhere."""
    for name in ("OLLAMA_NOHISTORY", "OLLAMA_EDITOR", "OLLAMA_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OLLAMAPY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OLLAMAPY_NO_AUTOSTART", "1")
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    monkeypatch.setitem(Client.__init__.__kwdefaults__, "heartbeat_seconds", 60.0)  # the machine may be busy
    return tmp_path


@pytest.fixture
def offline_cli(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs one command; there is no daemon."""

    def run(*words: str, stdin: str = "") -> Result:
        with io.TextIOWrapper(io.BytesIO(stdin.encode())) as piped:
            monkeypatch.setattr(sys, "stdin", piped)
            code = app.run(words)
        said = capsys.readouterr()
        return Result(code, said.out, said.err)

    return run


@pytest.fixture
def cli(offline_cli: Cli, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs one command against the fake daemon."""
    monkeypatch.setenv("OLLAMA_HOST", daemon.url)
    return offline_cli


@pytest.fixture
def terminal(
    home: Path, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., PseudoTerminal]]:
    """Starts a command in a pseudo terminal, against the fake daemon."""
    monkeypatch.setenv("OLLAMA_HOST", daemon.url)
    started: list[PseudoTerminal] = []

    def start(*words: str, columns: int = 80) -> PseudoTerminal:
        started.append(PseudoTerminal([sys.executable, "-m", "ollamapy", *words], columns))
        return started[-1]

    yield start
    for each in started:
        each.close()
