"""adopt: models of other programs become the daemon's, by the name and in the way that is said; store move."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.daemon_process import DaemonProcess
from fakes.gguf_files import echo_gguf
from fakes.store_files import blob_path, write_model

WEIGHTS = echo_gguf()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    home = tmp_path / "home"
    home.mkdir()
    daemon = DaemonProcess(home)
    yield daemon
    assert daemon.stop() == 0


def run(daemon: DaemonProcess, *words: str, **env: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "ollamapy", *words]
    env = {**daemon.env, "OLLAMA_HOST": daemon.address, **env}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)


def names(daemon: DaemonProcess) -> list[str]:
    return sorted(model["name"] for model in daemon.request("GET", "/api/tags").json()["models"])


def says(daemon: DaemonProcess, model: str) -> str:
    return str(daemon.post("/api/generate", model=model, prompt="hi", raw=True)["response"])


def test_a_folder_of_files_becomes_models_without_taking_the_room_again(daemon: DaemonProcess, tmp_path: Path) -> None:
    folder = tmp_path / "ggufs"
    folder.mkdir()
    (folder / "Parrot-Q4.gguf").write_bytes(WEIGHTS)

    dry = run(daemon, "adopt", str(folder), "--dry-run")
    assert names(daemon) == []
    done = run(daemon, "adopt", str(folder))

    assert dry.stdout.startswith("would adopt parrot-q4:latest, ")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("adopted parrot-q4:latest, ")
    assert done.stdout.rstrip().endswith((": reflink", ": hard link"))
    assert says(daemon, "parrot-q4") == "hi"
    assert run(daemon, "adopt", str(folder)).stdout == "passed over parrot-q4:latest: a model has that name\n"
    assert run(daemon, "fsck", "--deep").returncode == 0


def test_without_a_path_the_places_of_other_programs_are_looked_through(daemon: DaemonProcess, tmp_path: Path) -> None:
    home = tmp_path / "user"
    studio = home / ".lmstudio/models/pub/repo/Studio.gguf"
    studio.parent.mkdir(parents=True)
    studio.write_bytes(WEIGHTS)
    hub = home / ".cache/huggingface/hub/models--o--r"
    (hub / "blobs").mkdir(parents=True)
    (hub / "snapshots/1").mkdir(parents=True)
    (hub / "blobs/abc").write_bytes(WEIGHTS)
    (hub / "snapshots/1/hub.gguf").symlink_to("../../blobs/abc")
    write_model(home / ".ollama/models", "registry.ollama.ai/library/theirs/7b", WEIGHTS, system=b"be kind")

    done = run(daemon, "adopt", HOME=str(home))

    assert done.returncode == 0, done.stderr
    assert names(daemon) == ["hub:latest", "studio:latest", "theirs:7b"]
    assert says(daemon, "theirs:7b") == says(daemon, "hub") == "hi"


def test_what_is_damaged_or_no_model_is_said_and_the_rest_is_adopted(daemon: DaemonProcess, tmp_path: Path) -> None:
    other = tmp_path / "ollama"
    write_model(other, "registry.ollama.ai/library/good/latest", WEIGHTS)
    write_model(other, "registry.ollama.ai/library/bad/latest", b"weights")
    blob_path(other, b"weights").write_bytes(b"WEIGHTS")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "text.gguf").write_text("no model")

    done = run(daemon, "adopt", str(other), str(folder))

    assert done.returncode == 1
    assert "cannot adopt bad:latest" in done.stderr
    assert "is damaged" in done.stderr
    assert "cannot adopt text:latest" in done.stderr
    assert names(daemon) == ["good:latest"]


def test_the_daemon_of_another_machine_is_refused(daemon: DaemonProcess, tmp_path: Path) -> None:
    done = run(daemon, "adopt", str(tmp_path), OLLAMA_HOST="192.0.2.1")

    assert (done.returncode, "only the daemon of this machine" in done.stderr) == (1, True)


def test_the_store_moves_when_no_daemon_uses_it_and_a_new_daemon_serves_it(tmp_path: Path) -> None:
    daemon = DaemonProcess(tmp_path)
    assert daemon.post("/api/pull", model="echo") == {"status": "success"}
    target = tmp_path / "elsewhere"

    refused = run(daemon, "store", "move", str(target))
    assert daemon.stop() == 0
    moved = run(daemon, "store", "move", str(target))

    assert (refused.returncode, "in use by another ollamapy daemon" in refused.stderr) == (1, True)
    assert moved.stdout.splitlines()[-1] == f"set OLLAMA_MODELS={target} for the daemon from now on", moved.stderr
    again = DaemonProcess(tmp_path, {"OLLAMA_MODELS": str(target)})
    assert says(again, "echo") == "hi"
    assert again.stop() == 0
