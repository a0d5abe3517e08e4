"""The survey of a model directory: every kind of fault is found, and nothing else."""

import os
from pathlib import Path

import pytest
from fakes.store_files import blob_path, write_blob, write_manifest, write_model

from ollamapy.names import ModelName
from ollamapy.store.store import Store
from ollamapy.store.survey import survey
from ollamapy.wire.care import Fault

NOW = 2_000_000_000.0
MANIFEST = "registry.ollama.ai/library/m/latest"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "models"
    write_model(root, MANIFEST, b"weights", template=b"t")
    return root


def faults(root: Path, *, deep: bool = False, now: float = NOW) -> list[Fault]:
    return list(survey(Store(root), deep=deep, now=now, on_progress=lambda done, total: None))


def kinds(root: Path, *, deep: bool = False) -> list[str]:
    return [fault.kind for fault in faults(root, deep=deep)]


def test_a_store_in_order_has_no_faults(root: Path) -> None:
    assert kinds(root, deep=True) == []


def test_a_missing_blob_names_every_model_that_lists_it(root: Path) -> None:
    write_model(root, "hf.co/org/other/q4", b"weights")
    blob_path(root, b"weights").unlink()

    (fault,) = faults(root)

    assert (fault.kind, fault.models, fault.size_bytes) == ("missing", ("hf.co/org/other:q4", "m:latest"), 7)


def test_a_blob_of_another_size_is_found_without_reading(root: Path) -> None:
    blob_path(root, b"weights").write_bytes(b"weigh")

    (fault,) = faults(root)

    assert (fault.kind, fault.text) == ("size", "it has 5 bytes, the manifest says 7")


def test_other_content_of_the_same_size_is_found_by_a_deep_check_alone(root: Path) -> None:
    blob_path(root, b"weights").write_bytes(b"weighty")

    assert kinds(root) == []
    assert kinds(root, deep=True) == ["content"]


def test_a_deep_check_counts_as_verifying(root: Path) -> None:
    kinds(root, deep=True)
    store = Store(root)

    model = store.resolve(ModelName.parse("m"))

    assert all(store.blobs.stamps.holds(digest) for digest in model.manifest.blobs)


def test_a_manifest_that_cannot_be_read_is_a_fault(root: Path) -> None:
    path = write_manifest(root, "registry.ollama.ai/library/torn/latest", b'{"schemaVersion"')

    (fault,) = faults(root)

    assert (fault.kind, fault.path, fault.models) == ("manifest", str(path), ("torn:latest",))


def test_a_file_among_the_manifests_that_is_none_is_a_stray(root: Path) -> None:
    write_manifest(root, "registry.ollama.ai/library/.DS_Store", b"")

    assert kinds(root) == ["stray"]


def test_old_files_of_no_model_are_faults_and_young_ones_are_not(root: Path) -> None:
    write_blob(root, b"unused")
    partial = root / "blobs" / "sha256-12-partial"
    partial.write_bytes(b"half")
    young = blob_path(root, b"unused").stat().st_mtime

    assert [fault.kind for fault in faults(root, now=young)] == []
    assert sorted(fault.kind for fault in faults(root)) == ["leftover", "orphan"]


def test_a_blob_that_may_not_be_read_is_a_fault(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system is asked, and here answers as it would anybody but root."""
    closed = blob_path(root, b"weights")
    monkeypatch.setattr(os, "access", lambda path, mode: path != closed)

    assert kinds(root) == ["unreadable"]


def test_progress_ends_with_all_bytes(root: Path) -> None:
    seen: list[tuple[int, int]] = []

    list(survey(Store(root), deep=True, now=NOW, on_progress=lambda done, total: seen.append((done, total))))

    assert seen[0][0] == 0
    assert seen[-1][0] == seen[-1][1] > 7
    assert seen == sorted(seen)
