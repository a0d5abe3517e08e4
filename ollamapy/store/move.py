"""Moves a model directory that no daemon uses. Owns the order of things, so that one of the two is whole at any time.

1. both directories are locked, and the new one is marked: only a directory that is empty or so marked is taken
2. every file but the manifests: a hard link on the same disk, else a copy, verified where the name is a digest
3. the manifests, then the new directory is checked
4. the old files go, manifests first; then the mark

A move that was killed is done again: what has come already is verified, not copied.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ollamapy.errors import InvalidInput, StoreError
from ollamapy.names import Digest
from ollamapy.store.blobs import hash_file
from ollamapy.store.files import disk_faults, make_folder, sync_folder
from ollamapy.store.layout import Layout
from ollamapy.store.lock import StoreLock
from ollamapy.store.store import Store

_MARK = ".ollamapy.moving"
_CHUNK_BYTES = 1 << 20

OnFile = Callable[[Path, int], None]
"""Told each file that has come, and its bytes."""


def move(source: Path, target: Path, on_file: OnFile) -> int:
    """Moves the model directory; how many models. Raises InvalidInput, StoreError."""
    source, target = source.resolve(), target.resolve()
    _check_places(source, target)
    with _locked(source), _locked(target), disk_faults(f"move {source} to {target}"):
        _mark(source, target)
        new = Layout(target)
        make_folder(new.blobs)
        files = sorted(_files(source), key=lambda path: (path.is_relative_to(source / "manifests"), path))
        _require_room(source, target, files)
        for path in files:
            _bring(path, target / path.relative_to(source), new)
            on_file(path, path.lstat().st_size)
        moved = Store(target)
        moved.check()
        num_models = len(moved.manifests.names())
        _remove(source, files)
        (target / _MARK).unlink()
    return num_models


def _check_places(source: Path, target: Path) -> None:
    if not source.is_dir():
        raise InvalidInput(f"there is no model directory at {source}")
    if target.is_relative_to(source) or source.is_relative_to(target):
        raise InvalidInput(f"a model directory cannot move into itself: {source} to {target}")


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    lock = StoreLock(Layout(root).lock)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _mark(source: Path, target: Path) -> None:
    mark = target / _MARK
    others = [path.name for path in target.iterdir() if path.name not in (_MARK, Layout(target).lock.name)]
    marked = mark.read_text() if mark.exists() else ""
    if others and marked != str(source):
        raise InvalidInput(f"{target} is not empty", hint="name a folder that is empty or does not exist")
    mark.write_text(str(source))
    sync_folder(target)


def _files(root: Path) -> Iterator[Path]:
    """What moves: not what belongs to this place (locks, stamps) and not what was being written."""
    for folder, folders, names in os.walk(root):
        links = [name for name in folders if Path(folder, name).is_symlink()]
        yield from (Path(folder, name) for name in (*names, *links) if not name.startswith(".ollamapy"))


def _require_room(source: Path, target: Path, files: list[Path]) -> None:
    if source.stat().st_dev == target.stat().st_dev:
        return
    needed = sum(path.lstat().st_size for path in files if not (target / path.relative_to(source)).exists())
    free = shutil.disk_usage(target).free
    if needed > free:
        raise StoreError(f"{target} has room for {free} bytes, the models need {needed}")


def _bring(path: Path, target: Path, new: Layout) -> None:
    """Makes `target` the same file. What is there is kept when it is right; what a death leaves is pruned."""
    digest = Layout(path.parent).digest_of(path)
    if path.is_symlink():
        target.unlink(missing_ok=True)
        make_folder(target.parent)
        target.symlink_to(_pointed(path))
    elif not _is_there(path, target, digest):
        make_folder(target.parent)
        staged = new.temporary(new.blobs)
        try:
            with suppress(OSError):
                os.link(path, staged)
            if not staged.exists():
                _copy(path, staged, digest)
            staged.replace(target)
        finally:
            staged.unlink(missing_ok=True)
    sync_folder(target.parent)


def _pointed(link: Path) -> Path:
    """Where a link leads, so that it leads there from anywhere."""
    return (link.parent / os.readlink(link)).absolute()


def _is_there(path: Path, target: Path, digest: Digest | None) -> bool:
    if not target.exists():
        return False
    if target.samefile(path):
        return True
    return digest is not None and target.stat().st_size == path.stat().st_size and hash_file(target) == digest


def _copy(path: Path, target: Path, digest: Digest | None) -> None:
    """Raises StoreError when the file is not what its name says."""
    found = hashlib.sha256()
    with path.open("rb") as old, target.open("xb") as new:
        while chunk := old.read(_CHUNK_BYTES):
            found.update(chunk)
            new.write(chunk)
        new.flush()
        os.fchmod(new.fileno(), 0o644)
        os.fsync(new.fileno())
    shutil.copystat(path, target)
    if digest not in (None, Digest(found.hexdigest())):
        raise StoreError(f"the blob {digest} is damaged, nothing was removed", hint="ollamapy fsck --deep --repair")


def _remove(source: Path, files: list[Path]) -> None:
    """Manifests first: a model whose blobs are going must not be listed."""
    for path in reversed(files):
        path.unlink(missing_ok=True)
    Layout(source).stamps.unlink(missing_ok=True)
    for folder, _, _ in os.walk(source, topdown=False):
        with suppress(OSError):
            os.rmdir(folder)
