"""Blobs: named by their digest, whole or absent."""

import os
import threading
from pathlib import Path

import pytest
from fakes.store_files import blob_path, digest_of, tree

from ollamapy.errors import InvalidDigest, NotFound, StoreError
from ollamapy.names import Digest
from ollamapy.store import blobs as blobs_module
from ollamapy.store.blobs import Blobs
from ollamapy.store.layout import Layout

HELLO = Digest.parse(digest_of(b"hello"))


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(Layout(tmp_path / "models"))


def test_a_blob_is_named_by_the_digest_of_what_was_written(blobs):
    with blobs.writer() as writer:
        writer.write(b"hel")
        writer.write(b"lo")
        digest = writer.commit()

    assert digest == HELLO
    assert blobs.path(digest).name == "sha256-" + HELLO.hex
    assert blobs.path(digest).read_bytes() == b"hello"
    assert (blobs.has(digest), blobs.size(digest), blobs.read(digest)) == (True, 5, b"hello")


def test_put_answers_digest_and_size(blobs):
    assert blobs.put(b"hello") == (HELLO, 5)
    assert blobs.digests() == [HELLO]


def test_everybody_may_read_a_blob_whatever_the_umask(blobs):
    before = os.umask(0o077)
    try:
        digest, _ = blobs.put(b"hello")
    finally:
        os.umask(before)

    assert blobs.path(digest).stat().st_mode & 0o777 == 0o644


def test_nothing_is_there_before_commit_and_nothing_stays_without_it(blobs):
    with blobs.writer() as writer:
        writer.write(b"hello")
        assert not blobs.has(HELLO)
        assert len(blobs.files()) == 1

    assert blobs.files() == []


def test_nothing_stays_when_the_writer_is_left_by_an_error(blobs):
    def interrupted() -> None:
        with blobs.writer() as writer:
            writer.write(b"hello")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert blobs.files() == []


def test_other_content_than_expected_is_refused_and_leaves_nothing(blobs):
    with blobs.writer(HELLO) as writer:
        writer.write(b"hullo")
        with pytest.raises(InvalidDigest) as caught:
            writer.commit()

    assert caught.value.message == (
        f"digest mismatch, file must be downloaded again: want {HELLO}, got {digest_of(b'hullo')}"
    )
    assert blobs.files() == []


def test_an_existing_blob_wins_and_counts_as_new_again(blobs):
    digest, _ = blobs.put(b"hello")
    os.utime(blobs.path(digest), (1000, 1000))
    inode = blobs.path(digest).stat().st_ino

    with blobs.writer() as writer:
        writer.write(b"hello")
        writer.commit()

    after = blobs.path(digest).stat()
    assert after.st_ino == inode
    assert after.st_mtime > 1_000_000
    assert blobs.files() == [blobs.path(digest)]


def test_put_of_an_existing_blob_touches_it(blobs):
    digest, _ = blobs.put(b"hello")
    os.utime(blobs.path(digest), (1000, 1000))

    blobs.put(b"hello")

    assert blobs.path(digest).stat().st_mtime > 1_000_000


def test_a_blob_that_is_cut_is_replaced_by_the_whole_one(blobs):
    blobs.put(b"hello")
    blobs.path(HELLO).write_bytes(b"hel")

    blobs.put(b"hello")

    assert blobs.read(HELLO) == b"hello"


def test_a_finished_partial_file_becomes_a_blob(blobs):
    partial = blobs.partial_path(HELLO.filename)
    partial.write_bytes(b"hello")
    partial.chmod(0o600)

    digest = blobs.adopt(partial, HELLO)

    assert partial.name == f"sha256-{HELLO.hex}-partial"
    assert digest == HELLO
    assert blobs.files() == [blobs.path(HELLO)]
    assert blobs.path(HELLO).stat().st_mode & 0o777 == 0o644


def test_a_partial_file_of_a_blob_that_is_there_goes(blobs):
    blobs.put(b"hello")
    partial = blobs.partial_path("url-1")
    partial.write_bytes(b"hello")

    assert blobs.adopt(partial) == HELLO
    assert blobs.files() == [blobs.path(HELLO)]


def test_a_partial_file_with_other_content_is_refused_and_gone(blobs):
    partial = blobs.partial_path("url-1")
    partial.write_bytes(b"hullo")

    with pytest.raises(InvalidDigest, match="file must be downloaded again"):
        blobs.adopt(partial, HELLO)

    assert blobs.files() == []


def test_adopting_what_is_not_there_is_an_error(blobs):
    with pytest.raises(StoreError, match="no such file"):
        blobs.adopt(blobs.partial_path("url-1"), HELLO)


def test_the_key_of_a_partial_file_cannot_leave_the_folder(blobs):
    for key in ("", "../x", "a/b", "a.b", "x" * 101):
        with pytest.raises(AssertionError):
            blobs.partial_path(key)


def test_a_missing_blob_has_no_size(blobs):
    with pytest.raises(NotFound, match=f'blob "{HELLO}" not found'):
        blobs.size(HELLO)
    with pytest.raises(NotFound):
        blobs.read(HELLO)
    assert not blobs.has(HELLO)


def test_a_blob_too_large_for_a_text_is_not_read_into_memory(blobs, monkeypatch):
    monkeypatch.setattr(blobs_module, "MAX_TEXT_BYTES", 4)
    blobs.put(b"hello")

    with pytest.raises(StoreError, match="should be a text, but has 5 B"):
        blobs.read(HELLO)


def test_removing_a_blob_twice_is_no_error(blobs):
    blobs.put(b"hello")

    blobs.remove(HELLO)
    blobs.remove(HELLO)

    assert blobs.files() == []


def test_many_threads_may_write_the_same_blob(blobs):
    barrier = threading.Barrier(8)
    failures = []

    def write() -> None:
        try:
            barrier.wait()
            for _ in range(20):
                with blobs.writer(HELLO) as writer:
                    writer.write(b"hello")
                    writer.commit()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert blobs.files() == [blobs.path(HELLO)]
    assert blobs.read(HELLO) == b"hello"


def test_blob_names_of_an_early_ollama_are_brought_up_to_date(tmp_path):
    old = tmp_path / "blobs" / digest_of(b"hello")
    old.parent.mkdir()
    old.write_bytes(b"hello")
    (old.parent / "sha256:not-a-digest").write_bytes(b"x")
    blobs = Blobs(Layout(tmp_path))

    blobs.rename_old()

    assert tree(tmp_path) == {f"blobs/sha256-{HELLO.hex}", "blobs/sha256:not-a-digest"}


def test_only_the_exact_spelling_of_a_digest_is_a_blob(tmp_path):
    folder = tmp_path / "blobs"
    folder.mkdir()
    for name in (HELLO.filename.upper(), f"sha256-{HELLO.hex.upper()}", f"{HELLO.filename}-partial", str(HELLO)):
        (folder / name).write_bytes(b"")
    blob_path(tmp_path, b"hello").write_bytes(b"hello")

    assert Blobs(Layout(tmp_path)).digests() == [HELLO]


def test_a_folder_that_cannot_be_made_is_an_error_with_its_reason(tmp_path):
    (tmp_path / "models").write_bytes(b"a file")

    with pytest.raises(StoreError, match=r"cannot write into .*models/blobs: (not a directory|file exists)"):
        Blobs(Layout(tmp_path / "models")).put(b"hello")
