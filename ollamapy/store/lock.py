"""One daemon per model directory. The system drops the lock when its holder dies, however it dies."""

import contextlib
import errno
import fcntl
import logging
import os
from pathlib import Path

from ollamapy.errors import StoreError
from ollamapy.store.files import disk_faults, make_folder

_TAKEN = {errno.EWOULDBLOCK, errno.EACCES}

log = logging.getLogger(__name__)


class StoreLock:
    """A lock on the file at `path`, which holds the owner's process id and stays when the lock goes."""

    __slots__ = ("_fd", "_path")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    def acquire(self) -> None:
        """Takes the lock. Raises StoreError when another process has it, or the folder cannot be written."""
        folder = self._path.parent
        with disk_faults(f"use the model directory {folder}"):
            make_folder(folder)
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            self._lock(fd)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd

    def release(self) -> None:
        """Gives the lock back, if it is held."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _lock(self, fd: int) -> None:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _TAKEN:
                raise self._taken(fd) from error
            log.warning("model directory cannot be locked path=%s reason=%s", self._path, error.strerror)
        with contextlib.suppress(OSError):  # on a full disk a daemon must start: models are to be deleted
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)

    def _taken(self, fd: int) -> StoreError:
        owner = os.pread(fd, 20, 0).decode("ascii", "replace").strip()
        process = f" (process {owner})" if owner.isdigit() else ""
        return StoreError(
            f"the model directory {self._path.parent} is in use by another ollamapy daemon{process}",
            hint="stop that daemon, or let OLLAMA_MODELS name another folder",
        )
