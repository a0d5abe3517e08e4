"""Models in several GGUF files over HTTP: created from the parts, shown as one model, refused when a part is wrong."""

from pathlib import Path
from typing import Any

import pytest
from fakes.gguf_files import tiny_model, tiny_projector
from fakes.served_app import Served
from fakes.tiny_models import attention_in_parts

from ollamapy.names import ModelName


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    paths = attention_in_parts(tmp_path_factory.mktemp("parts") / "m.gguf")
    return {path.name: path.read_bytes() for path in paths}


@pytest.fixture
def files(api: Served, parts: dict[str, bytes]) -> dict[str, str]:
    return {name: api.upload(data) for name, data in parts.items()}


def refusal(api: Served, files: dict[str, str]) -> tuple[int, str]:
    response = api.post("/api/create", model="new", files=files, stream=False)
    return response.status_code, response.json()["error"]


def test_parts_become_ordered_layers_that_keep_their_names(api: Served, files: dict[str, str]) -> None:
    shuffled = dict(sorted(files.items(), reverse=True))

    lines = api.create("new", files=shuffled)

    assert lines[:3] == ["parsing GGUF"] * 3
    stored = api.store.resolve(ModelName.parse("new"))
    layers = stored.manifest.manifest.of_kind("model")
    assert [(layer.title, layer.digest) for layer in layers] == list(files.items())
    assert [path.name for path in stored.shard_paths] == [digest.replace(":", "-") for digest in files.values()]


def test_the_model_is_shown_as_one(api: Served, files: dict[str, str], parts: dict[str, bytes]) -> None:
    api.create("new", files=files)

    shown = api.post("/api/show", model="new", verbose=True).json()
    (listed,) = api.http.get("/api/tags").json()["models"]

    assert (shown["details"]["family"], shown["details"]["parameter_size"]) == ("qwen3", "70K")
    assert shown["model_info"]["general.parameter_count"] == 70240
    assert not [key for key in shown["model_info"] if key.startswith("split.")]
    assert len(shown["tensors"]) == 68
    assert shown["modelfile"].count("\nFROM ") == 3
    assert listed["size"] > sum(map(len, parts.values()))


def test_what_show_prints_makes_the_same_model_again(api: Served, files: dict[str, str]) -> None:
    api.create("new", files=files)
    printed = api.post("/api/show", model="new").json()["modelfile"]
    blobs = [line.rpartition("/")[2] for line in printed.splitlines() if line.startswith("FROM ")]

    api.create("again", files={name: name.replace("-", ":") for name in blobs})

    again = api.store.resolve(ModelName.parse("again"))
    assert [path.name for path in again.shard_paths] == [digest.replace(":", "-") for digest in files.values()]


def test_a_model_made_of_a_split_one_keeps_its_parts(api: Served, files: dict[str, str]) -> None:
    api.create("new", files=files)

    api.create("kind", **{"from": "new"}, system="be kind")

    assert len(api.store.resolve(ModelName.parse("kind")).shard_paths) == 3


def test_resolve_names_all_files(api: Served, files: dict[str, str]) -> None:
    api.create("new", files=files | {"mmproj.gguf": api.upload(tiny_projector())})

    found = api.post("/api/resolve", model="new").json()

    assert [Path(path).name for path in found["shards"]] == [digest.replace(":", "-") for digest in files.values()]
    assert found["weights"] == found["shards"][0]
    assert len(found["projectors"]) == 1


FIRST, SECOND, THIRD = (f"m-{number:05d}-of-00003.gguf" for number in (1, 2, 3))


@pytest.mark.parametrize(
    ("choose", "status", "text"),
    [
        ({FIRST: FIRST}, 500, "split GGUF: wanted parts 1 to N of one model, found 1 of 3"),
        ({FIRST: FIRST, THIRD: THIRD}, 500, "split GGUF: wanted parts 1 to N of one model, found 1 of 3, 3 of 3"),
        (
            {FIRST: FIRST, SECOND: THIRD, THIRD: SECOND},
            500,
            f"split GGUF: {SECOND} is part 3 of 3, its name says otherwise",
        ),
        (
            {FIRST: FIRST, "n-00002-of-00003.gguf": SECOND, THIRD: THIRD},
            500,
            "split GGUF: the parts have different names: m, n",
        ),
        ({FIRST: FIRST, "w.gguf": "whole"}, 400, f"a model has one file of weights, found {FIRST}, w.gguf"),
    ],
)
def test_parts_that_are_no_model_are_refused(
    api: Served, files: dict[str, str], choose: dict[str, str], status: int, text: str
) -> None:
    files = files | {"whole": api.upload(tiny_model())}

    assert refusal(api, {name: files[wanted] for name, wanted in choose.items()}) == (status, text)


def test_a_draft_model_has_one_file(api: Served, files: dict[str, str]) -> None:
    fields: dict[str, Any] = {"files": files, "draft_files": {FIRST: files[FIRST]}}

    response = api.post("/api/create", model="new", stream=False, **fields)

    assert response.status_code == 501
    assert "a draft model in several files is not supported" in response.json()["error"]
