"""Copy, delete and pull: what they do to the store, and the contract's texts for names that lead nowhere."""

import pytest
from fakes import store_files
from fakes.served_app import Served

LONG = "a" * 81
BAD_NAMES = ["a b", "../x", "/etc/passwd", "a/../b", "m:", "/m", LONG, "m@sha256:00", "a\u0000b", ".m"]


# Copy


def test_a_copy_is_the_same_model_under_another_name(api: Served, tiny: str) -> None:
    response = api.post("/api/copy", source=tiny, destination="ns/other:v1")

    assert (response.status_code, response.content) == (200, b"")
    models = api.http.get("/api/tags").json()["models"]
    assert {model["name"] for model in models} == {"tiny:latest", "ns/other:v1"}
    assert len({model["digest"] for model in models}) == 1


def test_a_copy_replaces_what_had_the_name(api: Served, tiny: str) -> None:
    api.create("other", **{"from": tiny, "system": "S"})

    assert api.post("/api/copy", source=tiny, destination="OTHER").status_code == 200
    assert "system" not in api.post("/api/show", model="other").json()


@pytest.mark.parametrize("name", ["tiny", "absent"])
def test_a_copy_onto_itself_does_nothing(api: Served, tiny: str, name: str) -> None:
    assert api.post("/api/copy", source=name, destination=name.upper()).status_code == 200
    assert len(api.http.get("/api/tags").json()["models"]) == 1


@pytest.mark.parametrize("bad", ["", *BAD_NAMES])
def test_copy_refuses_bad_names_and_says_which(api: Served, tiny: str, bad: str) -> None:
    source = api.post("/api/copy", source=bad, destination="x")
    destination = api.post("/api/copy", source=tiny, destination=bad)

    shown = bad.replace("\0", "\\x00")
    assert (source.status_code, source.json()["error"]) == (400, f'source "{shown}" is invalid')
    assert (destination.status_code, destination.json()["error"]) == (400, f'destination "{shown}" is invalid')


def test_copy_of_an_unknown_model_is_404(api: Served) -> None:
    response = api.post("/api/copy", source="Absent", destination="x")

    assert (response.status_code, response.json()) == (404, {"error": 'model "Absent" not found'})


# Delete


def delete(api: Served, **fields: object) -> tuple[int, object]:
    response = api.http.request("DELETE", "/api/delete", json=fields)
    return response.status_code, response.json() if response.content else None


def test_delete_removes_the_model_and_what_only_it_used(api: Served, tiny: str) -> None:
    api.create("child", **{"from": tiny, "system": "only the child's"})
    weights = api.store.blobs.digests()

    assert delete(api, model="child") == (200, None)
    left = api.store.blobs.digests()
    assert len(left) == len(weights) - 1
    assert delete(api, name="TINY") == (200, None)
    assert api.store.blobs.digests() == []
    assert api.http.get("/api/tags").json() == {"models": []}


@pytest.mark.parametrize("bad", BAD_NAMES)
def test_delete_refuses_bad_names(api: Served, bad: str) -> None:
    shown = bad.replace("\0", "\\x00")

    status, body = delete(api, model=bad)

    assert (status, body["error"]) == (400, f'name "{shown}" is invalid')  # type: ignore[index]


def test_delete_needs_a_name_and_a_model(api: Served) -> None:
    assert delete(api) == (400, {"error": "model is required"})
    assert delete(api, model="Absent:v1") == (404, {"error": "model 'Absent:v1' not found"})
    assert delete(api, model="x:cloud")[0] == 403


# Pull


def test_pull_makes_a_model_of_a_catalogue_entry(api: Served) -> None:
    lines = api.lines("/api/pull", model="echo")

    statuses = [line["status"] for line in lines]
    assert statuses[0] == "pulling manifest"
    assert statuses[-3:] == ["verifying sha256 digest", "writing manifest", "success"]
    assert [model["name"] for model in api.http.get("/api/tags").json()["models"]] == ["echo:latest"]


def test_pull_without_a_stream_answers_with_its_last_line(api: Served) -> None:
    response = api.post("/api/pull", name="echo", stream=False)

    assert response.json() == {"status": "success"}
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("bad", ["", *BAD_NAMES])
@pytest.mark.parametrize("stream", [True, False])
def test_pull_refuses_bad_names_before_the_first_line(api: Served, bad: str, stream: bool) -> None:
    response = api.post("/api/pull", model=bad, stream=stream)

    assert (response.status_code, response.json()["error"]) == (400, "invalid model name")


def test_pull_of_what_nobody_has_fails_in_the_stream_or_with_500(api: Served) -> None:
    text = "pull model manifest: file does not exist"

    assert api.lines("/api/pull", model="absent")[-1]["error"] == text
    response = api.post("/api/pull", model="absent", stream=False)
    assert (response.status_code, response.json()["error"]) == (500, text)


# A store that somebody else wrote


def test_a_model_that_ollama_stored_is_copied_and_deleted(api: Served) -> None:
    store_files.write_model(api.store.layout.root, "registry.ollama.ai/library/theirs/8b", system=b"S")

    assert api.post("/api/copy", source="theirs:8b", destination="ours").status_code == 200
    assert delete(api, model="theirs:8b") == (200, None)
    assert [model["name"] for model in api.http.get("/api/tags").json()["models"]] == ["ours:latest"]
