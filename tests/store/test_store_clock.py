"""A clock that jumps, and a disk that nobody may write to: neither costs a model or somebody's work."""

import errno
import os
import time
from pathlib import Path
from typing import Any

import pytest
from fakes.store_files import blob_path, write_blob, write_model

from ollamapy.errors import StoreError
from ollamapy.names import Digest, ModelName
from ollamapy.store.store import Store
from ollamapy.store.survey import survey

YEAR = 365 * 86400.0
MODEL = "registry.ollama.ai/library/m/latest"
M = ModelName.parse("m")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "models"
    write_model(root, MODEL, b"weights", template=b"t")
    return root


def half_pulled(root: Path) -> tuple[Digest, list[Path]]:
    """A blob on its way, and its files."""
    blob = blob_path(root, b"more weights")
    files = [Path(f"{blob}-partial"), Path(f"{blob}-partial-0"), Path(f"{blob}-partial-1")]
    for file in files:
        file.write_bytes(b"{}")
    return Digest.parse(blob.name), files


def test_a_clock_that_jumps_ahead_takes_nothing_from_a_running_pull(root: Path) -> None:
    store = Store(root)
    digest, files = half_pulled(root)
    later = time.time() + YEAR

    with store.holding([digest]):
        assert store.prune_unused(later) == []
        assert list(survey(store, deep=False, now=later, on_progress=lambda done, total: None)) == []
        assert all(file.exists() for file in files)

    assert store.prune_unused(later) == files
    store.check(contents=True)


@pytest.mark.parametrize("now", [0.0, 1_000_000_000.0])
def test_a_clock_that_goes_back_removes_nothing(root: Path, now: float) -> None:
    store = Store(root)
    write_blob(root, b"of no model")
    half_pulled(root)
    before = store.blobs.files()

    store.start(now=now)
    store.close()

    assert store.blobs.files() == before


@pytest.mark.parametrize("when", [0.0, 4_000_000_000.0])
def test_a_model_whose_files_are_of_another_time_is_read_once_more_and_used(root: Path, when: float) -> None:
    store = Store(root)
    store.verify(store.resolve(M))
    for path in [*store.blobs.files(), store.layout.manifest(M)]:
        os.utime(path, (when, when))

    assert not store.blobs.stamps.holds(_weights(root))
    store.verify(store.resolve(M))
    assert store.blobs.stamps.holds(_weights(root))


def _weights(root: Path) -> Digest:
    return Digest.parse(blob_path(root, b"weights").name)


def refuse_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every open for writing, and every change of a name, fails as on a disk that is mounted read-only."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    real = os.open

    def open_(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        return refuse() if flags & (os.O_WRONLY | os.O_RDWR) else real(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", open_)
    for change in ("unlink", "replace", "rename", "mkdir", "utime", "chmod", "rmdir"):
        monkeypatch.setattr(os, change, refuse)


def test_a_store_that_became_read_only_refuses_every_change_and_gives_its_models(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(root)
    store.start()
    raw = store.layout.manifest(M).read_bytes()
    refuse_writing(monkeypatch)
    changes = [
        lambda: store.blobs.put(b"new"),
        lambda: store.copy(M, ModelName.parse("n")),
        lambda: store.link(ModelName.parse("n"), raw),
        lambda: store.delete(M),
        lambda: store.blobs.quarantine(_weights(root)),
    ]

    for change in changes:
        with pytest.raises(StoreError, match="read-only file system"):
            change()

    store.verify(store.resolve(M))
    assert store.resolve(M).model_path.read_bytes() == b"weights"
    assert store.manifests.names() == [M]
    monkeypatch.undo()
    store.check(contents=True)
    store.close()


def test_a_daemon_does_not_begin_on_a_store_that_it_cannot_write(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_writing(monkeypatch)

    with pytest.raises(StoreError, match=r"cannot use the model directory .*: read-only file system") as raised:
        Store(root).start()
    assert "OLLAMA_MODELS" in raised.value.hint
