"""The content of models: files named by their digest. A blob never changes; what has its name has its bytes.

Owns the files in `blobs/`. Never decides which of them are needed: that is `prune`.
"""

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ollamapy.errors import InvalidDigest, NotFound, StoreError
from ollamapy.names import Digest
from ollamapy.store.files import StagedFile, disk_faults, make_folder, sync_folder
from ollamapy.store.layout import Layout
from ollamapy.store.stamps import Stamps
from ollamapy.units import format_bytes

MAX_TEXT_BYTES = 16 << 20
"""The largest blob that is read into memory: templates, licences, configs. A manifest may claim anything."""
_CHUNK_BYTES = 1 << 20

log = logging.getLogger(__name__)


class BlobWriter:
    """A blob that is being written. Nothing of it stays unless `commit` returned."""

    __slots__ = ("_blobs", "_expected", "_file", "_hash", "size_bytes")

    def __init__(self, blobs: "Blobs", file: StagedFile, expected: Digest | None) -> None:
        self._blobs = blobs
        self._file = file
        self._expected = expected
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    def write(self, data: bytes) -> None:
        """Appends `data`. Raises StoreError."""
        with disk_faults(f"write {format_bytes(self.size_bytes + len(data))} into {self._blobs.folder}"):
            self._file.write(data)
        self._hash.update(data)
        self.size_bytes += len(data)

    def commit(self) -> Digest:
        """Names the blob by its digest. Raises InvalidDigest when another one was expected, StoreError."""
        digest = Digest(self._hash.hexdigest())
        _verify(self._expected, digest)
        if not self._blobs.reuse(digest, self.size_bytes):
            with disk_faults(f"write the blob {digest}"):
                self._file.publish(self._blobs.path(digest))
            self._blobs.stamps.put(digest)
        return digest


