"""Creation over HTTP, from files, from models and from the catalogue: the lines, what is stored, every refusal."""

import json
from typing import Any

import pytest
from fakes import store_files
from fakes.gguf_files import LYING, STRING, Typed, gguf, tiny_adapter, tiny_model, tiny_projector
from fakes.served_app import Served

from ollamapy.names import ModelName
from ollamapy.store.store import StoredModel

MISSING = "sha256:" + "1" * 64


def stored(api: Served, name: str) -> StoredModel:
    return api.store.resolve(ModelName.parse(name))


def kinds(api: Served, name: str) -> list[str]:
    return [layer.kind for layer in stored(api, name).manifest.manifest.layers]


def refusal(api: Served, **fields: Any) -> tuple[int, str]:
    """Status and text when not streamed; a refused creation leaves no model."""
    response = api.post("/api/create", **({"model": "new", "stream": False} | fields))
    assert api.store.manifests.names() == []
    return response.status_code, response.json()["error"]


# From files


def test_a_model_is_created_from_an_uploaded_file(api: Served) -> None:
    digest = api.upload(tiny_model())

    lines = api.create("new", files={"tiny.gguf": digest})

    assert lines == ["parsing GGUF", f"using existing layer {digest}", "writing manifest", "success"]
    model = stored(api, "new")
    assert model.config.model_format == "gguf"
    assert model.config.model_family == "llama"
    assert model.config.model_families == ("llama",)
    assert model.config.model_type == "2K"
    assert model.config.file_type == "F16"
    assert model.model_path.read_bytes() == tiny_model()


def test_the_manifest_has_the_form_that_ollama_writes(api: Served) -> None:
    digest = api.upload(tiny_model())
    api.create("new", files={"tiny.gguf": digest}, system="S")

    raw = stored(api, "new").manifest.raw

    assert raw.endswith(b"}\n")
    document = json.loads(raw)
    assert list(document) == ["schemaVersion", "mediaType", "config", "layers"]
    assert document["schemaVersion"] == 2
    assert list(document["layers"][0]) == ["mediaType", "digest", "size"]
    assert document["layers"][0]["digest"] == digest
    assert document["layers"][1]["mediaType"] == "application/vnd.ollama.image.system"
    config = json.loads(api.blob(document["config"]["digest"]))
    assert config["architecture"] == "amd64"
    assert "renderer" not in config


def test_everything_that_a_request_can_carry_is_stored(api: Served) -> None:
    api.create(
        "new",
        files={"tiny.gguf": api.upload(tiny_model())},
        template="{{ .Prompt }}!",
        system="Be brief.\nBe kind.",
        license=["MIT", "Apache"],
        parameters={"temperature": 0.7, "stop": ["a", "b"], "num_ctx": 8192},
        messages=[{"role": "user", "content": "hi"}, {"role": "assistant"}],
        renderer="r",
        parser="p",
        requires="0.14.0",
        info={"capabilities": ["tools"], "base_name": "B", "context_length": 77, "parameter_size": "9B"},
    )

    model = stored(api, "new")
    assert kinds(api, "new") == ["model", "template", "system", "license", "license", "params", "messages"]
    assert model.template == "{{ .Prompt }}!"
    assert model.system == "Be brief.\nBe kind."
    assert model.licenses == ("MIT", "Apache")
    assert model.params == {"temperature": 0.7, "stop": ["a", "b"], "num_ctx": 8192}
    assert model.messages == (("user", "hi"), ("assistant", ""))
    config = model.config
    assert (config.renderer, config.parser, config.requires) == ("r", "p", "0.14.0")
    assert (config.capabilities, config.base_name) == (("tools",), "B")
    assert (config.context_length, config.model_type) == (77, "9B")


def test_every_layer_has_its_line(api: Served) -> None:
    digest = api.upload(tiny_model())
    fields: dict[str, Any] = {"files": {"tiny.gguf": digest}, "system": "S", "license": "L"}

    first = api.create("one", **fields)
    second = api.create("two", **fields)

    assert [line.rpartition(" ")[0] for line in first[1:4]] == [
        "using existing layer",
        "creating new layer",
        "creating new layer",
    ]
    assert [line.rpartition(" ")[0] for line in second[1:4]] == ["using existing layer"] * 3


