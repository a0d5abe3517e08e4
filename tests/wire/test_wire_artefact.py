"""What the layers of other programs' artefacts are, and what their configs say."""

import msgspec
import pytest

from ollamapy.errors import InvalidInput
from ollamapy.wire.artefact import DOCKER_CONFIG, choose_platform, encode_docker_config, is_archive
from ollamapy.wire.manifest import TITLE, Config, Layer, decode_config

RAW = "application/vnd.cncf.model.weight.v1.raw"


@pytest.mark.parametrize(
    ("media_type", "title", "kind"),
    [
        ("application/vnd.docker.ai.gguf.v3", "", "model"),
        ("application/vnd.docker.ai.gguf.v3.lora", "", "adapter"),
        ("application/vnd.docker.ai.gguf.v3.mmproj", "", "projector"),
        ("application/vnd.docker.ai.mmproj", "", "projector"),
        ("application/vnd.docker.ai.license", "", "license"),
        ("application/vnd.docker.ai.chat.template.jinja", "", "jinja"),
        ("application/vnd.docker.ai.model.file", "m.GGUF", "model"),
        ("application/vnd.ramalama.model.gguf", "", "model"),
        ("application/octet-stream", "models/m.gguf", "model"),
        (RAW, "m-Q4.gguf", "model"),
        (RAW, "sub/mmproj-m.gguf", "projector"),
        ("application/vnd.cncf.model.doc.v1.raw", "LICENSE.txt", "license"),
        (RAW, "README.md", RAW),
        ("application/octet-stream", "", "application/octet-stream"),
        ("application/vnd.docker.ai.safetensors", "m.gguf", "application/vnd.docker.ai.safetensors"),
        ("application/vnd.ollama.image.prompt", "", "template"),
        ("text/plain", "m.gguf", "text/plain"),
    ],
)
def test_layers_are_known_by_their_types_and_files_by_their_names(media_type: str, title: str, kind: str) -> None:
    assert Layer(media_type, "d", 1, annotations={TITLE: title}).kind == kind


@pytest.mark.parametrize("suffix", ["", "+gzip"])
def test_archives_are_layers_of_images(suffix: str) -> None:
    assert is_archive(f"application/vnd.oci.image.layer.v1.tar{suffix}")
    assert is_archive(f"application/vnd.cnai.model.weight.v1.tar{suffix}")
    assert is_archive("application/vnd.docker.image.rootfs.diff.tar.gzip")
    assert not is_archive("application/vnd.oci.image.layer.v1.tar+zstd")
    assert not is_archive(RAW)


def test_a_dockers_config_goes_there_and_back() -> None:
    data = encode_docker_config(
        architecture="llama",
        parameters="361.82M",
        quantization="Q4_K_M",
        size="256 MB",
        created="2026-01-01T00:00:00Z",
        files=["sha256:a"],
    )

    assert decode_config(data, DOCKER_CONFIG) == Config("gguf", "llama", ("llama",), "361.82M", "Q4_K_M")
    assert msgspec.json.decode(data)["rootfs"] == {"type": "rootfs", "diff_ids": ["sha256:a"]}


def test_configs_of_others_say_nothing_that_is_ours() -> None:
    assert decode_config(b'{"config":{"parameters":"361.82 M"}}', DOCKER_CONFIG).model_type == "361.82M"
    assert decode_config(b'{"config":{"entrypoint":[]}}', "application/vnd.oci.image.config.v1+json") == Config()
    with pytest.raises(InvalidInput):
        decode_config(b'{"config":3}', DOCKER_CONFIG)


def index(*entries: dict[str, object]) -> bytes:
    return msgspec.json.encode({"schemaVersion": 2, "manifests": entries})


def test_of_an_index_the_first_manifest_that_is_no_attestation_is_taken() -> None:
    one, two = (f"sha256:{digit * 64}" for digit in "12")
    attestation = {"digest": one, "platform": {"os": "unknown", "architecture": "unknown"}}

    assert choose_platform(index(attestation, {"digest": two, "platform": {"os": "linux"}})) == two
    assert choose_platform(index({"digest": one}, {"digest": two})) == one


@pytest.mark.parametrize(
    "data", [b"[", b'{"manifests":3}', index(), index({"digest": "sha256:../x"}), index({"platform": {}})]
)
def test_an_index_without_a_manifest_is_an_error(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        choose_platform(data)
