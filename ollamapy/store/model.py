"""A stored model with everything its manifest lists, read and ready to use. Never writes."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ollamapy.errors import InvalidInput, NotFound, Refused, StoreError
from ollamapy.names import Digest, ModelName
from ollamapy.store.blobs import Blobs
from ollamapy.store.manifests import StoredManifest
from ollamapy.wire.manifest import Config, Layer, decode_config, decode_messages, decode_params

_T = TypeVar("_T")
_UNSUPPORTED = ("tensor", "json")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model that can be used. Paths are those of blobs; `messages` are pairs of role and content."""

    name: ModelName
    manifest: StoredManifest
    config: Config
    adapter_paths: tuple[Path, ...]
    projector_paths: tuple[Path, ...]
    draft_path: Path | None
    template: str | None
    system: str
    params: dict[str, Any]
    messages: tuple[tuple[str, str], ...]
    licenses: tuple[str, ...]
    weight_paths: tuple[Path, ...]
    """All files of the weights in order: several when the model is split."""
    jinja: str | None = None
    """A chat template that takes the place of the weights' own."""

    @property
    def model_path(self) -> Path:
        """The file of weights that has the metadata, the first."""
        return self.weight_paths[0]

    @property
    def shard_paths(self) -> tuple[Path, ...]:
        """All files of a model that is split; none of one that is not."""
        return self.weight_paths if len(self.weight_paths) > 1 else ()


def load_model(stored: StoredManifest, blobs: Blobs) -> StoredModel:
    """The model of a manifest. Raises StoreError that names model and blob when one is missing or unreadable.

    A model that lives in Ollama's cloud has no weights; it is Refused.
    """
    reader = _LayerReader(stored, blobs)
    reader.check_layers()
    config = load_config(stored, blobs)
    if config.remote_host or config.remote_model:
        raise Refused("ollama cloud is disabled: remote model is unavailable")
    return StoredModel(
        name=stored.name,
        manifest=stored,
        config=config,
        adapter_paths=reader.paths("adapter"),
        projector_paths=reader.paths("projector"),
        draft_path=next(reversed(reader.paths("draft")), None),
        template=reader.text("template"),
        system=reader.text("system") or "",
        params=reader.json("params", decode_params) or {},
        messages=reader.json("messages", decode_messages) or (),
        licenses=reader.texts("license"),
        weight_paths=reader.weight_paths(),
        jinja=reader.text("jinja"),
    )


def load_config(stored: StoredManifest, blobs: Blobs) -> Config:
    """The config of a manifest; an empty one when it lists none. Raises StoreError."""
    layer = stored.manifest.config
    if layer is None or not layer.digest:
        return Config()
    return _LayerReader(stored, blobs).decoded(layer, "config", partial(decode_config, media_type=layer.media_type))


@dataclass(frozen=True, slots=True)
class _LayerReader:
    """Reads layers by kind. Where one is allowed and several are there, the last one counts, as in Ollama."""

    stored: StoredManifest
    blobs: Blobs

    def check_layers(self) -> None:
        """Raises StoreError unless every blob is there. What is passed over is logged."""
        for layer in self.stored.manifest.layers:
            if layer.kind == "embed":
                log.info("layer ignored model=%s kind=embed", self.stored.name)
            elif not self.blobs.has(Digest.parse(layer.digest)):
                raise self._fault(layer, layer.kind, "is missing")

    def weight_paths(self) -> tuple[Path, ...]:
        if layers := self.stored.manifest.weights:
            return tuple(self.blobs.path(Digest.parse(layer.digest)) for layer in layers)
        kinds = {layer.kind for layer in self.stored.manifest.layers}
        if kinds.intersection(_UNSUPPORTED):
            raise StoreError(f"the model {self.stored.name.short} is made of safetensors, which is not supported")
        raise StoreError(f"the model {self.stored.name.short} has no weights")

    def paths(self, kind: str) -> tuple[Path, ...]:
        layers = self.stored.manifest.of_kind(kind)
        return tuple(self.blobs.path(Digest.parse(layer.digest)) for layer in layers)

    def text(self, kind: str) -> str | None:
        return next(reversed(self.texts(kind)), None)

    def texts(self, kind: str) -> tuple[str, ...]:
        """Bytes that are not UTF-8 are replaced: a licence in another encoding must not make a model unusable."""
        layers = self.stored.manifest.of_kind(kind)
        return tuple(self._read(layer, kind).decode("utf-8", "replace") for layer in layers)

    def json(self, kind: str, decode: Callable[[bytes], _T]) -> _T | None:
        layers = self.stored.manifest.of_kind(kind)
        return self.decoded(layers[-1], kind, decode) if layers else None

    def decoded(self, layer: Layer, kind: str, decode: Callable[[bytes], _T]) -> _T:
        data = self._read(layer, kind)
        try:
            return decode(data)
        except InvalidInput as error:
            raise self._fault(layer, kind, f"cannot be read: {error}") from error

    def _read(self, layer: Layer, kind: str) -> bytes:
        try:
            return self.blobs.read(Digest.parse(layer.digest))
        except NotFound as error:
            raise self._fault(layer, kind, "is missing") from error

    def _fault(self, layer: Layer, kind: str, what: str) -> StoreError:
        name = self.stored.name.short
        problem = f"the {kind} blob {layer.digest} of the model {name} {what}"
        return StoreError(problem, hint=f"pull or create {name} again")
