"""Removes models and the blobs that no model uses. Owns no files: blobs and manifests are handed in.

Whatever is removed, the manifest goes first and the blobs after it, under the lock of the manifests: a crash leaves
blobs without a model, which the next start removes, and never a model without its blobs.
"""

import contextlib
import logging
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from ollamapy.errors import StoreError
from ollamapy.names import Digest, ModelName
from ollamapy.store.blobs import Blobs
from ollamapy.store.files import disk_faults
from ollamapy.store.manifests import Manifests

GRACE_SECONDS = 3600.0
"""Younger files may belong to a model that is being made, by this daemon or by Ollama."""

log = logging.getLogger(__name__)


def used_digests(manifests: Manifests) -> set[Digest]:
    """Every blob that a readable manifest lists."""
    return {digest for stored in manifests.all() for digest in stored.blobs}


def delete(blobs: Blobs, manifests: Manifests, name: ModelName, held: Callable[[], set[Digest]] = set) -> None:
    """Removes a model and what only it used. A model whose manifest is broken goes too. Raises NotFound, StoreError."""
    with manifests.lock:
        try:
            candidates = set(manifests.read(name).blobs)
        except StoreError as error:
            log.warning("manifest broken, its blobs stay model=%s reason=%r", name, error.message)
            candidates = set()
        manifests.unlink(name)
        remove_unused(blobs, manifests, candidates, held)
    log.info("model deleted model=%s", name)


def remove_unused(
    blobs: Blobs, manifests: Manifests, candidates: Iterable[Digest], held: Callable[[], set[Digest]] = set
) -> list[Digest]:
    """Removes those of `candidates` that no readable manifest lists and nobody has `held`, and answers them.

    Raises StoreError.
    """
    with manifests.lock:
        unused = sorted(set(candidates) - used_digests(manifests) - held())
        for digest in unused:
            blobs.remove(digest)
    return unused


def prune(blobs: Blobs, manifests: Manifests, now: float, held: Callable[[], set[Digest]] = set) -> list[Path]:
    """What a daemon cleans up when it starts, `now` being the Unix time; answers what was removed.

    1. nothing at all when a manifest cannot be read: the blobs that it uses are not known
    2. blobs that no manifest lists and nobody has `held`, and everything else in the folder, when older than an hour;
       what is unfinished of a blob that is held stays however old the clock says it is
    3. empty folders of manifests

    Raises StoreError.
    """
    with manifests.lock:
        if broken := manifests.broken():
            log.warning("pruning skipped reason=%r", broken[0])
            return []
        used, at_work = used_digests(manifests), held()
        unused = [path for path in blobs.files() if blobs.layout.digest_of(path) not in used]
        unused = [path for path in unused if not is_of(path, at_work)]
        old = [path for path in unused if modified(path) < now - GRACE_SECONDS]
        for path in old:
            _remove(path)
        manifests.remove_empty_folders()
    if old:
        log.info("pruned files=%d", len(old))
    return old


def is_of(path: Path, digests: Iterable[Digest]) -> bool:
    """True for a blob among `digests` and for what is unfinished of it."""
    return path.name.startswith(tuple(digest.filename for digest in digests))


def modified(path: Path) -> float:
    """The newest change of a file, or of a folder and what lies in it. What vanished meanwhile is no concern."""
    newest = 0.0
    for entry in (path, *(path.iterdir() if path.is_dir() and not path.is_symlink() else ())):
        with contextlib.suppress(FileNotFoundError):
            newest = max(newest, entry.lstat().st_mtime)
    return newest


def _remove(path: Path) -> None:
    with disk_faults(f"remove {path}"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
