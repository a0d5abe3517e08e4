"""Makes a file that lies elsewhere on this machine a blob, at the least cost that the disks allow.

    reflink     shares the bytes until one of the two is written; only some file systems can
    hard link   is the same file under a second name; only within one file system
    symlink     points there; the blob is gone when the file is
    copy        takes the room again

The caller has found the digest right. It is found again before the first use of weights, so a file that changes
meanwhile is noticed.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from ollamapy.names import Digest
from ollamapy.store.files import disk_faults, make_folder, sync_folder
from ollamapy.store.layout import Layout

Method = Literal["reflink", "hard link", "symlink", "copy"]

_FICLONE = 0x40049409
"""Linux's request to share the blocks of another file."""


def place(source: Path, layout: Layout, digest: Digest) -> Method:
    """Makes `source` the blob `digest`; how it was done. Raises StoreError when not even a copy can be made."""
    with disk_faults(f"make {source} a blob of {layout.root}"):
        source = source.resolve(strict=True)
        make_folder(layout.blobs)
        staged = layout.temporary(layout.blobs)
        try:
            method = _first(source, staged)
            staged.replace(layout.blob(digest))
        finally:
            staged.unlink(missing_ok=True)
        sync_folder(layout.blobs)
    return method


def _first(source: Path, target: Path) -> Method:
    """The first way that works."""
    cheap: list[tuple[Method, Callable[[Path, Path], None]]] = [
        ("reflink", _reflink),
        ("hard link", os.link),
        ("symlink", os.symlink),
    ]
    for method, make in cheap:
        with contextlib.suppress(OSError):
            make(source, target)
            return method
        target.unlink(missing_ok=True)
    copy(source, target)
    return "copy"


def copy(source: Path, target: Path) -> None:
    """Copies a file to a new one and syncs it. Raises OSError."""
    with source.open("rb") as old, target.open("xb") as new:
        shutil.copyfileobj(old, new, 1 << 20)
        _finish(new.fileno())


def _reflink(source: Path, target: Path) -> None:
    with source.open("rb") as old, target.open("xb") as new:
        fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
        _finish(new.fileno())


def _finish(fd: int) -> None:
    os.fchmod(fd, 0o644)
    os.fsync(fd)
