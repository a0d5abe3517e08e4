"""Manifest and config blob: the JSON that the store keeps on disk, in Ollama's own form."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ollamapy.errors import InvalidInput
from ollamapy.wire.artefact import DOCKER_CONFIG, OTHERS, docker_fields, kind_of
from ollamapy.wire.shards import Shard

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
TITLE = "org.opencontainers.image.title"
"""The annotation for a layer's file name, by which OCI clients save it."""
_FILE_PATH = "org.cncf.model.filepath"
_LAYER = "application/vnd.ollama.image."


class Layer(msgspec.Struct, frozen=True, rename={"media_type": "mediaType", "source": "from"}):
    """One blob of a model. `source` is the short name of the model that it came from."""

    media_type: str
    digest: str
    size: int
    source: str | msgspec.UnsetType = msgspec.UNSET
    annotations: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET

    @property
    def title(self) -> str:
        """The name of the file that the layer holds, empty when nothing says it."""
        named = self.annotations or {}
        title = named.get(TITLE) or named.get(_FILE_PATH) or ""
        return title if isinstance(title, str) else ""

    @property
    def kind(self) -> str:
        """`model`, `template` (also the old `prompt`), `params` …; the whole media type when nobody knows it."""
        if not self.media_type.startswith(_LAYER):
            return kind_of(self.media_type, self.title) or self.media_type
        kind = self.media_type.removeprefix(_LAYER)
        return "template" if kind == "prompt" else kind


def layer_type(kind: str) -> str:
    """The media type of a layer of this kind."""
    return _LAYER + kind


class Manifest(msgspec.Struct, frozen=True, rename="camel"):
    """The layers of a model. Reading ignores unknown fields, so keep the bytes of what was pulled beside it."""

    schema_version: int
    media_type: str = MANIFEST_TYPE
    config: Layer | None = None
    layers: tuple[Layer, ...] = ()

    @property
    def blobs(self) -> tuple[Layer, ...]:
        """All layers and the config."""
        return self.layers + ((self.config,) if self.config else ())

    @property
    def size_bytes(self) -> int:
        """Sum of the sizes that the manifest states."""
        return sum(layer.size for layer in self.blobs)

    @property
    def weights(self) -> tuple[Layer, ...]:
        """The files of the model's weights: one, or all parts in order.

        Layers are parts when the last one is named so, or is not Ollama's own kind; else the last one counts.
        """
        layers = self.of_kind("model")
        last = layers[-1:]
        is_split = any(Shard.of(layer.title) or not layer.media_type.startswith(_LAYER) for layer in last)
        return layers if is_split else last

    def of_kind(self, kind: str) -> tuple[Layer, ...]:
        """The layers of one kind, in order."""
        return tuple(layer for layer in self.layers if layer.kind == kind)


class Config(msgspec.Struct, frozen=True):
    """The config blob. Key order, and which empty keys are left out, is part of the format: see `encode_config`."""

    model_format: str = ""
    model_family: str = ""
    model_families: tuple[str, ...] | None = None
    model_type: str = ""
    file_type: str = ""
    renderer: str = ""
    parser: str = ""
    requires: str = ""
    remote_host: str = ""
    remote_model: str = ""
    capabilities: tuple[str, ...] = ()
    context_length: int = 0
    embedding_length: int = 0
    base_name: str = ""
    architecture: str = "amd64"
    os: str = "linux"


_ALWAYS = frozenset({"model_format", "model_family", "model_families", "model_type", "file_type", "architecture", "os"})


def encode_manifest(manifest: Manifest) -> bytes:
    """The bytes of a manifest made here: compact JSON, fixed key order, one newline."""
    return msgspec.json.encode(manifest) + b"\n"


def encode_config(config: Config) -> bytes:
    """The bytes of a config blob: compact JSON, fixed key order, empty optional keys left out, one newline."""
    fields = {name: getattr(config, name) for name in config.__struct_fields__}
    return msgspec.json.encode({k: v for k, v in fields.items() if v or k in _ALWAYS}) + b"\n"


def encode_params(params: Mapping[str, Any]) -> bytes:
    """The bytes of a `params` layer: one JSON object, one newline."""
    return msgspec.json.encode(params) + b"\n"


def encode_messages(messages: Iterable[tuple[str, str]]) -> bytes:
    """The bytes of a `messages` layer: a list of `{"role","content"}`, one newline."""
    return msgspec.json.encode([_Message(role, content) for role, content in messages]) + b"\n"


def decode_manifest(data: bytes) -> Manifest:
    """The manifest in `data`. Raises InvalidInput."""
    manifest: Manifest = _decode(data, Manifest)
    return manifest


def decode_config(data: bytes, media_type: str = CONFIG_TYPE) -> Config:
    """The config in `data`; unknown keys are ignored, null is empty. Raises InvalidInput.

    That of another program's artefact says what a Docker model's says, or nothing.
    """
    if media_type == DOCKER_CONFIG:
        return _decode_docker(data)
    if media_type.startswith(OTHERS):
        return Config()
    fields = {key: value for key, value in _decode(data, dict[str, Any]).items() if value is not None}
    config: Config = _decode(msgspec.json.encode(fields), Config)
    return config


def _decode_docker(data: bytes) -> Config:
    try:
        return Config(**docker_fields(data))
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput(str(error)) from error


def decode_params(data: bytes) -> dict[str, Any]:
    """What a `params` layer holds. Raises InvalidInput."""
    return _decode(data, dict[str, Any] | None) or {}


def decode_messages(data: bytes) -> tuple[tuple[str, str], ...]:
    """The pairs of role and content of a `messages` layer. Raises InvalidInput."""
    return tuple((each.role, each.content) for each in _decode(data, list[_Message] | None) or ())


class _Message(msgspec.Struct, frozen=True):
    role: str = ""
    content: str = ""


def _decode(data: bytes, type_: Any) -> Any:
    try:
        return msgspec.json.decode(data, type=type_)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput(str(error)) from error
