"""Model files that other programs of this machine have: Ollama's, LM Studio's, the Hugging Face cache, plain folders.

Only reads. What a file is called becomes its model's name; Ollama's models keep theirs.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from ollamapy.errors import InvalidInput
from ollamapy.names import Digest, ModelName
from ollamapy.store.layout import Layout
from ollamapy.store.manifests import Manifests
from ollamapy.wire.shards import Shard, siblings, without_number

_PLACES = (".ollama/models", ".lmstudio/models", ".cache/lm-studio/models", ".cache/huggingface/hub")


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A model that can be adopted. With a `manifest` it is Ollama's, and `digests` say what its files must be."""

    name: ModelName
    files: tuple[Path, ...]
    manifest: bytes = b""
    digests: tuple[Digest, ...] = ()


def default_places(home: Path) -> list[Path]:
    """Where other programs keep models, if they do."""
    return [path for place in _PLACES if (path := home / place).is_dir()]


def find(path: Path) -> Iterator[Neighbour]:
    """The models at `path`: a GGUF file, a folder of them, or Ollama's folder. Raises InvalidInput when it is none."""
    if path.is_file():
        yield Neighbour(name_for(path), tuple(path.parent / name for name in siblings(path.name)))
    elif (path / "manifests").is_dir():
        yield from _of_ollama(Layout(path))
    elif path.is_dir():
        yield from _of_folder(path)
    else:
        raise InvalidInput(f"{path} is no file and no folder")


def name_for(path: Path) -> ModelName:
    """The name of the model that a GGUF file becomes: its own, in lower case and in letters that names may have."""
    stem = PurePath(without_number(path.name)).stem
    stem = re.sub(r"[^a-z0-9_.-]+", "-", stem.lower()).lstrip("-.")[:80]
    return ModelName.parse(stem or "model")


def _of_ollama(layout: Layout) -> Iterator[Neighbour]:
    for stored in Manifests(layout).all():
        digests = tuple(stored.blobs)
        yield Neighbour(stored.name, tuple(map(layout.blob, digests)), stored.raw, digests)


def _of_folder(folder: Path) -> Iterator[Neighbour]:
    """Each file of weights, all parts of it, with the projector beside it.

    The cache of Hugging Face has one file under many names. A part without the others is passed over.
    """
    seen: set[Path] = set()
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".gguf" and path.is_file()):
        real = path.resolve()
        if real in seen or _is_projector(path) or not _is_whole(path):
            continue
        parts = tuple(path.parent / name for name in siblings(path.name))
        seen |= {part.resolve() for part in parts}
        beside = sorted(other for other in path.parent.iterdir() if _is_projector(other) and other.is_file())
        yield Neighbour(name_for(path), (*parts, *beside[:1]))


def _is_projector(path: Path) -> bool:
    return path.suffix.lower() == ".gguf" and "mmproj" in path.name.lower()


def lonely_shards(folder: Path) -> list[Path]:
    """Files that are parts of a model whose other parts are not there, so that it cannot be adopted."""
    if not folder.is_dir():
        return []
    parts = (path for path in folder.rglob("*") if Shard.of(path.name))
    return sorted(path for path in parts if not _is_whole(path))


def _is_whole(path: Path) -> bool:
    """True when all parts of the model of this file are beside it."""
    return all((path.parent / name).is_file() for name in siblings(path.name))
