"""A gated repository of the Hugging Face hub: its registry refuses, the hub itself gives to those with a token."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.daemon_process import DaemonProcess, wait_until
from fakes.gguf_files import echo_gguf
from fakes.hub_server import HubServer

WEIGHTS = echo_gguf()
TOKEN = "hf_" + "x" * 34

pytest.importorskip("huggingface_hub")


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer("org/parrot", {"README.md": b"x", "parrot-Q4_K_M.gguf": WEIGHTS}, TOKEN) as hub:
        yield hub


@pytest.fixture
def daemon_of(hub: HubServer, start: Callable[..., DaemonProcess], tmp_path: Path) -> Callable[[str], DaemonProcess]:
    def make(token: str) -> DaemonProcess:
        env = {"HF_ENDPOINT": f"http://{hub.host}", "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1"}
        patience = {"HF_HUB_ETAG_TIMEOUT": "60", "HF_HUB_DOWNLOAD_TIMEOUT": "60"}
        return start(OLLAMAPY_OFFLINE="0", HF_TOKEN=token, **env, **patience)

    return make


def search(daemon: DaemonProcess, words: str) -> dict[str, Any]:
    """What is found once the hub answers in time: the first to ask it waits for its package to be imported."""
    found: dict[str, Any] = {}

    def is_answered() -> bool:
        found.update(daemon.request("GET", f"/api/search?q={words}").json())
        return not any("did not answer within" in note for note in found["notes"])

    wait_until(is_answered, "the hub to answer")
    return found


def test_a_gated_repository_is_pulled_with_the_users_token_and_its_cache_is_not_copied(
    hub: HubServer, daemon_of: Callable[[str], DaemonProcess], tmp_path: Path
) -> None:
    daemon, name = daemon_of(TOKEN), f"{hub.host}/org/parrot"

    said = list(daemon.stream("/api/pull", model=name, insecure=True))
    assert said[-1] == {"status": "success"}, (said, hub.requests)

    assert [line["status"] for line in said][1] == "asking the hub itself"
    assert said[-1] == {"status": "success"}
    assert daemon.post("/api/generate", model=name, prompt="hi", raw=True)["response"] == "hi"
    blob = Path(daemon.post("/api/resolve", model=name)["weights"])
    assert blob.stat().st_nlink == 2
    assert blob.read_bytes() == WEIGHTS
    (compared,) = daemon.request("GET", "/api/outdated").json()["models"]
    assert (compared["status"], compared["reason"]) == ("unknown", "it came as a file, without a manifest")


def test_without_a_token_the_hubs_own_words_are_shown(
    hub: HubServer, daemon_of: Callable[[str], DaemonProcess]
) -> None:
    answer = daemon_of("").request("POST", "/api/pull", {"model": f"{hub.host}/org/parrot", "insecure": True})

    assert "the hub says: " in answer.text
    assert "HF_TOKEN" in answer.text


def test_a_search_finds_the_catalogue_and_the_hub_with_sizes(
    hub: HubServer, daemon_of: Callable[[str], DaemonProcess]
) -> None:
    found = search(daemon_of(TOKEN), "parrot")

    (match,) = found["models"]
    assert (match["model"], match["source"], match["fits"]) == ("hf.co/org/parrot", "hub", True)
    assert (match["size"], match["description"]) == (len(WEIGHTS), "42 downloads")
    assert found["notes"] == []
    asked = next(request for request in hub.requests if request.startswith("GET /api/models?"))
    assert "filter=gguf" in asked
    assert "search=parrot" in asked


def test_a_hub_that_refuses_a_search_leaves_the_catalogue(daemon_of: Callable[[str], DaemonProcess]) -> None:
    found = search(daemon_of(""), "echo")

    assert [match["source"] for match in found["models"]] == ["catalogue"]
    assert found["notes"][0].startswith("the hub was not searched: the hub says: ")
