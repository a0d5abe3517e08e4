"""The data file of a blob that arrives in parts: written anywhere, hashed in order.

Bytes that arrive in order are hashed from memory; where parts overtake each other, the rest is read back from the file
once the gap is closed. Blocks; safe from any thread.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from ollamapy.names import Digest
from ollamapy.remotes.disk import disk_faults

_READ_BYTES = 1 << 20
_CATCH_UP_BYTES = 16 << 20


class PartialFile:
    """The file at `path`, of `size` bytes, sparse where nothing came yet."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self._lock = threading.Lock()
        self._hash = hashlib.sha256()
        self._hashed = 0
        self._buffer = memoryview(bytearray(min(size, _READ_BYTES)))
        with disk_faults(path):
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            os.ftruncate(self._fd, size)

    def write(self, offset: int, pieces: Sequence[bytes]) -> None:
        """Puts `pieces` at `offset`, and hashes them when nothing is missing before them. Raises StoreError."""
        with disk_faults(self._path):
            end = self._put(offset, pieces)
        if offset != self._hashed or not self._lock.acquire(blocking=False):
            return
        try:
            if offset == self._hashed:
                for piece in pieces:
                    self._hash.update(piece)
                self._hashed = end
        finally:
            self._lock.release()

    def _put(self, offset: int, pieces: Sequence[bytes]) -> int:
        """The offset of the end. A disk may take less than it was given."""
        end = offset + sum(map(len, pieces))
        if (done := offset + os.pwritev(self._fd, pieces, offset)) < end:
            rest = memoryview(b"".join(pieces))[done - offset :]
            while rest:
                count = os.pwrite(self._fd, rest, end - len(rest))
                rest = rest[count:]
        return end

    def catch_up(self, frontier: int) -> None:
        """Hashes some of what lies before `frontier`, where nothing is missing, unless another thread is at it."""
        if frontier <= self._hashed or not self._lock.acquire(blocking=False):
            return
        try:
            with disk_faults(self._path):
                self._read_back(min(frontier, self._hashed + _CATCH_UP_BYTES))
        finally:
            self._lock.release()

    def restart(self) -> None:
        """Nothing counts as written any more."""
        with self._lock:
            self._hash, self._hashed = hashlib.sha256(), 0

    def finish(self, check: Callable[[], None]) -> Digest:
        """The digest of the whole file, synced to the disk. `check` is called now and then and may raise."""
        with self._lock, disk_faults(self._path):
            while self._hashed < self._size:
                check()
                if not self._read_back(min(self._size, self._hashed + _CATCH_UP_BYTES)):
                    break
            os.fsync(self._fd)
        return Digest(self._hash.hexdigest())

    def digest_of(self, start: int, end: int) -> Digest:
        """The digest of some of the file's bytes. Raises StoreError."""
        hashed = hashlib.sha256()
        with disk_faults(self._path):
            while start < end and (data := os.pread(self._fd, min(_READ_BYTES, end - start), start)):
                hashed.update(data)
                start += len(data)
        return Digest(hashed.hexdigest())

    def _read_back(self, end: int) -> int:
        """Hashes the file up to `end`; the number of bytes that were there."""
        before = self._hashed
        while self._hashed < end:
            count = os.preadv(self._fd, [self._buffer[: end - self._hashed]], self._hashed)
            if not count:
                break
            self._hash.update(self._buffer[:count])
            self._hashed += count
        return self._hashed - before

    def close(self) -> None:
        os.close(self._fd)
