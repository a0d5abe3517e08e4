"""A stored model: what its layers say, in stores of any age, and what is said when one of them is missing."""

import json
import os
from pathlib import Path

import pytest
from fakes.store_files import (
    CONFIG,
    blob_path,
    layer,
    manifest_bytes,
    tree,
    write_manifest,
    write_model,
)

from ollamapy.errors import NotFound, Refused, StoreError
from ollamapy.names import ModelName
from ollamapy.store.store import Store

M = ModelName.parse("m")
PATH = "registry.ollama.ai/library/m/latest"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def store(root: Path) -> Store:
    return Store(root)


def test_a_model_comes_with_everything_its_layers_say(store, root):
    weights = layer(root, "model", b"weights", **{"from": "base:latest"})
    texts = [
        layer(root, "adapter", b"lora"),
        layer(root, "projector", b"eyes"),
        layer(root, "template", b"{{ .Prompt }}"),
        layer(root, "system", "Du bist höflich.".encode()),
        layer(root, "params", b'{"stop":["</s>"],"temperature":0.7,"num_ctx":8192}\n'),
        layer(root, "messages", b'[{"role":"user","content":"hi"},{"role":"assistant","content":"ho"}]\n'),
        layer(root, "license", b"MIT"),
        layer(root, "license", b"Apache"),
    ]
    write_manifest(root, PATH, manifest_bytes(root, weights, *texts))

    model = store.resolve(M)

    assert model.name.short == "m:latest"
    assert model.model_path == blob_path(root, b"weights")
    assert model.adapter_paths == (blob_path(root, b"lora"),)
    assert model.projector_paths == (blob_path(root, b"eyes"),)
    assert (model.template, model.system) == ("{{ .Prompt }}", "Du bist höflich.")
    assert model.params == {"stop": ["</s>"], "temperature": 0.7, "num_ctx": 8192}
    assert model.messages == (("user", "hi"), ("assistant", "ho"))
    assert model.licenses == ("MIT", "Apache")
    assert (model.config.model_family, model.config.file_type) == ("llama", "Q4_K_M")
    assert model.manifest.manifest.of_kind("model")[0].source == "base:latest"


def test_a_model_of_weights_alone_has_no_texts(store, root):
    write_model(root, PATH)

    model = store.resolve(M)

    assert (model.template, model.system, model.params, model.messages, model.licenses) == (None, "", {}, (), ())
    assert (model.adapter_paths, model.projector_paths) == ((), ())


def test_an_empty_template_is_there_and_empty(store, root):
    write_model(root, PATH, template=b"")

    assert store.resolve(M).template == ""


def test_the_old_name_of_a_template_layer_still_counts(store, root):
    write_model(root, PATH, prompt=b"{{ .Prompt }} old")

    assert store.resolve(M).template == "{{ .Prompt }} old"


def test_of_two_templates_the_last_counts(store, root):
    layers = [layer(root, "model", b"w"), layer(root, "template", b"one"), layer(root, "template", b"two")]
    write_manifest(root, PATH, manifest_bytes(root, *layers))

    assert store.resolve(M).template == "two"


def test_unknown_layers_are_kept_and_ignored(store, root, caplog):
    layers = [
        layer(root, "model", b"w"),
        layer(root, "novelty", b"n"),
        layer(root, "application/vnd.example+json", b"{}"),
        {"mediaType": "application/vnd.ollama.image.embed", "digest": "sha256:" + "0" * 64, "size": 1},
    ]
    raw = manifest_bytes(root, *layers)
    write_manifest(root, PATH, raw)

    with caplog.at_level("INFO"):
        model = store.resolve(M)

    assert model.manifest.raw == raw
    assert caplog.messages == ["layer ignored model=m:latest kind=embed"]


def test_a_config_with_nulls_and_unknown_keys_is_read(store, root):
    config = CONFIG | {"model_families": None, "renderer": None, "novelty": {"a": [1]}, "context_length": 4096}
    write_manifest(root, PATH, manifest_bytes(root, layer(root, "model", b"w"), config=config))

    found = store.resolve(M).config

    assert (found.model_families, found.renderer, found.context_length) == (None, "", 4096)


def test_text_that_is_not_utf8_does_not_make_a_model_unusable(store, root):
    write_model(root, PATH, license=b"\xa9 1999 M\xfcller")

    assert store.resolve(M).licenses == ("� 1999 M�ller",)


@pytest.mark.parametrize("kind", ["model", "template", "license", "params", "adapter", "novelty"])
def test_a_missing_blob_is_an_error_that_names_model_and_blob(store, root, kind):
    layers = {each: layer(root, each, each.encode()) for each in ("model", "template", "license", "adapter", "novelty")}
    layers["params"] = layer(root, "params", b"{}")
    write_manifest(root, PATH, manifest_bytes(root, *layers.values()))
    blob_path(root, b"{}" if kind == "params" else kind.encode()).unlink()

    with pytest.raises(StoreError) as caught:
        store.resolve(M)

    assert caught.value.message == f"the {kind} blob {layers[kind]['digest']} of the model m:latest is missing"
    assert caught.value.hint == "pull or create m:latest again"


