"""Which pulled models are outdated, and the refresh of those: by the command line, against a registry."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.daemon_process import DaemonProcess
from fakes.faulty_registry import FaultyRegistry


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with FaultyRegistry() as registry:
        for model in ("same", "moved", "gone"):
            registry.add_model(f"ns/{model}", "latest", model.encode())
        yield registry


def run(daemon: DaemonProcess, *words: str) -> "subprocess.CompletedProcess[str]":
    env = {**daemon.env, "OLLAMA_HOST": daemon.address}
    command = [sys.executable, "-m", "ollamapy", *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=180, check=False)


@pytest.fixture
def daemon(registry: FaultyRegistry, start: Callable[..., DaemonProcess]) -> DaemonProcess:
    """Has three models of the registry, which by now has another `moved` and no `gone`; `echo`, and a copy of it."""
    daemon = start(OLLAMAPY_OFFLINE="0", NO_PROXY="127.0.0.1")
    for model in ("same", "moved", "gone"):
        daemon.post("/api/pull", model=f"{registry.host}/ns/{model}", insecure=True)
    daemon.post("/api/pull", model="echo")
    assert daemon.request("POST", "/api/copy", {"source": "echo", "destination": "mine"}).status_code == 200
    registry.add_model("ns/moved", "latest", b"another moved")
    del registry.manifests["/v2/ns/gone/manifests/latest"]
    return daemon


def test_every_pulled_model_is_compared_with_its_source(registry: FaultyRegistry, daemon: DaemonProcess) -> None:
    said = run(daemon, "outdated", "--json")

    found = json.loads(said.stdout)
    by_name = {model["model"].removeprefix(f"{registry.host}/"): model for model in found["models"]}
    statuses = {name: model["status"] for name, model in by_name.items()}
    expected = {"echo:latest": "current", "ns/same:latest": "current"}
    assert statuses == {**expected, "ns/moved:latest": "outdated", "ns/gone:latest": "unknown"}
    assert by_name["ns/moved:latest"]["available"] != by_name["ns/moved:latest"]["digest"]
    assert by_name["ns/gone:latest"]["reason"] == "pull model manifest: file does not exist"
    assert found["num_others"] == 1


def test_what_is_outdated_is_shown_and_refreshed_and_nothing_else_is(
    registry: FaultyRegistry, daemon: DaemonProcess
) -> None:
    moved = f"{registry.host}/ns/moved:latest"
    shown = run(daemon, "outdated")
    assert [line.split()[:2] for line in shown.stdout.splitlines()[1:]] == [
        [f"{registry.host}/ns/gone:latest", "unknown"],
        [moved, "outdated"],
    ]
    assert shown.stderr == "2 of 4 pulled models are current; 1 were not pulled, or have changed since\n"
    num_blobs = len(registry.asked("GET", "/blobs/"))

    refreshed = run(daemon, "pull", "--all")

    assert refreshed.returncode == 0, refreshed.stderr
    lines = refreshed.stderr.splitlines()
    assert lines[:2] == [
        f"{registry.host}/ns/gone:latest: not compared: pull model manifest: file does not exist",
        f"{moved}:",
    ]
    weights = {asked.path for asked in registry.asked("GET", "/blobs/")[num_blobs:]}
    assert weights == {f"/v2/ns/moved/blobs/{registry.add_blob(b'another moved')}"}
    assert run(daemon, "outdated").stderr.startswith("3 of 4 pulled models are current")


def test_a_model_that_was_made_anew_under_a_pulled_name_is_never_refreshed(
    registry: FaultyRegistry, daemon: DaemonProcess
) -> None:
    daemon.post("/api/create", model=f"{registry.host}/ns/moved", **{"from": "echo", "system": "mine"})

    run(daemon, "pull", "--all")

    assert daemon.post("/api/show", model=f"{registry.host}/ns/moved")["system"] == "mine"


def test_an_offline_daemon_says_that_it_asks_nobody(
    registry: FaultyRegistry, daemon: DaemonProcess, start: Callable[..., DaemonProcess], tmp_path: Path
) -> None:
    daemon.stop()
    shutil.copytree(tmp_path / "home", tmp_path / "offline")

    said = run(start("offline"), "outdated")

    assert said.returncode == 1
    assert said.stderr.splitlines() == [
        f"Error: {registry.host} is not asked for newer models",
        "hint: OLLAMAPY_OFFLINE forbids it",
    ]