def test_a_projector_and_an_adapter_become_layers_of_their_kind(api: Served) -> None:
    api.create(
        "new",
        files={"mmproj.gguf": api.upload(tiny_projector()), "weights": api.upload(tiny_model())},
        adapters={"lora.gguf": api.upload(tiny_adapter())},
        draft_files={"draft.gguf": api.upload(tiny_model("qwen2"))},
    )

    assert kinds(api, "new") == ["model", "projector", "adapter", "draft"]
    assert stored(api, "new").config.model_families == ("llama", "clip")


def test_files_of_one_name_are_told_apart(api: Served) -> None:
    """Clients name files by their last part only: weights and adapter may both be `model.gguf`."""
    weights, adapter = api.upload(tiny_model()), api.upload(tiny_adapter())

    api.create("new", files={"model.gguf": weights}, adapters={"model.gguf": adapter})

    layers = stored(api, "new").manifest.manifest.layers
    assert [(layer.kind, layer.digest) for layer in layers] == [("model", weights), ("adapter", adapter)]


def test_what_goes_along_with_a_folder_of_weights_is_passed_over(api: Served) -> None:
    other = api.upload(b"{}")

    lines = api.create("new", files={"m.gguf": api.upload(tiny_model()), "config.json": other, "a/b.json": other})

    assert lines.count("parsing GGUF") == 1
    assert kinds(api, "new") == ["model"]


@pytest.mark.parametrize(
    ("architecture", "renderer", "params"), [("gemma4", "gemma4", {"stop": ["<turn|>"]}), ("laguna", "laguna", {})]
)
def test_some_architectures_bring_their_renderer(
    api: Served, architecture: str, renderer: str, params: dict[str, Any]
) -> None:
    api.create("new", files={"m.gguf": api.upload(tiny_model(architecture))})

    model = stored(api, "new")
    assert (model.config.renderer, model.config.parser, model.params) == (renderer, renderer, params)


# From a model


def test_a_child_inherits_every_layer_and_says_from_whom(api: Served, tiny: str) -> None:
    api.create("parent", **{"from": tiny, "system": "S", "parameters": {"top_k": 1, "seed": 2}, "license": "A"})

    lines = api.create("child", **{"from": "Parent", "parameters": {"seed": 3}, "license": "B"})

    model = stored(api, "child")
    assert kinds(api, "child") == ["model", "system", "license", "license", "params"]
    assert {layer.source for layer in model.manifest.manifest.layers[:3]} == {"parent:latest"}
    assert model.params == {"top_k": 1, "seed": 3}
    assert model.licenses == ("A", "B")
    assert model.config == stored(api, "parent").config
    assert lines[0] == f"using existing layer {model.manifest.manifest.layers[0].digest}"


def test_what_a_request_leaves_empty_is_inherited(api: Served, tiny: str) -> None:
    api.create("parent", **{"from": tiny, "system": "S", "template": "T", "requires": "1.0", "messages": [MESSAGE]})

    api.create("child", **{"from": "parent", "system": "", "template": "", "requires": "", "messages": []})

    child, parent = stored(api, "child"), stored(api, "parent")
    assert (child.system, child.template, child.messages) == (parent.system, parent.template, parent.messages)
    assert child.config.requires == "1.0"


MESSAGE = {"role": "user", "content": "hi"}


def test_what_a_request_gives_replaces(api: Served, tiny: str) -> None:
    api.create("parent", **{"from": tiny, "system": "S", "template": "T", "messages": [MESSAGE, MESSAGE]})

    api.create("child", **{"from": "parent", "system": "S2", "template": "T2", "messages": [MESSAGE]})

    child = stored(api, "child")
    assert (child.system, child.template, child.messages) == ("S2", "T2", (("user", "hi"),))


def test_a_model_that_ollama_stored_can_be_built_on(api: Served) -> None:
    store_files.write_model(
        api.store.layout.root, "registry.ollama.ai/library/theirs/8b", tiny_model(), prompt=b"old template"
    )

    api.create("child", **{"from": "theirs:8b", "system": "S"})

    assert stored(api, "child").config.model_type == "8.0B"
    assert stored(api, "child").template == "old template"
    assert stored(api, "child").manifest.manifest.layers[0].source == "theirs:8b"


def test_from_wins_over_files(api: Served, tiny: str) -> None:
    api.create("child", **{"from": tiny, "files": {"x.gguf": MISSING}})

    assert stored(api, "child").model_path == stored(api, tiny).model_path


