"""What tags, show and ps say of models, field by field."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from fakes import store_files
from fakes.gguf_files import Typed, echo_gguf, tiny_adapter, tiny_model, tiny_projector
from fakes.served_app import Served, served, services_for, settings_for

from ollamapy.names import ModelName
from ollamapy.pool.pool import Label, Loaded
from ollamapy.store.manifests import Manifests, StoredManifest
from ollamapy.wire.manifest import Config

DETAILS = {
    "parent_model": "",
    "format": "gguf",
    "family": "llama",
    "families": ["llama"],
    "parameter_size": "2K",
    "quantization_level": "F16",
}


def tags(api: Served) -> list[dict[str, Any]]:
    models: list[dict[str, Any]] = api.http.get("/api/tags").json()["models"]
    return models


def show(api: Served, **fields: Any) -> dict[str, Any]:
    response = api.post("/api/show", **fields)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


# Tags


def test_an_empty_store_lists_nothing(api: Served) -> None:
    assert api.http.get("/api/tags").json() == {"models": []}


def test_a_listed_model_has_every_field(api: Served, tiny: str) -> None:
    stored = api.store.manifests.read(ModelName.parse(tiny))

    (model,) = tags(api)

    assert model.pop("modified_at").startswith("20")
    assert model == {
        "name": "tiny:latest",
        "model": "tiny:latest",
        "size": stored.manifest.size_bytes,
        "digest": stored.digest,
        "details": DETAILS | {"context_length": 2048, "embedding_length": 32},
        "capabilities": ["completion"],
    }


def test_the_newest_model_comes_first(api: Served, tiny: str) -> None:
    for name, modified in (("a", 1_000_000_000), ("c", 3_000_000_000), ("b", 2_000_000_000)):
        api.post("/api/copy", source=tiny, destination=name)
        touch(api, name, modified)
    touch(api, tiny, 2_000_000_000.9)

    assert [model["name"] for model in tags(api)] == ["c:latest", "b:latest", "tiny:latest", "a:latest"]


def touch(api: Served, name: str, modified: float) -> None:
    os.utime(api.store.layout.manifest(ModelName.parse(name)), (modified, modified))


def test_a_broken_manifest_is_passed_over_and_a_model_without_weights_is_not(api: Served, tiny: str) -> None:
    root = api.store.layout.root
    broken = store_files.write_manifest(root, "registry.ollama.ai/library/broken/latest", b"{not json")
    half = store_files.write_model(root, "registry.ollama.ai/library/half/latest", b"weights")
    store_files.blob_path(root, b"weights").unlink()

    listed = {model["name"]: model for model in tags(api)}

    assert set(listed) == {"tiny:latest", "half:latest"}
    assert listed["half:latest"]["details"]["family"] == "llama"
    assert api.post("/api/show", model="half").status_code == 500
    half.unlink()
    broken.unlink()


def test_weights_that_are_no_gguf_are_listed_by_their_config(api: Served) -> None:
    store_files.write_model(api.store.layout.root, "registry.ollama.ai/library/theirs/8b", b"not a GGUF file")

    (model,) = tags(api)

    assert model["details"]["parameter_size"] == "8.0B"
    assert "capabilities" not in model
    assert "context_length" not in model["details"]


def test_the_list_shows_what_others_change_on_the_disk(api: Served, tiny: str) -> None:
    store_files.write_model(api.store.layout.root, "hf.co/org/theirs-GGUF/Q4", tiny_model("qwen2"))

    assert {model["name"] for model in tags(api)} == {"tiny:latest", "hf.co/org/theirs-GGUF:Q4"}
    api.store.delete(ModelName.parse(tiny))
    assert len(tags(api)) == 1


def test_a_list_reads_only_what_has_changed(api: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        api.create(name, files={"x.gguf": api.upload(tiny_model())}, system=name)
        touch(api, name, 1_000_000_000)
    read: list[str] = []
    original = Manifests._read

    def counted(manifests: Manifests, name: ModelName) -> StoredManifest:
        read.append(name.model)
        return original(manifests, name)

    monkeypatch.setattr(Manifests, "_read", counted)
    first = tags(api)
    read.clear()

    assert tags(api) == first
    assert read == []
    touch(api, "a", 1_000_000_001)
    assert [model["name"] for model in tags(api)] == ["a:latest", "b:latest"]
    assert set(read) == {"a"}


def test_a_manifest_that_has_just_changed_is_read_again(api: Served, tiny: str) -> None:
    """Its file may change once more within a tick of the clock, in the same number of bytes. It is dated an hour ahead,
    so that it counts as new however slow this machine is."""
    touch(api, tiny, time.time() + 3600)
    first = tags(api)
    path = api.store.layout.manifest(ModelName.parse(tiny))
    found = path.stat()
    path.write_bytes(path.read_bytes().replace(b"application/vnd.docker.cont", b"application/vnd.docker.CONT"))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))

    assert tags(api)[0]["digest"] != first[0]["digest"]


def test_a_model_that_lost_a_blob_is_listed_without_what_its_weights_said(api: Served, tiny: str) -> None:
    touch(api, tiny, 1_000_000_000)
    whole = tags(api)[0]
    weights = api.store.resolve(ModelName.parse(tiny)).model_path
    data = weights.read_bytes()
    weights.unlink()
    half = tags(api)[0]
    weights.write_bytes(data)

    assert whole["capabilities"] == ["completion"]
    assert "capabilities" not in half
    assert tags(api)[0] == whole


def test_an_unknown_quantization_is_looked_up_in_the_weights(api: Served) -> None:
    config = store_files.CONFIG | {"file_type": "unknown"}
    root = api.store.layout.root
    raw = store_files.manifest_bytes(root, store_files.layer(root, "model", tiny_model()), config=config)
    store_files.write_manifest(root, "registry.ollama.ai/library/x/latest", raw)

    assert tags(api)[0]["details"]["quantization_level"] == "F16"


def test_the_parent_of_a_child_is_named(api: Served, tiny: str) -> None:
    api.create("child", **{"from": tiny, "system": "S"})

    parents = {model["name"]: model["details"]["parent_model"] for model in tags(api)}

    assert parents == {"tiny:latest": "", "child:latest": "tiny:latest"}
    assert show(api, model="child")["details"]["parent_model"] == "tiny:latest"


# Show


def test_show_tells_everything_about_a_model(api: Served) -> None:
    api.create(
        "new",
        files={"m.gguf": api.upload(tiny_model())},
        template="{{ .Prompt }}!",
        system="S",
        license=["A", "B"],
        parameters={"temperature": 0.7, "num_ctx": 8192, "stop": ["<|x|>", 'say "no"'], "use_mmap": False},
        messages=[{"role": "user", "content": "hi"}],
        requires="0.14.0",
    )

    shown = show(api, model="new")

    assert shown.pop("modified_at").startswith("20")
    assert shown["license"] == "A\nB"
    assert shown["template"] == "{{ .Prompt }}!"
    assert shown["system"] == "S"
    assert shown["requires"] == "0.14.0"
    assert shown["details"] == DETAILS
    assert shown["messages"] == [{"role": "user", "content": "hi"}]
    assert shown["capabilities"] == ["completion"]
    assert sorted(shown["parameters"].split("\n")) == sorted(
        [
            "temperature                    0.7",
            "num_ctx                        8192",
            'stop                           "<|x|>"',
            'stop                           "say \\"no\\""',
            "use_mmap                       false",
        ]
    )
    assert shown["tensors"] == [
        {"name": "token_embd.weight", "type": "F16", "shape": [32, 64]},
        {"name": "output_norm.weight", "type": "F32", "shape": [32]},
    ]


def test_model_info_is_the_header_without_name_and_template(api: Served, tiny: str) -> None:
    info = show(api, model=tiny)["model_info"]

    assert info == {
        "general.architecture": "llama",
        "general.file_type": 1,
        "general.parameter_count": 2080,
        "llama.block_count": 1,
        "llama.context_length": 2048,
        "llama.embedding_length": 32,
        "tokenizer.ggml.merges": [],
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": None,
    }


def test_verbose_shows_the_members_of_arrays_too(api: Served, tiny: str) -> None:
    info = show(api, model=tiny, verbose=True)["model_info"]

    assert info["tokenizer.ggml.tokens"] == ["<s>", "</s>", "a", "b"]
    assert info["tokenizer.ggml.merges"] == []


def test_numbers_that_json_cannot_hold_do_not_break_show(api: Served) -> None:
    weights = tiny_model(evil__inf=float("inf"), evil__nan=float("nan"), evil__big=Typed(10, 2**64 - 1))
    api.create("new", files={"m.gguf": api.upload(weights)})

    info = show(api, model="new")["model_info"]

    assert (info["evil.inf"], info["evil.nan"], info["evil.big"]) == (None, None, 2**64 - 1)


@pytest.mark.parametrize(
    ("chat_template", "go_template", "expected"),
    [
        ("{{ messages }}", "{{ .Prompt }}?", "{{ .Prompt }}?"),
        ("{{ messages }}", "", "{{ messages }}"),
        (None, "", "{{ .Prompt }}"),
    ],
)
def test_the_template_in_use_is_shown(api: Served, chat_template: str | None, go_template: str, expected: str) -> None:
    weights = api.upload(tiny_model(tokenizer__chat_template=chat_template))
    api.create("new", files={"m.gguf": weights}, template=go_template)

    assert show(api, model="new")["template"] == expected


def test_a_projector_is_shown_and_gives_vision(api: Served) -> None:
    files = {"m.gguf": api.upload(tiny_model()), "p.gguf": api.upload(tiny_projector())}
    api.create("new", files=files)

    shown = show(api, model="new")

    assert shown["projector_info"]["clip.vision.block_count"] == 1
    assert shown["projector_info"]["general.parameter_count"] == 16
    assert shown["capabilities"] == ["completion", "vision"]


def test_the_modelfile_rebuilds_the_model(api: Served) -> None:
    files = {"m.gguf": api.upload(tiny_model()), "p.gguf": api.upload(tiny_projector())}
    api.create(
        "new",
        files=files,
        adapters={"l.gguf": api.upload(tiny_adapter())},
        draft_files={"d.gguf": api.upload(tiny_model("qwen2"))},
        system="two\nlines",
        parameters={"num_ctx": 1_048_576},
        license="L",
        renderer="r",
        messages=[{"role": "user", "content": "hi"}],
    )
    model = api.store.resolve(ModelName.parse("new"))
    draft = api.store.layout.root / "blobs" / files["m.gguf"].replace(":", "-")

    lines = show(api, model="new")["modelfile"].splitlines()

    assert lines[0].startswith('# Modelfile generated by "ollama')
    assert lines[2:5] == ["# FROM new:latest", "", f"FROM {model.model_path}"]
    assert f"ADAPTER {model.adapter_paths[0]}" in lines
    assert any(line.startswith("DRAFT /") for line in lines)
    assert draft.exists()
    assert f"FROM {model.projector_paths[0]}" in lines
    assert "TEMPLATE {{ .Prompt }}" in lines
    assert 'SYSTEM "two' in lines
    assert "RENDERER r" in lines
    assert "PARAMETER num_ctx 1048576" in lines
    assert "LICENSE L" in lines
    assert "MESSAGE user hi" in lines


def test_system_and_options_change_only_what_the_modelfile_and_the_system_say(api: Served, tiny: str) -> None:
    api.create("new", **{"from": tiny, "system": "S", "parameters": {"top_k": 1}})

    shown = show(api, model="new", system="other", options={"top_k": 2, "seed": 3})

    assert shown["system"] == "other"
    assert "SYSTEM other\n" in shown["modelfile"]
    assert "PARAMETER top_k 2\n" in shown["modelfile"]
    assert "PARAMETER seed 3\n" in shown["modelfile"]
    assert shown["parameters"].split() == ["top_k", "1"]


def test_empty_fields_are_left_out(api: Served, tiny: str) -> None:
    shown = show(api, name=tiny)

    assert not {"license", "system", "parameters", "messages", "projector_info", "requires"} & set(shown)
    assert "model_info" in shown


def test_copilot_sees_the_name_that_it_asked_for(api: Served, tiny: str) -> None:
    response = api.http.post("/api/show", json={"model": tiny}, headers={"User-Agent": "GitHubCopilotChat/1.0"})

    assert response.json()["model_info"]["general.basename"] == tiny


@pytest.mark.parametrize(
    ("model", "status", "text"),
    [
        ("", 400, "model is required"),
        ("  ", 400, "model is required"),
        ("a b", 400, "invalid model name"),
        ("../x", 400, "invalid model name"),
        ("Absent", 404, "model 'Absent:latest' not found"),
        ("ns/absent:v1", 404, "model 'ns/absent:v1' not found"),
        ("x:cloud", 403, "ollama cloud is disabled: remote model details are unavailable"),
        ("x:cloud:local", 400, 'use either :local or :cloud, not both: "x:cloud:local"'),
    ],
)
def test_show_refuses_in_the_contracts_words(api: Served, model: str, status: int, text: str) -> None:
    response = api.post("/api/show", model=model)

    assert (response.status_code, response.json()["error"]) == (status, text)


def test_show_takes_white_space_and_a_local_suffix(api: Served, tiny: str) -> None:
    assert show(api, model=" Tiny:local ")["details"] == DETAILS


def test_an_echo_model_without_tensors_can_be_shown(api: Served) -> None:
    api.create("new", files={"m.gguf": api.upload(echo_gguf())})

    shown = show(api, model="new")

    assert shown["model_info"]["general.parameter_count"] == 0
    assert shown["details"]["parameter_size"] == "0"


# Ps


class FakePool:
    """Answers as a pool with two loaded models."""

    def loaded(self) -> list[Loaded]:
        config = Config(model_format="gguf", model_family="llama", model_families=("llama",), model_type="1B")
        short = Label(ModelName.parse("short"), "a" * 64, config)
        forever = Label(ModelName.parse("hf.co/o/forever:q"), "b" * 64, config)
        return [
            Loaded(short, size_bytes=10, vram_bytes=0, num_ctx=4096, expires_at=2_000_000_000.5),
            Loaded(forever, size_bytes=20, vram_bytes=20, num_ctx=8192, expires_at=float("inf")),
        ]


def test_nothing_is_loaded_at_first(api: Served) -> None:
    assert api.http.get("/api/ps").json() == {"models": []}


def test_loaded_models_are_shown_by_the_time_they_have_left(tmp_path: Path) -> None:
    with served(services_for(settings_for(tmp_path / "models"), pool=FakePool())) as api:
        forever, short = api.http.get("/api/ps").json()["models"]

    assert forever["expires_at"][:2] == "23"
    assert short.pop("expires_at").startswith("2033-05-1")
    assert short == {
        "name": "short:latest",
        "model": "short:latest",
        "size": 10,
        "digest": "a" * 64,
        "details": DETAILS | {"parameter_size": "1B", "quantization_level": ""},
        "size_vram": 0,
        "context_length": 4096,
    }
    assert (forever["name"], forever["size_vram"]) == ("hf.co/o/forever:q", 20)
