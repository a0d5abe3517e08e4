"""Pushing to Debian's docker-registry: by the API and the command line, and what comes back out of it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from fakes.daemon_process import DEADLINE_SECONDS, DaemonProcess, wait_until
from fakes.faulty_registry import FOR_EVER, FaultyRegistry, stall, status
from fakes.oci_registry import Registry, running

Start = Callable[..., DaemonProcess]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with running(tmp_path_factory.mktemp("docker-registry")) as registry:
        yield registry


def with_model(start: Start, put_echo: Callable[..., str]) -> DaemonProcess:
    """A daemon that may use the network and has the model `parrot`."""
    daemon = start(OLLAMAPY_OFFLINE="0")
    put_echo(daemon, "parrot")
    return daemon


def give_name(daemon: DaemonProcess, name: str) -> None:
    """Calls `parrot` by another name, too."""
    assert daemon.request("POST", "/api/copy", {"source": "parrot", "destination": name}).status_code == 200


def digest(daemon: DaemonProcess, name: str) -> str:
    models = daemon.request("GET", "/api/tags").json()["models"]
    return str(next(model["digest"] for model in models if model["name"] == name))


def test_what_is_pushed_comes_back_with_the_same_digest(
    registry: Registry, start: Start, put_echo: Callable[..., str]
) -> None:
    daemon, other = with_model(start, put_echo), start("other", OLLAMAPY_OFFLINE="0")
    name = f"{registry.address}/ns/parrot:v1"
    give_name(daemon, name)

    lines = list(daemon.stream("/api/push", model=name, insecure=True))

    statuses = list(dict.fromkeys(line["status"] for line in lines))
    assert (statuses[0], statuses[-2:]) == ("retrieving manifest", ["pushing manifest", "success"])
    assert all(status.startswith("pushing ") for status in statuses[1:-2])
    assert [line for line in lines if line.get("total")][-1]["completed"] > 0

    assert other.post("/api/pull", model=name, insecure=True) == {"status": "success"}
    assert digest(other, name) == digest(daemon, name)
    assert other.post("/api/generate", model=name, prompt="hello", raw=True)["response"] == "hello"

    other.client.request("DELETE", "/api/delete", json={"model": name})
    assert other.post("/api/pull", model=name, insecure=True) == {"status": "success"}
    assert digest(other, name) == digest(daemon, name)


def test_a_push_that_is_killed_is_finished_by_the_next(start: Start, put_echo: Callable[..., str]) -> None:
    with FaultyRegistry() as theirs:
        daemon = with_model(start, put_echo)
        name = f"{theirs.host}/ns/killed"
        give_name(daemon, name)
        manifest = daemon.request("GET", f"/v2/{theirs.host}/ns/killed/manifests/latest").json()
        theirs.fault("HEAD", manifest["config"]["digest"], stall(0))
        streaming = daemon.stream("/api/push", model=name, insecure=True)
        next(streaming)
        assert theirs.stalled.wait(DEADLINE_SECONDS)
        os.kill(daemon.process.pid, signal.SIGKILL)
        daemon.stop()
        num_sent = len(theirs.asked("PATCH"))
        assert (num_sent, theirs.manifests) == (len(manifest["layers"]), {})

        again = start(OLLAMAPY_OFFLINE="0")
        assert again.post("/api/push", model=name, insecure=True) == {"status": "success"}

        assert len(theirs.asked("PATCH")) == num_sent + 1
        assert list(theirs.manifests) == ["/v2/ns/killed/manifests/latest"]


def test_a_client_that_leaves_ends_the_push(start: Start, put_echo: Callable[..., str]) -> None:
    with FaultyRegistry() as slow:
        slow.fault("HEAD", "/blobs/", stall(0), times=FOR_EVER)
        daemon = with_model(start, put_echo)
        name = f"{slow.host}/ns/left"
        give_name(daemon, name)
        streaming = daemon.stream("/api/push", model=name, insecure=True)
        next(streaming)
        assert slow.stalled.wait(DEADLINE_SECONDS)
        streaming.close()

        wait_until(slow.hung_up.is_set, "the daemon to leave the registry")


def test_a_name_that_is_not_there_fails_after_two_lines(shared: DaemonProcess) -> None:
    lines = list(shared.stream("/api/push", model="nobody/nothing"))

    assert [line.get("status") for line in lines[:2]] == ["retrieving manifest", "couldn't retrieve manifest"]
    assert "nothing" in lines[2]["error"]
    assert shared.request("POST", "/api/push", {"model": ""}).json()["error"] == "model is required"
    answer = shared.request("POST", "/api/push", {"model": "nobody/nothing", "stream": False})
    assert answer.status_code == 500


def test_an_offline_daemon_pushes_nowhere(shared: DaemonProcess) -> None:
    assert "no connection to registry.ollama.ai is made" in shared.post("/api/push", model="echo")["error"]


def ollamapy(daemon: DaemonProcess, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**daemon.env, "OLLAMA_HOST": daemon.address}
    return subprocess.run(
        [sys.executable, "-m", "ollamapy", *words], env=env, capture_output=True, text=True, timeout=180, check=False
    )


def test_the_command_says_where_the_model_is(registry: Registry, start: Start, put_echo: Callable[..., str]) -> None:
    daemon = with_model(start, put_echo)
    name = f"{registry.address}/ns/shown"
    give_name(daemon, name)

    result = ollamapy(daemon, "push", name, "--insecure")

    assert (result.returncode, result.stdout) == (0, f"\nYou can find your model at:\n\n\t{name}:latest\n")
    assert result.stderr.splitlines()[0] == "retrieving manifest"


def test_a_namespace_of_somebody_else_is_said_so(start: Start, put_echo: Callable[..., str]) -> None:
    with FaultyRegistry() as theirs:
        theirs.fault("POST", "/uploads/", status(401), times=FOR_EVER)
        daemon = with_model(start, put_echo)
        name = f"{theirs.host}/ns/theirs"
        give_name(daemon, name)

        result = ollamapy(daemon, "push", name, "--insecure")

    text = "you are not authorized to push to this namespace, create the model under a namespace you own"
    assert result.returncode == 1
    assert f"Error: {text}" in result.stderr