def test_a_missing_config_is_an_error_and_the_model_is_still_listed(store, root):
    write_model(root, PATH)
    blob_path(root, json.dumps(CONFIG).encode()).unlink()
    (stored,) = store.manifests.all()

    for use in (lambda: store.resolve(M), lambda: store.config(stored)):
        with pytest.raises(StoreError, match=r"the config blob sha256:\w+ of the model m:latest is missing"):
            use()


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b'{"a":' * 5000])
def test_params_that_cannot_be_read_are_an_error(store, root, content):
    write_model(root, PATH, params=content)

    with pytest.raises(StoreError, match=r"the params blob sha256:\w+ of the model m:latest cannot be read"):
        store.resolve(M)


@pytest.mark.parametrize("content", [b"{}", b'[{"role":1}]', b"[1]"])
def test_messages_that_cannot_be_read_are_an_error(store, root, content):
    write_model(root, PATH, messages=content)

    with pytest.raises(StoreError, match=r"the messages blob .* cannot be read"):
        store.resolve(M)


@pytest.mark.parametrize("content", [b"null", b"null\n"])
def test_params_and_messages_may_be_null(store, root, content):
    write_model(root, PATH, params=content, messages=content)

    assert (store.resolve(M).params, store.resolve(M).messages) == ({}, ())


def test_a_config_that_cannot_be_read_is_an_error(store, root):
    write_manifest(root, PATH, manifest_bytes(root, layer(root, "model", b"w"), config={"model_type": 7}))

    with pytest.raises(StoreError, match=r"the config blob .* cannot be read: .*model_type"):
        store.resolve(M)


def test_a_model_without_weights_is_an_error(store, root):
    write_manifest(root, PATH, manifest_bytes(root, layer(root, "system", b"s")))

    with pytest.raises(StoreError, match="the model m:latest has no weights"):
        store.resolve(M)


def test_a_model_of_safetensors_is_an_error_that_says_so(store, root):
    write_manifest(root, PATH, manifest_bytes(root, layer(root, "tensor", b"t"), layer(root, "json", b"{}")))

    with pytest.raises(StoreError, match="the model m:latest is made of safetensors, which is not supported"):
        store.resolve(M)


def test_a_model_in_the_cloud_is_refused(store, root):
    config = CONFIG | {"remote_host": "https://ollama.com:443", "remote_model": "big"}
    write_manifest(root, PATH, manifest_bytes(root, config=config))

    with pytest.raises(Refused, match="ollama cloud is disabled"):
        store.resolve(M)


def test_an_unknown_model_is_not_found(store):
    with pytest.raises(NotFound, match="model 'm:latest' not found"):
        store.resolve(M)


def test_a_store_that_ollama_laid_out_is_used_in_place(root):
    """Old blob names, hidden files, linked folders and models of other hosts, all at once."""
    write_model(root, "registry.ollama.ai/library/llama3/8b", b"old weights", template=b"t", system=b"s")
    old = blob_path(root, b"old weights")
    old.rename(old.with_name(old.name.replace("-", ":", 1)))
    write_model(root, "hf.co/org/Repo-GGUF/Q4_K_M", b"other weights")
    write_manifest(root, "registry.ollama.ai/library/.DS_Store", b"")
    moved = root.parent / "moved"
    (root / "manifests/hf.co/org/Repo-GGUF").rename(moved)
    (root / "manifests/hf.co/org/Repo-GGUF").symlink_to(moved)
    (root / "blobs" / "sha256-123-partial-0").write_bytes(b"{}")
    before = tree(root)
    store = Store(root)

    store.start()
    names = [stored.name.short for stored in store.manifests.all()]
    models = [store.resolve(ModelName.parse(text)) for text in names]
    store.close()

    assert names == ["hf.co/org/Repo-GGUF:Q4_K_M", "llama3:8b"]
    assert [model.model_path.read_bytes() for model in models] == [b"other weights", b"old weights"]
    assert tree(root) == {path.replace("sha256:", "sha256-") for path in before}
    store.check(contents=True)


def test_what_is_stored_here_is_what_ollama_stores(store, root):
    """Names, folders and modes; Ollama looks nowhere else."""
    digest, size = store.blobs.put(b"weights")
    entry = {"mediaType": "application/vnd.ollama.image.model", "digest": str(digest), "size": size}
    store.link(ModelName.parse("ns/m:1"), json.dumps({"schemaVersion": 2, "layers": [entry]}).encode())

    manifest = root / "manifests/registry.ollama.ai/ns/m/1"
    assert tree(root) == {"manifests/registry.ollama.ai/ns/m/1", f"blobs/sha256-{digest.hex}"}
    assert manifest.stat().st_mode & 0o777 == 0o644
    assert manifest.parent.stat().st_mode & 0o755 == 0o755


def test_damaged_weights_are_found_before_use_and_the_error_names_the_remedy(store, root):
    write_model(root, "registry.ollama.ai/library/m/latest", b"weights")
    model = store.resolve(ModelName.parse("m"))
    store.verify(model)
    model.model_path.write_bytes(b"weighty")
    os.utime(model.model_path, ns=(1, 1))

    with pytest.raises(StoreError, match=r"the model blob of the model m:latest cannot be used: .*damaged") as caught:
        store.verify(model)

    assert caught.value.hint == "ollamapy fsck --repair mends it"


def test_weights_of_another_size_than_the_manifest_says_are_not_even_read(store, root):
    write_model(root, "registry.ollama.ai/library/m/latest", b"weights")
    model = store.resolve(ModelName.parse("m"))
    model.model_path.write_bytes(b"")

    with pytest.raises(StoreError, match="does not have its 7 bytes"):
        store.verify(model)
