"""Prefixes in files, so that they outlive the runner: a folder of snapshots, each under its key.

A file appears whole or not at all, and says what it holds and its digest. One that is damaged, or that says that it
is somebody else's, is removed with a log line; a folder that cannot be written is a warning. Nothing here may fail a
request.

    FOLDER/<identity>/<key>.kv      magic, sha256 of the rest, identity, key, data

A key is an even number of hexadecimal digits.
"""

import contextlib
import hashlib
import logging
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

_MAGIC = b"OLPYKV1\n"
_DIGEST_BYTES = 32
_KEY = re.compile(r"(?:[0-9a-f]{2})+")
_STALE_SECONDS = 60.0
"""After so long nobody writes to a file that is not whole: others may be writing theirs."""

log = logging.getLogger(__name__)


class Snapshots:
    """The snapshots of one `identity`: everything that decides what cells hold, but for the tokens.

    All identities share `budget_bytes`; the files that were used longest ago go first.
    """

    def __init__(self, folder: Path, identity: str, budget_bytes: int) -> None:
        self._root = folder
        self._identity = hashlib.sha256(identity.encode()).digest()
        self._folder = folder / self._identity.hex()[:16]
        self._budget_bytes = budget_bytes
        self._num_written = 0
        """Bytes since the last `prune`."""
        self._can_write = budget_bytes > 0
        self._keys = {path.stem for path in self._folder.glob("*.kv") if _KEY.fullmatch(path.stem)}

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def load(self, key: str) -> bytes | None:
        """What was saved under `key`; None when it is not there or not what it says, and then it is gone."""
        path = self._path(key)
        try:
            is_too_large = path.stat().st_size > self._budget_bytes
            content = b"" if is_too_large else path.read_bytes()
        except OSError as error:
            log.warning("snapshot not read path=%s error=%s", path, error)
            self._keys.discard(key)
            return None
        fault = self._fault(content, key)
        if fault:
            log.warning("snapshot removed path=%s reason=%s", path, fault)
            self.drop(key)
            return None
        with contextlib.suppress(OSError):  # a folder that cannot be written is good to read
            os.utime(path)
        return content[len(self._head(key)) + len(_MAGIC) + _DIGEST_BYTES :]

    def save(self, key: str, data: bytes | memoryview) -> bool:
        """Keeps `data` under `key`; False when the folder does not take it, and then it is not tried again, or when
        so much was written since the last `prune` that it would push out what was written first."""
        if not self._can_write or key in self._keys:
            return self._can_write
        self._num_written += len(data)
        if self._num_written > self._budget_bytes:
            return False
        path = self._path(key)
        partial = path.with_suffix(f".part{os.getpid()}")
        body = hashlib.sha256(self._head(key))
        body.update(data)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(partial, "wb", opener=_private) as file:
                file.write(_MAGIC + body.digest() + self._head(key))
                file.write(data)
            partial.replace(path)
        except OSError as error:
            log.warning("snapshots not saved folder=%s error=%s", self._folder, error)
            self._can_write = False
            _remove(partial)
            return False
        self._keys.add(key)
        return True

    def drop(self, key: str) -> None:
        """Forgets a snapshot that turned out to be of no use."""
        self._keys.discard(key)
        _remove(self._path(key))

    def prune(self) -> None:
        """Removes what killed writers left, and the oldest files until the rest is within the budget."""
        self._num_written = 0
        files = []
        for used, size, path in _files(self._root):
            if path.endswith(".kv"):
                files.append((used, size, path))
            elif ".part" in path and used < time.time() - _STALE_SECONDS:
                _remove(Path(path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self._budget_bytes:
                return
            _remove(Path(path))
            self._keys.discard(Path(path).stem)
            total -= size

    def __iter__(self) -> Iterator[str]:
        """The keys of all snapshots."""
        return iter(self._keys)

    def _head(self, key: str) -> bytes:
        """What stands before the data."""
        return self._identity + bytes.fromhex(key)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.kv"

    def _fault(self, content: bytes, key: str) -> str:
        """What is wrong with a file; empty when nothing is."""
        if not content.startswith(_MAGIC):
            return "it is no snapshot"
        rest = memoryview(content)[len(_MAGIC) + _DIGEST_BYTES :]
        if hashlib.sha256(rest).digest() != content[len(_MAGIC) :][:_DIGEST_BYTES]:
            return "it is damaged"
        head = self._head(key)
        if rest[: len(head)] != head:
            return "it is of another model, build or prefix"
        return ""


def _private(path: str, flags: int) -> int:
    """Opens for the owner alone: prefixes hold what people said."""
    return os.open(path, flags, 0o600)


def _files(root: Path) -> Iterator[tuple[float, int, str]]:
    """Time of the last use, size and path of the files of all identities: thousands, so without a `Path` for each."""
    with contextlib.suppress(OSError), os.scandir(root) as folders:
        for folder in folders:
            with contextlib.suppress(OSError), os.scandir(folder.path) as entries:
                for entry in entries:
                    with contextlib.suppress(OSError):
                        stat = entry.stat(follow_symlinks=False)
                        yield stat.st_mtime, stat.st_size, entry.path


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("snapshot not removed path=%s error=%s", path, error)
