"""Pulling from registries: Debian's docker-registry, and another ollamapy."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.daemon_process import DaemonProcess
from fakes.gguf_files import echo_gguf
from fakes.oci_registry import Registry, running

WEIGHTS = echo_gguf()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with running(tmp_path_factory.mktemp("docker-registry")) as registry:
        yield registry


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    daemon = DaemonProcess(tmp_path, {"OLLAMAPY_OFFLINE": "0"})
    yield daemon
    assert daemon.stop() == 0


def test_a_model_comes_out_of_a_docker_registry_and_answers(registry: Registry, daemon: DaemonProcess) -> None:
    registry.push("ns/parrot", "v1", WEIGHTS, system=b"be kind")
    name = f"{registry.address}/ns/parrot:v1"

    lines = list(daemon.stream("/api/pull", model=name, insecure=True))

    statuses = list(dict.fromkeys(line["status"] for line in lines))
    assert statuses[0] == "pulling manifest"
    assert statuses[-3:] == ["verifying sha256 digest", "writing manifest", "success"]
    assert [line for line in lines if line.get("total")][-1]["completed"] > 0
    assert daemon.post("/api/generate", model=name, prompt="hello", raw=True)["response"] == "hello"
    assert "be kind" in daemon.post("/api/show", model=name)["system"]


def test_the_manifest_is_kept_byte_for_byte(registry: Registry, daemon: DaemonProcess) -> None:
    registry.push("ns/exact", "latest", WEIGHTS)
    daemon.post("/api/pull", model=f"{registry.address}/ns/exact", insecure=True)

    with registry.client as client:
        sent = client.get(
            "/v2/ns/exact/manifests/latest", headers={"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
        ).content
    (model,) = daemon.request("GET", "/api/tags").json()["models"]
    assert model["digest"] == hashlib.sha256(sent).hexdigest()


def test_a_second_pull_fetches_only_what_is_new_and_drops_what_is_old(
    registry: Registry, daemon: DaemonProcess
) -> None:
    name = f"{registry.address}/ns/moving"
    registry.push("ns/moving", "latest", WEIGHTS, system=b"old")
    daemon.post("/api/pull", model=name, insecure=True)
    registry.push("ns/moving", "latest", WEIGHTS, system=b"new")

    statuses = [line["status"] for line in daemon.stream("/api/pull", model=name, insecure=True)]

    assert "removing unused layers" in statuses
    assert daemon.post("/api/show", model=name)["system"] == "new"
    assert len(list((daemon.home / "models" / "blobs").iterdir())) == 3


def test_another_ollamapy_is_a_registry_too(daemon: DaemonProcess, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = DaemonProcess(tmp_path_factory.mktemp("other"))
    other.post("/api/pull", model="echo")
    name = f"{other.address}/library/echo"

    assert daemon.post("/api/pull", model=name, insecure=True) == {"status": "success"}

    assert daemon.post("/api/generate", model=name, prompt="hello", raw=True)["response"] == "hello"
    assert other.stop() == 0


@pytest.mark.parametrize(
    ("name", "insecure", "text"),
    [
        ("{}/ns/nobody", True, "pull model manifest: file does not exist"),
        ("http://{}/ns/nobody", False, "insecure protocol http"),
    ],
)
def test_what_a_registry_does_not_have_is_the_contracts_error(
    registry: Registry, daemon: DaemonProcess, name: str, insecure: bool, text: str
) -> None:
    answer = daemon.request(
        "POST", "/api/pull", {"model": name.format(registry.address), "insecure": insecure, "stream": False}
    )

    assert (answer.status_code, answer.json()["error"]) == (500, text)


def test_a_daemon_that_is_offline_asks_no_registry(registry: Registry, tmp_path: Path) -> None:
    registry.push("ns/there", "latest", WEIGHTS)
    daemon = DaemonProcess(tmp_path)

    answer = daemon.post("/api/pull", model=f"{registry.address}/ns/there", insecure=True)

    assert answer["error"] == "pull model manifest: file does not exist"
    assert daemon.stop() == 0


def test_serve_makes_a_key_once_and_says_which(tmp_path: Path) -> None:
    first = DaemonProcess(tmp_path, {"HOME": str(tmp_path)})
    assert first.stop() == 0
    second = DaemonProcess(tmp_path, {"HOME": str(tmp_path)})
    assert second.stop() == 0

    key = (tmp_path / "id_ed25519.pub").read_text()
    assert f"Your new public key is: \n\n{key}" in first.log
    assert "Generating new private key" not in second.log


def test_ollamas_own_key_is_used_when_it_is_there(tmp_path: Path) -> None:
    theirs = tmp_path / ".ollama" / "id_ed25519"
    theirs.parent.mkdir()
    theirs.write_text("a key")
    daemon = DaemonProcess(tmp_path, {"HOME": str(tmp_path)})
    assert daemon.stop() == 0

    assert not (tmp_path / "id_ed25519").exists()


def test_several_models_are_pulled_in_turn(registry: Registry, daemon: DaemonProcess) -> None:
    names = [f"{registry.address}/ns/first", f"{registry.address}/ns/second"]
    for name in names:
        registry.push(name.partition("/")[2], "latest", WEIGHTS)
    env = {**daemon.env, "OLLAMA_HOST": daemon.address}
    command = [sys.executable, "-m", "ollamapy", "pull", *names, "--insecure"]

    result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=180, check=False)

    assert result.returncode == 0, result.stderr
    lines = result.stderr.splitlines()
    assert [line for line in lines if line.startswith(registry.address)] == [f"{name}:" for name in names]
    found = {model["name"] for model in daemon.request("GET", "/api/tags").json()["models"]}
    assert found == {f"{name}:latest" for name in names}
