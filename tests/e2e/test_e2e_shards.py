"""Models in several GGUF files, from each source: they load, answer, and go on as they came."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.daemon_process import DaemonProcess
from fakes.hub_server import HubServer
from fakes.oci_registry import running
from fakes.tiny_models import attention_in_parts

TOKEN = "hf_" + "y" * 34


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return attention_in_parts(tmp_path_factory.mktemp("parts") / "tiny-Q8_0.gguf")


@pytest.fixture(scope="module")
def hub(parts: list[Path]) -> Iterator[HubServer]:
    files = {f"Q8_0/{path.name}": path.read_bytes() for path in parts}
    with HubServer("org/tiny", {"README.md": b"x", **files}, TOKEN) as hub:
        yield hub


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, hub: HubServer) -> Iterator[DaemonProcess]:
    home = tmp_path_factory.mktemp("home")
    env = {"HF_ENDPOINT": f"http://{hub.host}", "HF_HOME": str(home / "hf"), "HF_TOKEN": TOKEN}
    daemon = DaemonProcess(home, {"OLLAMAPY_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1", **env})
    yield daemon
    assert daemon.stop() == 0


def run(daemon: DaemonProcess, *words: str) -> None:
    env = {**daemon.env, "OLLAMA_HOST": daemon.address}
    done = subprocess.run([sys.executable, "-m", "ollamapy", *words], env=env, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr


def answers(daemon: DaemonProcess, name: str) -> bool:
    options = {"num_predict": 5, "num_ctx": 128}
    reply = daemon.post("/api/generate", model=name, prompt="hello", raw=True, options=options)
    return bool(reply.get("done") and reply["eval_count"])


def names_of(daemon: DaemonProcess, name: str) -> list[str]:
    return [Path(path).name for path in daemon.post("/api/resolve", model=name)["shards"]]


@pytest.fixture(scope="module")
def created(daemon: DaemonProcess, parts: list[Path]) -> str:
    """The model made by the command line, of a Modelfile that names the first part."""
    modelfile = parts[0].parent / "Modelfile"
    modelfile.write_text(f"FROM ./{parts[0].name}\nSYSTEM be kind\n")
    run(daemon, "create", "created", "-f", str(modelfile))
    return "created"


def test_a_model_made_of_its_first_part_has_all_and_answers(daemon: DaemonProcess, created: str) -> None:
    assert len(names_of(daemon, created)) == 3
    assert answers(daemon, created)
    assert daemon.post("/api/tokenize", model=created, text="hi", add_special=False)["tokens"]


def test_a_split_model_of_the_hub_is_pulled_part_by_part(daemon: DaemonProcess, hub: HubServer, created: str) -> None:
    pytest.importorskip("huggingface_hub")
    name = f"{hub.host}/org/tiny:Q8_0"

    said = list(daemon.stream("/api/pull", model=name, insecure=True))

    assert said[-1] == {"status": "success"}, said
    assert names_of(daemon, name) == names_of(daemon, created)
    assert answers(daemon, name)


def test_it_goes_through_registry_and_archive_and_is_the_same(
    daemon: DaemonProcess, created: str, start: Callable[..., DaemonProcess], tmp_path: Path
) -> None:
    other = start("other", OLLAMAPY_OFFLINE="0")
    with running(tmp_path) as registry:
        name = f"{registry.address}/ns/tiny:v1"
        daemon.request("POST", "/api/copy", {"source": created, "destination": name}).raise_for_status()
        assert daemon.post("/api/push", model=name, insecure=True) == {"status": "success"}
        assert other.post("/api/pull", model=name, insecure=True) == {"status": "success"}
    run(daemon, "export", created, "-o", str(tmp_path / "models.tar"))
    run(other, "import", str(tmp_path / "models.tar"))

    assert names_of(other, name) == names_of(other, created) == names_of(daemon, created)
    assert answers(other, created)
    other.client.request("DELETE", "/api/delete", json={"model": name})
    assert answers(other, created)
    assert list(other.stream("/api/fsck", deep=True))[-1].get("num_faults", 0) == 0
    other.client.request("DELETE", "/api/delete", json={"model": created})
    assert not list((other.home / "models" / "blobs").iterdir())
