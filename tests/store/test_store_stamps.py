"""Stamps: a blob is read once, again only when its file has changed."""

import os
from pathlib import Path

import pytest

from ollamapy.errors import StoreError
from ollamapy.names import Digest
from ollamapy.store.blobs import Blobs
from ollamapy.store.layout import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "models")


def foreign(layout: Layout, data: bytes) -> Digest:
    """A blob that another program wrote."""
    blobs = Blobs(layout)
    digest, _ = blobs.put(data)
    layout.stamps.unlink()
    return digest


def test_what_was_written_here_counts_as_verified(layout: Layout) -> None:
    digest, _ = Blobs(layout).put(b"weights")

    assert Blobs(layout).stamps.holds(digest)


def test_a_foreign_blob_is_verified_once(layout: Layout) -> None:
    digest = foreign(layout, b"weights")
    blobs = Blobs(layout)
    assert not blobs.stamps.holds(digest)

    blobs.verify(digest)

    assert Blobs(layout).stamps.holds(digest)


@pytest.mark.parametrize("damaged", [b"weighty", b"", b"weights and more"], ids=["flipped", "emptied", "longer"])
def test_a_blob_that_changed_is_found_before_it_is_used(layout: Layout, damaged: bytes) -> None:
    digest, _ = Blobs(layout).put(b"weights")
    path = layout.blob(digest)
    path.write_bytes(damaged)
    os.utime(path, ns=(1, 1))

    with pytest.raises(StoreError, match=f"{digest} is damaged"):
        Blobs(layout).verify(digest)


def test_a_blob_that_is_used_again_stays_verified(layout: Layout) -> None:
    blobs = Blobs(layout)
    digest, size = blobs.put(b"weights")

    assert blobs.reuse(digest, size)

    assert blobs.stamps.holds(digest)


def test_a_damaged_blob_is_set_aside_and_not_deleted(layout: Layout) -> None:
    blobs = Blobs(layout)
    digest, _ = blobs.put(b"weights")

    place = blobs.quarantine(digest)

    assert place.read_bytes() == b"weights"
    assert not blobs.has(digest)
    assert not blobs.stamps.holds(digest)


@pytest.mark.parametrize("rubbish", [b"", b"{", b'{"a": 1}', b"\xff" * 100])
def test_broken_stamps_are_as_good_as_none(layout: Layout, rubbish: bytes) -> None:
    digest, _ = Blobs(layout).put(b"weights")
    layout.stamps.write_bytes(rubbish)

    blobs = Blobs(layout)
    blobs.verify(digest)

    assert blobs.stamps.holds(digest)


def test_stamps_of_blobs_that_are_gone_are_forgotten(layout: Layout) -> None:
    blobs = Blobs(layout)
    gone, _ = blobs.put(b"gone")
    blobs.remove(gone)
    blobs.put(b"new")

    assert gone.hex not in layout.stamps.read_text()


def test_a_store_that_cannot_be_written_is_verified_all_the_same(layout: Layout) -> None:
    digest = foreign(layout, b"weights")
    layout.stamps.mkdir()

    blobs = Blobs(layout)
    blobs.verify(digest)

    assert blobs.stamps.holds(digest)
