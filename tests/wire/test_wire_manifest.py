"""Manifest and config in bytes: the key order, what is left out, and what old or foreign files may hold."""

import pytest

from ollamapy.errors import InvalidInput
from ollamapy.wire import manifest as wire
from ollamapy.wire.manifest import Config, Layer, Manifest, layer_type

WEIGHTS = Layer(layer_type("model"), "sha256:12", 1234, "base:latest")
CONFIG = Layer(wire.CONFIG_TYPE, "sha256:34", 485)


def test_a_manifest_is_compact_json_in_ollamas_key_order():
    assert wire.encode_manifest(Manifest(2, config=CONFIG, layers=(WEIGHTS,))) == (
        b'{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",'
        b'"config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"sha256:34","size":485},'
        b'"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:12","size":1234,'
        b'"from":"base:latest"}]}\n'
    )


def test_a_manifest_reads_back():
    manifest = Manifest(2, config=CONFIG, layers=(WEIGHTS,))

    assert wire.decode_manifest(wire.encode_manifest(manifest)) == manifest


def test_a_manifest_knows_its_blobs_its_size_and_its_kinds():
    template = Layer("application/vnd.ollama.image.prompt", "sha256:56", 10)
    foreign = Layer("application/vnd.example", "sha256:78", 1)
    manifest = Manifest(2, config=CONFIG, layers=(WEIGHTS, template, foreign))

    assert manifest.blobs == (WEIGHTS, template, foreign, CONFIG)
    assert manifest.size_bytes == 1234 + 10 + 1 + 485
    assert (manifest.of_kind("model"), manifest.of_kind("template")) == ((WEIGHTS,), (template,))
    assert foreign.kind == "application/vnd.example"


def test_a_manifest_without_config_has_only_its_layers():
    assert Manifest(2, layers=(WEIGHTS,)).blobs == (WEIGHTS,)


def test_a_config_leaves_out_what_is_empty_and_may_be():
    assert wire.encode_config(Config("gguf", "llama", ("llama",), "8.0B", "Q4_K_M")) == (
        b'{"model_format":"gguf","model_family":"llama","model_families":["llama"],"model_type":"8.0B",'
        b'"file_type":"Q4_K_M","architecture":"amd64","os":"linux"}\n'
    )
    assert b'"model_families":null' in wire.encode_config(Config())


def test_a_config_keeps_its_optional_keys_in_order():
    config = Config(renderer="r", parser="p", capabilities=("vision",), context_length=4096)

    assert b'"renderer":"r","parser":"p","capabilities":["vision"],"context_length":4096,"architecture"' in (
        wire.encode_config(config)
    )
    assert wire.decode_config(wire.encode_config(config)) == config


def test_a_config_may_hold_nulls_and_unknown_keys():
    found = wire.decode_config(b'{"renderer":null,"model_families":null,"rootfs":{"a":[]},"model_type":"7B"}')

    assert found == Config(model_type="7B")


def test_params_and_messages_read_back():
    params = {"stop": ["a", "b"], "temperature": 0.5, "num_ctx": 8192}
    messages = (("user", "hi"), ("assistant", "ho"))

    assert wire.encode_params(params) == b'{"stop":["a","b"],"temperature":0.5,"num_ctx":8192}\n'
    assert wire.decode_params(wire.encode_params(params)) == params
    assert wire.encode_messages(messages) == (b'[{"role":"user","content":"hi"},{"role":"assistant","content":"ho"}]\n')
    assert wire.decode_messages(wire.encode_messages(messages)) == messages


@pytest.mark.parametrize("data", [b"", b"7", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 100_000])
@pytest.mark.parametrize("decode", [wire.decode_manifest, wire.decode_config, wire.decode_params, wire.decode_messages])
def test_what_cannot_be_read_is_bad_input(decode, data):
    with pytest.raises(InvalidInput):
        decode(data)
