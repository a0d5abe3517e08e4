"""The data file of a blob that arrives in parts: written anywhere, hashed in order.

Bytes that arrive in order are hashed from memory; where parts overtake each other, the rest is read back from the file
once the gap is closed. Blocks; safe from any thread.
"""

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

from ollamapy.names import Digest
from ollamapy.remotes.disk import disk_faults

_READ_BYTES = 8 << 20


class PartialFile:
    """The file at `path`, of `size` bytes, sparse where nothing came yet."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self._lock = threading.Lock()
        self._hash = hashlib.sha256()
        self._hashed = 0
        with disk_faults(path):
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            os.ftruncate(self._fd, size)

    def write(self, offset: int, data: bytes) -> None:
        """Puts `data` at `offset`, and hashes it when nothing is missing before it. Raises StoreError."""
        with disk_faults(self._path):
            view, at = memoryview(data), offset
            while view:
                count = os.pwrite(self._fd, view, at)
                view, at = view[count:], at + count
        with self._lock:
            if offset == self._hashed:
                self._hash.update(data)
                self._hashed += len(data)

    def catch_up(self, frontier: int) -> None:
        """Hashes some of what lies before `frontier`, where nothing is missing, unless another thread is at it."""
        if frontier <= self._hashed or not self._lock.acquire(blocking=False):
            return
        try:
            with disk_faults(self._path):
                self._read_back(min(frontier, self._hashed + 2 * _READ_BYTES))
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
                if not self._read_back(min(self._size, self._hashed + _READ_BYTES)):
                    break
            os.fsync(self._fd)
        return Digest(self._hash.hexdigest())

    def _read_back(self, end: int) -> int:
        """Hashes the file up to `end`; the number of bytes that were there."""
        before = self._hashed
        while self._hashed < end:
            data = os.pread(self._fd, min(_READ_BYTES, end - self._hashed), self._hashed)
            if not data:
                break
            self._hash.update(data)
            self._hashed += len(data)
        return self._hashed - before

    def close(self) -> None:
        os.close(self._fd)