@dataclass(frozen=True, slots=True)
class Blobs:
    """The blobs of one model directory. Everything here blocks."""

    layout: Layout
    stamps: Stamps = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "stamps", Stamps(self.layout))

    @property
    def folder(self) -> Path:
        """Where the blobs lie."""
        return self.layout.blobs

    def has(self, digest: Digest) -> bool:
        """True when the blob is there."""
        return self.path(digest).is_file()

    def path(self, digest: Digest) -> Path:
        """Where the blob lies, if it is there."""
        return self.layout.blob(digest)

    def size(self, digest: Digest) -> int:
        """Bytes of the blob. Raises NotFound, StoreError."""
        with disk_faults(f"read the blob {digest}"):
            try:
                return self.path(digest).stat().st_size
            except FileNotFoundError as error:
                raise NotFound(f'blob "{digest}" not found') from error

    def read(self, digest: Digest) -> bytes:
        """The content of a small blob. Raises NotFound, StoreError when it is larger than MAX_TEXT_BYTES."""
        if (size := self.size(digest)) > MAX_TEXT_BYTES:
            raise StoreError(f"the blob {digest} should be a text, but has {format_bytes(size)}")
        with disk_faults(f"read the blob {digest}"):
            return self.path(digest).read_bytes()

    @contextlib.contextmanager
    def writer(self, expected: Digest | None = None) -> Iterator[BlobWriter]:
        """Opens a new blob, which must turn out to be `expected`. Raises StoreError."""
        with disk_faults(f"write into {self.folder}"):
            make_folder(self.folder)
            staged = StagedFile(self.layout.temporary(self.folder))
        with staged:
            yield BlobWriter(self, staged, expected)

    def put(self, data: bytes) -> tuple[Digest, int]:
        """Stores `data` and answers its digest and size. Raises StoreError."""
        digest = Digest(hashlib.sha256(data).hexdigest())
        if not self.reuse(digest, len(data)):
            with self.writer(digest) as writer:
                writer.write(data)
                writer.commit()
        return digest, len(data)

    def adopt(self, path: Path, expected: Digest | None = None) -> Digest:
        """Makes the finished file at `path`, on the store's own disk, a blob.

        Raises InvalidDigest when its digest is not `expected` (the file is gone then), StoreError.
        """
        with disk_faults(f"read {path}"):
            digest, size = _hash_and_sync(path)
        try:
            _verify(expected, digest)
        except InvalidDigest:
            with disk_faults(f"remove {path}"):
                path.unlink(missing_ok=True)
            raise
        with disk_faults(f"write the blob {digest}"):
            if self.reuse(digest, size):
                path.unlink()
            else:
                path.replace(self.path(digest))
                sync_folder(self.folder)
                self.stamps.put(digest)
        return digest

    def promote(self, path: Path, digest: Digest) -> None:
        """Makes the finished and synced file at `path`, whose digest the caller has found right, a blob.

        Raises StoreError.
        """
        with disk_faults(f"write the blob {digest}"):
            path.chmod(0o644)
            path.replace(self.path(digest))
            sync_folder(self.folder)
        self.stamps.put(digest)

    def verify(self, digest: Digest) -> None:
        """Reads the blob, unless that has been done before. Raises StoreError, also when it is not what its name says.

        A file that is verified and changes later without a change of size or time is not noticed.
        """
        if self.stamps.holds(digest):
            return
        with disk_faults(f"read the blob {digest}"):
            found = hash_file(self.path(digest))
        if found != digest:
            raise StoreError(f"the blob {digest} is damaged: what it holds has the digest {found}")
        self.stamps.put(digest)

    def quarantine(self, digest: Digest) -> Path:
        """Takes a damaged blob out of use without deleting it; answers where it lies then. Raises StoreError."""
        self.stamps.drop(digest)
        return set_aside(self.layout, self.path(digest))

    def reuse(self, digest: Digest, size_bytes: int) -> bool:
        """True when the blob is there with this size; then it counts as new again, so that pruning spares it."""
        try:
            is_there = self.path(digest).stat().st_size == size_bytes
        except OSError:
            return False
        if is_there:
            is_verified = self.stamps.holds(digest)
            with contextlib.suppress(OSError):  # a blob that another user's Ollama wrote cannot be touched
                os.utime(self.path(digest))
            if is_verified:
                self.stamps.put(digest)
        return is_there

    def partial_path(self, key: str) -> Path:
        """A path beside the blobs for unfinished work named `key`; pruning removes it when it is old."""
        with disk_faults(f"write into {self.folder}"):
            make_folder(self.folder)
        return self.layout.partial(key)

    def remove(self, digest: Digest) -> None:
        """Removes the blob, if it is there. Raises StoreError."""
        with disk_faults(f"remove the blob {digest}"):
            self.path(digest).unlink(missing_ok=True)

    def files(self) -> list[Path]:
        """Everything in the folder, blobs or not. Raises StoreError."""
        with disk_faults(f"read {self.folder}"):
            return sorted(self.folder.iterdir()) if self.folder.exists() else []

    def names(self) -> frozenset[str]:
        """The names of all files in the folder. Raises StoreError."""
        with disk_faults(f"read {self.folder}"):
            try:
                return frozenset(os.listdir(self.folder))
            except FileNotFoundError:
                return frozenset()

    def digests(self) -> list[Digest]:
        """All blobs that are there."""
        return [digest for path in self.files() if (digest := self.layout.digest_of(path))]

    def rename_old(self) -> None:
        """Gives blobs that an early Ollama named `sha256:<hex>` their name of today. Raises StoreError."""
        for path in self.files():
            if target := self.layout.renamed(path):
                with disk_faults(f"rename {path}"):
                    path.replace(target)
                log.info("blob renamed from=%s to=%s", path.name, target.name)


def set_aside(layout: Layout, path: Path) -> Path:
    """Moves a file into the quarantine; answers its new place. Raises StoreError."""
    target = layout.quarantine / f"{path.name}-{time.time_ns()}"
    with disk_faults(f"move {path} to {layout.quarantine}"):
        make_folder(layout.quarantine)
        path.replace(target)
        sync_folder(layout.quarantine)
    log.warning("file set aside from=%s to=%s", path, target)
    return target


def _verify(expected: Digest | None, found: Digest) -> None:
    if expected not in (None, found):
        raise InvalidDigest(f"digest mismatch, file must be downloaded again: want {expected}, got {found}")


def _hash_and_sync(path: Path) -> tuple[Digest, int]:
    with path.open("r+b") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fchmod(file.fileno(), 0o644)
        os.fsync(file.fileno())
        return Digest(digest), os.fstat(file.fileno()).st_size


def hash_file(path: Path) -> Digest:
    """The digest of what `path` holds. Raises OSError."""
    with path.open("rb") as file:
        return Digest(hashlib.file_digest(file, "sha256").hexdigest())
