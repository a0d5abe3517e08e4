"""The manifests: which blobs make up which model. A model is there when its manifest is, so it is written last.

Owns the files in `manifests/`, and `lock`, which makes "is this blob used?" and what follows from the answer one
step: actions run in threads, and a blob must not go while another thread links a manifest that lists it.
"""

import contextlib
import hashlib
import logging
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from pathlib import Path

from ollamapy.errors import InvalidInput, InvalidName, NotFound, StoreError
from ollamapy.names import Digest, ModelName
from ollamapy.store.files import StagedFile, disk_faults, make_folder, sync_folder
from ollamapy.store.layout import Layout
from ollamapy.store.stamps import Stamp, stamp_of
from ollamapy.wire.manifest import Layer, Manifest, decode_manifest

MAX_MANIFEST_BYTES = 4 << 20
_PARTS = ("host", "namespace", "model", "tag")
_Parts = tuple[str, ...]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest as it lies on disk: `raw` are its bytes, `digest` their sha256 in hex, `modified` the Unix time."""

    name: ModelName
    manifest: Manifest
    digest: str
    raw: bytes
    modified: float

    @property
    def blobs(self) -> dict[Digest, Layer]:
        """The blobs that it lists, layers and config."""
        return digests_of(self.manifest)


class Manifests:
    """The manifests of one model directory. Names are taken in any case, as the store's rule says. Blocks."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.lock = threading.RLock()
        self._warned: set[Path] = set()

    def read(self, name: ModelName) -> StoredManifest:
        """The manifest of `name`. Raises NotFound, StoreError when it is there and broken."""
        name = self.resolve_spelling(name)
        with disk_faults(f"read the manifest of {name.short}"):
            try:
                return self._read(name)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
                raise not_found(name) from error

    def link(self, name: ModelName, raw: bytes) -> ModelName:
        """Makes `raw` the manifest of `name`, instead of the one it has; answers the spelling that was used.

        Raises StoreError when `raw` is no manifest, when a blob that it lists is missing, or for the disk.
        """
        with self.lock:
            self._require_blobs(name, _decode(raw, name.short))
            name = self.resolve_spelling(name)
            self._write(name, raw)
        return name

    def unlink(self, name: ModelName) -> None:
        """Removes the manifest of `name` and folders that are empty then. Raises NotFound, StoreError."""
        with self.lock, disk_faults(f"remove the manifest of {name.short}"):
            path = self.layout.manifest(self.resolve_spelling(name))
            if not path.is_file():
                raise not_found(name)
            path.unlink()
            sync_folder(path.parent)
            self.remove_empty_folders()

    def copy(self, source: ModelName, destination: ModelName) -> None:
        """Gives the model `source` a second name; what had that name loses it. Raises NotFound, StoreError."""
        with self.lock:
            stored = self.read(source)
            destination = self.resolve_spelling(destination)
            if destination.path != stored.name.path:
                self._write(destination, stored.raw)

    def all(self, names: Iterable[ModelName] | None = None) -> Iterator[StoredManifest]:
        """Every manifest, or those of `names`, by path. What cannot be read is passed over with a warning."""
        for name in self.names() if names is None else names:
            try:
                yield self._read(name)
            except FileNotFoundError:
                continue
            except (OSError, StoreError) as error:
                self._warn(self.layout.manifest(name), str(error))

    def broken(self) -> list[str]:
        """What keeps the list of models from being certain: manifests and folders that cannot be read."""
        found: list[str] = []
        for name in self.names(found):
            try:
                self._read(name)
            except (OSError, StoreError) as error:
                found.append(str(error))
        return found

    def names(self, unreadable: list[str] | None = None) -> list[ModelName]:
        """The names that have a manifest, by path. Folders that cannot be read are added to `unreadable`."""
        return [name for name, _ in self._files([] if unreadable is None else unreadable)]

    def stamped(self) -> dict[ModelName, Stamp]:
        """The names that have a manifest, by path, with what tells whether its file is still the same."""
        found: dict[ModelName, Stamp] = {}
        for name, entry in self._files([]):
            with contextlib.suppress(OSError):  # it has just been removed
                found[name] = stamp_of(entry.stat())
        return found

    def resolve_spelling(self, name: ModelName) -> ModelName:
        """`name` in the spelling of the manifests that are there.

        1. the exact spelling has a manifest: that one
        2. another case of it has: that one
        3. else every part takes the case in which some manifest has it, so that new names join existing folders
        """
        if self._is_exact(name):
            return name
        existing = self.names()
        for other in existing:
            if other.key == name.key:
                return name.with_parts(*(getattr(other, part) for part in _PARTS))
        return name.with_parts(*(_spelled(getattr(name, part), part, existing) for part in _PARTS))

    def remove_empty_folders(self) -> None:
        """Removes every empty folder that can be removed, `manifests` included; links to folders stay."""
        with self.lock:
            for folder, _, _ in os.walk(self.layout.manifests, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)

    def _is_exact(self, name: ModelName) -> bool:
        """Compares with the folder's own list: a disk that ignores case would say yes to any spelling."""
        folder = self.layout.manifests
        for part in name.path.parts:
            try:
                if part not in os.listdir(folder):
                    return False
            except OSError:
                return False
            folder /= part
        return True

    def _read(self, name: ModelName) -> StoredManifest:
        path = self.layout.manifest(name)
        with path.open("rb") as file:
            raw = file.read(MAX_MANIFEST_BYTES + 1)
            modified = os.fstat(file.fileno()).st_mtime
        manifest = _decode(raw, name.short)
        return StoredManifest(name, manifest, hashlib.sha256(raw).hexdigest(), raw, modified)

    def _write(self, name: ModelName, raw: bytes) -> None:
        target = self.layout.manifest(name)
        with disk_faults(f"write the manifest of {name.short}"):
            make_folder(target.parent)
            make_folder(self.layout.blobs)
            with StagedFile(self.layout.temporary(self._staging(target.parent))) as file:
                file.write(raw)
                file.publish(target)

    def _staging(self, folder: Path) -> Path:
        """Where a file for `folder` is written first: among the blobs, where pruning finds what a crash leaves.

        A model folder may be a link to another disk; a file cannot be renamed across disks.
        """
        blobs = self.layout.blobs
        return blobs if blobs.stat().st_dev == folder.stat().st_dev else folder

    def _require_blobs(self, name: ModelName, manifest: Manifest) -> None:
        for digest, layer in digests_of(manifest).items():
            with disk_faults(f"link {name.short}, its blob {digest} is missing"):
                size = self.layout.blob(digest).stat().st_size
            if size != layer.size:
                raise StoreError(
                    f"cannot link {name.short}: its blob {digest} has {size} bytes, the manifest says {layer.size}"
                )

    def _files(self, unreadable: list[str]) -> list[tuple[ModelName, os.DirEntry[str]]]:
        """The manifests' files, by path."""
        found = sorted(self._entries(str(self.layout.manifests), (), unreadable), key=itemgetter(0))
        named = [(_name_at(parts), entry) for parts, entry in found]
        for name, entry in named:
            if name is None:
                self._warn(Path(entry.path), "not a model name")
        return [(name, entry) for name, entry in named if name is not None]

    def _entries(self, folder: str, above: _Parts, unreadable: list[str]) -> Iterator[tuple[_Parts, os.DirEntry[str]]]:
        """The files at the depth of manifests, through linked folders too."""
        try:
            entries = list(os.scandir(folder))
        except FileNotFoundError:
            return
        except OSError as error:
            unreadable.append(f"{folder}: {error.strerror}")
            return
        for entry in entries:
            parts = (*above, entry.name)
            is_deep = len(parts) == len(_PARTS)
            if not is_deep and entry.is_dir():
                yield from self._entries(entry.path, parts, unreadable)
            elif is_deep and entry.is_file():
                yield parts, entry
            elif entry.is_symlink() and not os.path.exists(entry.path):
                unreadable.append(f"{entry.path}: a link to nothing")
            else:
                self._warn(Path(entry.path), "not a manifest")

    def _warn(self, path: Path, reason: str) -> None:
        """Once per path: lists are asked for often."""
        if path not in self._warned:
            self._warned.add(path)
            log.warning("manifest ignored path=%s reason=%r", path, reason)

    def __repr__(self) -> str:
        return f"<Manifests {self.layout.manifests} {len(self.names())} models>"


