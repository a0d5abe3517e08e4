"""Writes files so that they appear whole or not at all, and names what the disk refuses. Knows nothing of models.

A file is written beside its place under a temporary name, synced, renamed, and then its folder is synced, so a
name that exists holds all of its bytes even after a power cut.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from ollamapy.errors import StoreError

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
_NO_RIGHT = {errno.EACCES, errno.EPERM, errno.EROFS}
_ELSEWHERE = "let OLLAMA_MODELS name another folder"


@contextlib.contextmanager
def disk_faults(doing: str) -> Iterator[None]:
    """Turns an OSError into a StoreError: what was being done, what the system says, what may help."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"cannot {doing}: {_reason(error)}", hint=_hint(error)) from error


def _reason(error: OSError) -> str:
    if error.errno in _NO_ROOM:
        return "no space left on the disk"
    return (error.strerror or str(error)).lower()


def _hint(error: OSError) -> str:
    if error.errno in _NO_ROOM:
        return f"free some space, or {_ELSEWHERE}"
    return f"check who owns the model directory, or {_ELSEWHERE}" if error.errno in _NO_RIGHT else ""


class StagedFile:
    """A file being written at `path`. It goes when the block ends, unless it was published."""

    __slots__ = ("_fd", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)

    def __enter__(self) -> "StagedFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def write(self, data: bytes | memoryview) -> None:
        """Appends all of `data`. Raises OSError."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def publish(self, target: Path) -> None:
        """Makes the file appear at `target`, instead of whatever is there. Raises OSError."""
        os.fchmod(self._fd, 0o644)
        os.fsync(self._fd)
        self._close()
        self.path.replace(target)
        sync_folder(target.parent)

    def _close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


def make_folder(path: Path) -> None:
    """Makes `path` and what is missing above it. Raises OSError."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o755, exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(path: Path) -> None:
    """Makes the names in a folder last. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
