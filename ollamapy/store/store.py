"""The model directory as a whole: names to models, and every change that touches blobs and manifests together.

Everything blocks, so actions run it in threads; it may be called from any number of them. One daemon uses a directory
at a time, from `start` to `close`.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from ollamapy.errors import NotFound, StoreError
from ollamapy.names import Digest, ModelName
from ollamapy.store import prune
from ollamapy.store.blobs import Blobs, hash_file
from ollamapy.store.files import disk_faults, make_folder
from ollamapy.store.layout import Layout
from ollamapy.store.lock import StoreLock
from ollamapy.store.manifests import Manifests, StoredManifest
from ollamapy.store.model import StoredModel, load_config, load_model
from ollamapy.store.pulled import Pulled
from ollamapy.wire.manifest import Config, Layer

_WEIGHTS = ("model", "projector", "adapter", "draft")

__all__ = ["Store", "StoredManifest", "StoredModel"]


class Store:
    """A model directory. `blobs` and `manifests` are its two halves."""

    __slots__ = ("_held", "_lock", "blobs", "layout", "manifests", "pulled")

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.blobs = Blobs(self.layout)
        self.manifests = Manifests(self.layout)
        self.pulled = Pulled(self.layout)
        self._lock = StoreLock(self.layout.lock)
        self._held: Counter[Digest] = Counter()

    def start(self, *, noprune: bool = False, now: float | None = None) -> None:
        """Takes the directory for this process, brings old blob names up to date, and prunes.

        Raises StoreError when another daemon has it or the disk refuses.
        """
        self._lock.acquire()
        try:
            with disk_faults(f"use the model directory {self.layout.root}"):
                make_folder(self.layout.blobs)
            self.blobs.rename_old()
            if not noprune:
                self.prune_unused(time.time() if now is None else now)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Lets another daemon have the directory."""
        self._lock.release()

    def resolve(self, name: ModelName) -> StoredModel:
        """The model of that name, in any case. Raises NotFound, StoreError when a blob is missing or unreadable."""
        with self.manifests.lock:  # a model that is being deleted is there, or it is not
            return load_model(self.manifests.read(name), self.blobs)

    def verify(self, model: StoredModel) -> None:
        """Reads the weights of a model if nobody has yet. Raises StoreError that names model, blob and remedy."""
        for layer in model.manifest.manifest.layers:
            if layer.kind in _WEIGHTS:
                self._verify(model.name, layer)

    def _verify(self, name: ModelName, layer: Layer) -> None:
        digest = Digest.parse(layer.digest)
        try:
            if not self._is_whole(digest, layer.size):
                raise StoreError(f"the blob {digest} is missing or does not have its {layer.size} bytes")
            self.blobs.verify(digest)
        except StoreError as error:
            problem = f"the {layer.kind} blob of the model {name.short} cannot be used: {error.message}"
            raise StoreError(problem, hint=error.hint or "ollamapy fsck --repair mends it") from error

    def config(self, stored: StoredManifest) -> Config:
        """The config of a model that need not be whole. Raises StoreError."""
        return load_config(stored, self.blobs)

    def link(self, name: ModelName, raw: bytes, *, noprune: bool = False) -> ModelName:
        """Makes `raw` the manifest of `name`; then blobs of the manifest it had before go, if nothing uses them.

        Answers the spelling that was used. Raises StoreError, also when a blob that `raw` lists is missing.
        """
        with self.manifests.lock:
            before = self._digests(name)
            name = self.manifests.link(name, raw)
            if not noprune:
                self.remove_unused(before)
        return name

    def copy(self, source: ModelName, destination: ModelName) -> None:
        """Gives the model `source` a second name. Raises NotFound, StoreError."""
        self.manifests.copy(source, destination)

    def delete(self, name: ModelName) -> None:
        """Removes the model and the blobs that only it used. Raises NotFound, StoreError."""
        prune.delete(self.blobs, self.manifests, name, self._held_digests)

    def used_digests(self) -> set[Digest]:
        """Every blob that a readable manifest lists."""
        return prune.used_digests(self.manifests)

    def remove_unused(self, candidates: Iterable[Digest]) -> list[Digest]:
        """Removes those of `candidates` that no model uses, and answers them. Raises StoreError."""
        return prune.remove_unused(self.blobs, self.manifests, candidates, self._held_digests)

    def prune_unused(self, now: float) -> list[Path]:
        """What a start removes, `now` being the Unix time; answers what went. Raises StoreError."""
        return prune.prune(self.blobs, self.manifests, now, self._held_digests)

    @contextlib.contextmanager
    def holding(self, digests: Iterable[Digest]) -> Iterator[None]:
        """Until the block ends, no clean-up removes these blobs: somebody works with them. Safe from any thread."""
        mine = Counter(set(digests))
        with self.manifests.lock:
            self._held += mine
        try:
            yield
        finally:
            with self.manifests.lock:
                self._held -= mine

    def is_held(self, path: Path) -> bool:
        """True for a blob that somebody works with, and for what is unfinished of it."""
        return prune.is_of(path, self._held_digests())

    def _held_digests(self) -> set[Digest]:
        return set(self._held)

    def check(self, *, contents: bool = False) -> None:
        """Raises StoreError unless every model is whole, and with `contents` every blob is what its name says."""
        faults = self.manifests.broken()
        for stored in self.manifests.all():
            faults += [f"{stored.name}: {fault}" for fault in self._missing(stored)]
        if contents:
            faults += [f"{d} has other content" for d in self.blobs.digests() if hash_file(self.blobs.path(d)) != d]
        if faults:
            raise StoreError(f"the model directory {self.layout.root} is damaged: " + "; ".join(faults))

    def _digests(self, name: ModelName) -> set[Digest]:
        """The blobs of a model that may be absent or broken."""
        try:
            return set(self.manifests.read(name).blobs)
        except (NotFound, StoreError):
            return set()

    def _missing(self, stored: StoredManifest) -> list[str]:
        wanted = {digest: layer.size for digest, layer in stored.blobs.items()}
        return [f"{d} is missing or cut" for d, size in wanted.items() if not self._is_whole(d, size)]

    def _is_whole(self, digest: Digest, size_bytes: int) -> bool:
        return self.blobs.has(digest) and self.blobs.size(digest) == size_bytes

    def __repr__(self) -> str:
        return f"<Store {self.layout.root} {len(self.manifests.names())} models>"
