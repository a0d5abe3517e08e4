"""Models that others made, as OCI artefacts: which of their layers is what, and their config.

Docker     application/vnd.docker.ai.…                       a file a layer
ModelPack  application/vnd.cncf.model.… and …vnd.cnai.model.…   a file a layer, named by an annotation
RamaLama   application/vnd.ramalama.model.…, or an image      a file a layer, or files in a tar layer
"""

import re
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from ollamapy.errors import InvalidInput
from ollamapy.names import Digest

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
DOCKER_CONFIG = "application/vnd.docker.ai.model.config.v0.1+json"
DOCKER = "application/vnd.docker.ai."
OTHERS = (DOCKER, "application/vnd.oci.", "application/vnd.cncf.", "application/vnd.cnai.", "application/vnd.ramalama.")
"""How the media types of configs begin that are not Ollama's."""
DOCKER_TYPES = {
    "model": f"{DOCKER}gguf.v3",
    "adapter": f"{DOCKER}gguf.v3.lora",
    "projector": f"{DOCKER}mmproj",
    "license": f"{DOCKER}license",
    "jinja": f"{DOCKER}chat.template.jinja",
}
"""What `push --format docker` writes."""

Kind = Literal["model", "adapter", "projector", "license", "jinja"]

_KINDS: dict[str, Kind] = {
    f"{DOCKER}gguf.v3": "model",
    f"{DOCKER}gguf.v3.lora": "adapter",
    f"{DOCKER}gguf.v3.mmproj": "projector",
    f"{DOCKER}mmproj": "projector",
    f"{DOCKER}license": "license",
    f"{DOCKER}chat.template.jinja": "jinja",
    "application/vnd.ramalama.model.gguf": "model",
}
_FILES = ("application/octet-stream", f"{DOCKER}model.file")
_RAW = re.compile(r"application/vnd\.(?:cncf|cnai)\.model\.(?:weight|doc)\.v1\.raw\Z")
_TAR = re.compile(
    r"application/(?:vnd\.oci\.image\.layer\.v1\.tar|vnd\.docker\.image\.rootfs\.diff\.tar"
    r"|vnd\.(?:cncf|cnai)\.model\.(?:weight|layer)\.v1\.tar)(?:[+.]gzip)?\Z"
)


def kind_of(media_type: str, title: str) -> Kind | None:
    """What a layer of others is, by its media type, or for files of any kind by its name; None for other layers."""
    kind = _KINDS.get(media_type)
    if kind == "model" and "mmproj" in title.lower():
        return "projector"
    if kind or not (media_type in _FILES or _RAW.match(media_type)):
        return kind
    name = title.rpartition("/")[2].lower()
    if name.endswith(".gguf"):
        return "projector" if "mmproj" in name else "model"
    return "license" if name.startswith(("license", "licence")) else None


def is_archive(media_type: str) -> bool:
    """True for a tar archive, packed with gzip or not, that may hold a model."""
    return bool(_TAR.match(media_type))


class _Platform(msgspec.Struct):
    os: str = ""
    architecture: str = ""


class _Entry(msgspec.Struct):
    digest: str
    platform: _Platform | None = None


class _Index(msgspec.Struct):
    manifests: tuple[_Entry, ...] = ()


def choose_platform(data: bytes) -> str:
    """The digest of the manifest in an index that is a model: weights are the same on all platforms.

    The first one, but for attestations, whose platform is unknown. Raises InvalidInput.
    """
    try:
        entries = msgspec.json.decode(data, type=_Index).manifests
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput(str(error)) from error
    found = [entry.digest for entry in entries if entry.platform is None or entry.platform.os != "unknown"]
    if not found:
        raise InvalidInput("the index lists no manifest")
    return str(Digest.parse(found[0]))


class _Inner(msgspec.Struct):
    format: str = ""
    architecture: str = ""
    parameters: str = ""
    quantization: str = ""


class _DockerConfig(msgspec.Struct):
    config: _Inner = msgspec.field(default_factory=_Inner)


def docker_fields(data: bytes) -> dict[str, Any]:
    """The fields of our config that a Docker model's config has. Raises msgspec.DecodeError."""
    inner = msgspec.json.decode(data, type=_DockerConfig).config
    family = inner.architecture
    return {
        "model_format": inner.format or "gguf",
        "model_family": family,
        "model_families": (family,) if family else None,
        "model_type": inner.parameters.replace(" ", ""),
        "file_type": inner.quantization,
    }


def encode_docker_config(
    *, architecture: str, parameters: str, quantization: str, size: str, created: str, files: Sequence[str]
) -> bytes:
    """The bytes of a Docker model's config. `files` are the digests of the layers, `created` is a time of RFC 3339."""
    config = {"format": "gguf", "architecture": architecture, "parameters": parameters}
    config |= {"quantization": quantization, "size": size}
    rootfs = {"type": "rootfs", "diff_ids": list(files)}
    return msgspec.json.encode({"config": config, "descriptor": {"created": created}, "rootfs": rootfs})