def test_a_model_that_is_not_here_is_pulled_first(api: Served) -> None:
    lines = api.create("child", **{"from": "echo", "system": "S"})

    assert lines[0] == "pulling manifest"
    assert lines.count("success") == 1
    assert lines.count("writing manifest") == 2
    assert stored(api, "child").params == {"temperature": 0.5}
    assert stored(api, "echo").manifest.manifest.size_bytes > 0


def test_overwriting_a_model_removes_what_only_it_used(api: Served, tiny: str) -> None:
    api.create("child", **{"from": tiny, "system": "old text"})
    before = {str(digest) for digest in api.store.blobs.digests()}
    old = stored(api, "child").manifest.manifest.of_kind("system")[0].digest

    api.create("CHILD", **{"from": "child", "system": "new text"})

    after = {str(digest) for digest in api.store.blobs.digests()}
    assert before - after == {old}
    assert [name.short for name in api.store.manifests.names()] == ["child:latest", "tiny:latest"]


# Without a stream


def test_without_a_stream_the_answer_is_the_last_line(api: Served) -> None:
    response = api.post("/api/create", name="new", files={"m.gguf": api.upload(tiny_model())}, stream=False)

    assert response.json() == {"status": "success"}
    assert response.headers["Content-Type"] == "application/json"


# Refusals


@pytest.mark.parametrize("name", ["", "a b", "../x", "/etc/passwd", "a" * 81, "m:"])
def test_a_bad_name_is_refused(api: Served, name: str) -> None:
    assert refusal(api, model=name, files={}) == (400, "invalid model name")


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../x", "a//x", "", "a/", "a\0b", ".."])
@pytest.mark.parametrize("field", ["files", "adapters", "draft_files"])
def test_a_path_that_leaves_the_folder_is_refused(api: Served, path: str, field: str) -> None:
    fields = {"files": {"ok.gguf": MISSING}} | {field: {path: MISSING}}

    assert refusal(api, **fields) == (400, "file path must be relative")


@pytest.mark.parametrize("digest", ["", "abc", "sha256:..", "sha256:" + "g" * 64])
def test_a_bad_digest_is_refused(api: Served, digest: str) -> None:
    assert refusal(api, files={"a.gguf": digest}) == (400, "invalid digest format")


def test_a_model_needs_a_beginning(api: Served) -> None:
    assert refusal(api) == (400, "neither 'from' or 'files' was specified")
    assert refusal(api, files={}) == (400, "unknown type")


@pytest.mark.parametrize("source", ["a b", "./missing.gguf", "/tmp/x.gguf", "https://example.com/x.gguf"])
def test_a_beginning_that_is_no_name_is_refused(api: Served, source: str) -> None:
    assert refusal(api, **{"from": source}) == (400, "invalid model name")


def test_a_beginning_that_nobody_has_cannot_be_pulled(api: Served) -> None:
    assert refusal(api, **{"from": "absent"}) == (500, "pull model manifest: file does not exist")
    assert refusal(api, **{"from": "x:cloud"})[0] == 403


@pytest.mark.parametrize("stream", [True, False])
def test_a_refusal_has_its_status_with_and_without_a_stream(api: Served, stream: bool) -> None:
    fields: dict[str, Any] = {"files": {"a.gguf": api.upload(b"no model")}}

    assert refusal(api, stream=stream, **fields) == (400, "supplied file was not in GGUF format")
    fields = {"files": {"a.gguf": api.upload(tiny_model())}, "info": {"base_name": 1}}
    assert refusal(api, stream=stream, **fields)[0] == 400


def test_other_content_is_refused_by_name_or_by_kind(api: Served) -> None:
    safetensors = api.upload(b"\x08\x00\x00\x00\x00\x00\x00\x00{}")

    assert refusal(api, files={"a.gguf": safetensors}) == (400, "supplied file was not in GGUF format")
    assert refusal(api, files={"model.safetensors": safetensors}) == (400, "unknown type")
    assert refusal(api, files={"README": safetensors}) == (400, "unknown type")
    mixed = {"a": api.upload(tiny_model()), "b.bin": safetensors}
    assert refusal(api, files=mixed) == (400, "supplied file was not in GGUF format")


