"""Search and comparison: the decisions by values, and a daemon without a network."""

import asyncio
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from fakes.served_app import Served

from ollamapy.actions import search as searching
from ollamapy.actions.outdated import compare, compare_files
from ollamapy.actions.search import matching
from ollamapy.names import Digest, ModelName
from ollamapy.pool.memory import has_room
from ollamapy.remotes.base import Entry, Source
from ollamapy.store.manifests import StoredManifest
from ollamapy.wire.manifest import Layer, Manifest

WEIGHTS, OTHER = Digest("a" * 64), Digest("b" * 64)
LAYERS = (Layer("application/vnd.ollama.image.model", str(WEIGHTS), 5),)
STORED = StoredManifest(ModelName.parse("m"), Manifest(2, config=LAYERS[0], layers=LAYERS), "c" * 64, b"", 0.0)


def entry(name: str, description: str = "") -> Entry:
    return Entry(ModelName.parse(name), Source("file", "/x", description=description))


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("", ["starter", "starter-embed", "echo"]),
        ("start", ["starter", "starter-embed"]),
        ("SMALL chat", ["starter"]),
        ("vectors", ["starter-embed"]),
        ("nothing", []),
    ],
)
def test_every_word_must_be_in_the_name_or_the_description(words: str, names: list[str]) -> None:
    entries = [entry("starter", "a small chat model"), entry("starter-embed", "makes vectors"), entry("echo")]

    assert [found.name.model for found in matching(entries, words)] == names


@pytest.mark.parametrize(("size", "answer"), [(0, None), (75, True), (76, False)])
def test_a_model_fits_when_its_weights_leave_room_for_the_cache(size: int, answer: bool | None) -> None:
    assert has_room(size, free_bytes=100) is answer


@pytest.mark.parametrize(("available", "status"), [("c" * 64, "current"), ("d" * 64, "outdated")])
def test_a_manifest_is_compared_by_its_digest(available: str, status: str) -> None:
    found = compare(STORED, "c" * 64, available)

    assert (found.status, found.digest, found.available) == (status, "c" * 64, available)


@pytest.mark.parametrize(("digest", "status"), [(WEIGHTS, "current"), (OTHER, "outdated"), (None, "unknown")])
def test_a_file_is_compared_by_the_digest_that_the_catalogue_promises(digest: Digest | None, status: str) -> None:
    found = compare_files(STORED, Source("url", "https://a.example/m.gguf", digest=digest))

    assert found.status == status
    assert found.reason == ("" if digest else "a url has no digest to compare with")


def test_offline_the_catalogue_is_searched_alone_and_the_answer_says_so(api: Served) -> None:
    found = api.http.get("/api/search", params={"q": "ech"}).json()

    assert [(model["model"], model["source"]) for model in found["models"]] == [("echo", "catalogue")]
    assert found["notes"] == ["the hub was not asked: OLLAMAPY_OFFLINE forbids it"]


def test_a_hub_that_says_nothing_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    end = Event()
    monkeypatch.setattr(searching, "_HUB_SECONDS", 0.05)
    monkeypatch.setattr(searching, "search_hub", lambda *words: end.wait(60))
    settings = SimpleNamespace(offline=False, hub_endpoint="")
    services: Any = SimpleNamespace(settings=settings, catalogue=SimpleNamespace(entries=[entry("echo")]))

    async def ask() -> Any:
        found = await searching.search(services, "echo")
        end.set()
        return found

    found = asyncio.run(ask())

    assert [match.model for match in found.models] == ["echo"]
    assert found.notes[0].startswith("the hub was not searched: it did not answer")


def test_a_catalogue_model_is_compared_offline_too(api: Served) -> None:
    api.post("/api/pull", model="echo")

    found = api.http.get("/api/outdated").json()

    assert [(model["model"], model["status"]) for model in found["models"]] == [("echo:latest", "unknown")]
    assert found["models"][0]["reason"] == "a file has no digest to compare with"
