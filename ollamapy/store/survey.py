"""Looks for everything that can be wrong in a model directory. Reads only; `actions/fsck` mends.

1. manifests that cannot be read, and files that are none
2. blobs that models list: there, of the right size, readable; with `deep` what their name says
3. blobs and other files of no model, unless they are so young that somebody may be at work on them
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from ollamapy.errors import StoreError
from ollamapy.names import Digest
from ollamapy.store.prune import GRACE_SECONDS, modified
from ollamapy.store.store import Store
from ollamapy.wire.care import Fault, FaultKind

_CHUNK_BYTES = 8 << 20

Wanted = dict[Digest, tuple[int, list[str]]]
"""The size of each blob that models list, and which models those are."""

OnProgress = Callable[[int, int], None]


def survey(store: Store, *, deep: bool, now: float, on_progress: OnProgress) -> Iterator[Fault]:
    """Every fault, in the order above. `now` is the Unix time; `on_progress` is told the bytes read, and of how many.

    Raises StoreError when the folders themselves cannot be read.
    """
    yield from _manifests(store)
    wanted = _wanted(store)
    yield from _blobs(store, wanted, deep, on_progress)
    yield from _unused(store, wanted, now)


def _manifests(store: Store) -> Iterator[Fault]:
    manifests = store.manifests
    for path in sorted(path for path in manifests.layout.manifests.rglob("*") if not path.is_dir()):
        name = manifests.layout.name_of(path)
        if name is None:
            yield Fault("stray", str(path), "it lies where manifests do and is none")
            continue
        try:
            manifests.read(name)
        except StoreError as error:
            yield Fault("manifest", str(path), error.message, (name.short,))


def _wanted(store: Store) -> Wanted:
    wanted: Wanted = {}
    for stored in store.manifests.all():
        for digest, layer in stored.blobs.items():
            wanted.setdefault(digest, (layer.size, []))[1].append(stored.name.short)
    return wanted


def _blobs(store: Store, wanted: Wanted, deep: bool, on_progress: OnProgress) -> Iterator[Fault]:
    total = sum(size for size, _ in wanted.values())
    done = 0
    for digest, (size, models) in sorted(wanted.items(), key=lambda item: item[0].hex):
        on_progress(done, total)
        before = done
        on_bytes = (lambda read, before=before: on_progress(before + read, total)) if deep else None
        fault = _blob_fault(store.blobs.path(digest), digest, size, on_bytes)
        done += size
        if fault is None:
            if deep:
                store.blobs.stamps.put(digest)
            continue
        kind, text = fault
        yield Fault(kind, str(store.blobs.path(digest)), text, tuple(models), size)
    on_progress(total, total)


def _blob_fault(
    path: Path, digest: Digest, size: int, on_bytes: Callable[[int], None] | None
) -> tuple[FaultKind, str] | None:
    """What is wrong with a blob. It is read when somebody wants to know how many bytes have been read."""
    try:
        found = path.stat()
        if found.st_size != size:
            return "size", f"it has {found.st_size} bytes, the manifest says {size}"
        if not os.access(path, os.R_OK):
            return "unreadable", f"its mode is {stat.filemode(found.st_mode)}"
        if on_bytes and (read := _digest(path, on_bytes)) != digest:
            return "content", f"what it holds has the digest {read}"
    except FileNotFoundError:
        return "missing", "it is not there"
    except OSError as error:
        return "unreadable", (error.strerror or str(error)).lower()
    return None


def _digest(path: Path, on_bytes: Callable[[int], None]) -> Digest:
    read, digest = 0, hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            on_bytes(read := read + len(chunk))
    return Digest(digest.hexdigest())


def _unused(store: Store, wanted: Wanted, now: float) -> Iterator[Fault]:
    for path in store.blobs.files():
        digest = store.layout.digest_of(path)
        if digest in wanted or store.is_held(path) or modified(path) >= now - GRACE_SECONDS:
            continue
        size = path.stat().st_size if path.is_file() else 0
        if digest:
            yield Fault("orphan", str(path), "no model lists it", size_bytes=size)
        else:
            yield Fault("leftover", str(path), "it is unfinished and nobody works on it", size_bytes=size)