def test_a_blob_that_was_never_uploaded_is_named(api: Served) -> None:
    assert refusal(api, files={"a.gguf": MISSING}) == (500, f'blob "{MISSING}" of the file a.gguf not found')


@pytest.mark.parametrize("lie", sorted(LYING))
def test_a_file_that_lies_is_refused_in_words(api: Served, lie: str) -> None:
    status, text = refusal(api, files={"evil.gguf": api.upload(LYING[lie])})

    assert status == 400
    assert "supplied file was not in GGUF format" in text or text.startswith("evil.gguf: ")
    assert "sha256-" not in text


def test_two_adapters_are_one_too_many(api: Served, tiny: str) -> None:
    other = gguf({"general.architecture": "llama", "general.type": "adapter", "n": 1})
    adapters = {"a.gguf": api.upload(tiny_adapter()), "b.gguf": api.upload(other)}

    response = api.post("/api/create", **{"model": "new", "from": tiny, "adapters": adapters, "stream": False})

    assert (response.status_code, response.json()["error"]) == (400, "only one adapter is currently supported")


def test_weights_are_no_adapter_and_an_adapter_is_no_weights(api: Served) -> None:
    weights, adapter = api.upload(tiny_model()), api.upload(tiny_adapter())

    status, text = refusal(api, files={"m.gguf": weights}, adapters={"a.gguf": weights})
    assert (status, text) == (400, "a.gguf is not an adapter: its general.type says model")
    status, text = refusal(api, files={"a.gguf": adapter})
    assert (status, text) == (400, "a model has one file of weights, found none")
    status, text = refusal(api, files={"m.gguf": weights}, draft_files={"d.gguf": adapter})
    assert (status, text) == (400, "a draft model has one file of weights")


@pytest.mark.parametrize(
    ("fields", "status", "text"),
    [
        ({"quantize": "q4_K_M"}, 501, "quantizing is not supported yet"),
        ({"quantization": "q4_K_M"}, 501, "quantizing is not supported yet"),
        (
            {"quantize": "q3_x"},
            500,
            "unsupported quantization type Q3_X - supported types are F32, F16, Q4_K_S, Q4_K_M, Q8_0",
        ),
        ({"draft_quantize": "q8_0"}, 400, "--draft-quantize requires a DRAFT model"),
    ],
)
def test_quantizing_is_refused(api: Served, fields: dict[str, Any], status: int, text: str) -> None:
    assert refusal(api, files={"m.gguf": MISSING}, **fields) == (status, text)


@pytest.mark.parametrize(
    ("info", "text"),
    [
        ({"model_family": 1}, 'info field "model_family" must be a string'),
        ({"base_name": []}, 'info field "base_name" must be a string'),
        ({"quantization_level": 4}, 'info field "quantization_level" must be a string'),
        ({"parameter_size": 7.0}, 'info field "parameter_size" must be a string'),
        ({"context_length": "1"}, 'info field "context_length" must be a number'),
        ({"context_length": True}, 'info field "context_length" must be a number'),
        ({"embedding_length": -1}, 'info field "embedding_length" must be a non-negative integer'),
        ({"embedding_length": 1.5}, 'info field "embedding_length" must be a non-negative integer'),
        ({"context_length": 1e300}, 'info field "context_length" must be a non-negative integer'),
        ({"capabilities": "tools"}, 'info field "capabilities" must be a list of strings'),
    ],
)
def test_info_of_the_wrong_type_is_refused(api: Served, info: dict[str, Any], text: str) -> None:
    assert refusal(api, files={"m.gguf": api.upload(tiny_model())}, info=info) == (400, text)


def test_a_cloud_model_cannot_be_built_on(api: Served) -> None:
    root = api.store.layout.root
    config = store_files.CONFIG | {"remote_host": "https://ollama.com", "remote_model": "x"}
    raw = store_files.manifest_bytes(root, config=config)
    store_files.write_manifest(root, "registry.ollama.ai/library/far/latest", raw)

    response = api.post("/api/create", **{"model": "new", "from": "far", "stream": False})

    assert response.status_code == 403
    assert response.json()["error"] == "ollama cloud is disabled: remote model is unavailable"


def test_a_name_of_text_that_is_not_utf8_is_refused(api: Served) -> None:
    evil = gguf({"general.architecture": Typed(STRING, b"\xff")})

    assert refusal(api, files={"evil.gguf": api.upload(evil)})[0] == 400
