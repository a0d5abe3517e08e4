"""A stored model as Docker's model artefact: the same blobs under its media types, and a config of its own. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from ollamapy.actions.headers import Subject
from ollamapy.errors import InvalidInput
from ollamapy.units import format_bytes
from ollamapy.wire.artefact import DOCKER_CONFIG, DOCKER_TYPES, OCI_MANIFEST, encode_docker_config
from ollamapy.wire.manifest import Layer, Manifest, encode_manifest


@dataclass(frozen=True, slots=True)
class Artefact:
    """The bytes of the config, and the layers that lie in the store. `left_out` are kinds that have no place in it."""

    config: bytes
    layers: tuple[Layer, ...]
    left_out: tuple[str, ...]

    def manifest(self, digest: str) -> bytes:
        """The manifest, given the digest of the config."""
        config = Layer(DOCKER_CONFIG, digest, len(self.config))
        return encode_manifest(Manifest(2, OCI_MANIFEST, config, self.layers))


def docker_artefact(subject: Subject) -> Artefact:
    """What `push --format docker` sends. Raises InvalidInput for a model that has no weights for it."""
    stored = subject.model.manifest
    kept = [layer for layer in stored.manifest.layers if layer.kind in DOCKER_TYPES]
    if not any(layer.kind == "model" for layer in kept):
        raise InvalidInput(f"{subject.model.name.short} has no GGUF file, which Docker's format wants")
    layers = tuple(_renamed(layer) for layer in kept)
    left_out = dict.fromkeys(layer.kind for layer in stored.manifest.layers if layer.kind not in DOCKER_TYPES)
    return Artefact(_config(subject, layers, stored.modified), layers, tuple(left_out))


def _renamed(layer: Layer) -> Layer:
    return msgspec.structs.replace(layer, media_type=DOCKER_TYPES[layer.kind], source=msgspec.UNSET)


def _config(subject: Subject, layers: Sequence[Layer], modified: float) -> bytes:
    """`modified`, a Unix time, makes the same model the same bytes every time."""
    config = subject.model.config
    weights = sum(layer.size for layer in layers if layer.kind == "model")
    return encode_docker_config(
        architecture=subject.file.architecture,
        parameters=config.model_type,
        quantization=config.file_type,
        size=format_bytes(weights),
        created=datetime.fromtimestamp(int(modified), UTC).isoformat().replace("+00:00", "Z"),
        files=[layer.digest for layer in layers],
    )