def digests_of(manifest: Manifest) -> dict[Digest, Layer]:
    """The blobs that a manifest lists. Raises InvalidDigest."""
    config = manifest.config
    layers = manifest.blobs if config and config.digest else manifest.layers
    return {Digest.parse(layer.digest): layer for layer in layers}


def not_found(name: ModelName) -> NotFound:
    """The error for a model that is not here."""
    return NotFound(f"model '{name.short}' not found", hint=f"ollamapy pull {name.short} fetches it")


def _decode(raw: bytes, name: str) -> Manifest:
    if len(raw) > MAX_MANIFEST_BYTES:
        raise StoreError(f"the manifest of {name} is larger than {MAX_MANIFEST_BYTES} bytes")
    try:
        manifest = decode_manifest(raw)
        digests_of(manifest)
    except InvalidInput as error:
        raise StoreError(f"the manifest of {name} is broken: {error}") from error
    return manifest


@lru_cache(maxsize=4096)
def _name_at(parts: _Parts) -> ModelName | None:
    try:
        return ModelName.from_path(parts)
    except InvalidName:
        return None


def _spelled(text: str, part: str, existing: list[ModelName]) -> str:
    spellings = [getattr(name, part) for name in existing]
    if text in spellings:
        return text
    return next((other for other in spellings if other.lower() == text.lower()), text)
