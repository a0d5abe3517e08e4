"""Files that appear whole or not at all, and what is said when the disk refuses."""

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.store_files import layer, manifest_bytes, tree

from ollamapy.errors import StoreError
from ollamapy.names import ModelName
from ollamapy.store.files import StagedFile, disk_faults, make_folder
from ollamapy.store.store import Store

_SMALL_BYTES = 256 << 10


@pytest.mark.parametrize(
    ("number", "text", "hint"),
    [
        (errno.ENOSPC, "cannot try: no space left on the disk", "free some space"),
        (errno.EDQUOT, "cannot try: no space left on the disk", "free some space"),
        (errno.EACCES, "cannot try: permission denied", "check who owns the model directory"),
        (errno.EROFS, "cannot try: read-only file system", "check who owns the model directory"),
        (errno.EIO, "cannot try: input/output error", ""),
    ],
)
def test_what_the_disk_refuses_comes_with_its_reason_and_advice(number, text, hint):
    with pytest.raises(StoreError) as caught, disk_faults("try"):
        raise OSError(number, os.strerror(number))

    assert caught.value.message == text
    assert caught.value.hint.startswith(hint)
    assert bool(caught.value.hint) == bool(hint)


def test_a_file_appears_with_its_last_byte(tmp_path):
    target = tmp_path / "target"
    target.write_bytes(b"old")

    with StagedFile(tmp_path / "staged") as file:
        file.write(b"ne")
        file.write(b"w")
        assert target.read_bytes() == b"old"
        file.publish(target)

    assert target.read_bytes() == b"new"
    assert tree(tmp_path) == {"target"}


def test_a_temporary_name_is_never_taken_from_another_writer(tmp_path):
    (tmp_path / "staged").write_bytes(b"other")

    with pytest.raises(FileExistsError):
        StagedFile(tmp_path / "staged")

    assert (tmp_path / "staged").read_bytes() == b"other"


def test_missing_folders_are_made_from_the_top(tmp_path):
    make_folder(tmp_path / "a" / "b" / "c")
    make_folder(tmp_path / "a" / "b" / "c")

    assert (tmp_path / "a/b/c").stat().st_mode & 0o700 == 0o700


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={_SMALL_BYTES}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("NOT TESTED: a full disk; there is no mount command here")
    if mounted.returncode:
        pytest.skip(f"NOT TESTED: a full disk; mounting a small one failed: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_an_error_that_says_so_and_leaves_nothing(small_disk):
    store = Store(small_disk / "models")
    store.start()
    before = tree(small_disk)

    with pytest.raises(StoreError) as caught:
        store.blobs.put(bytes(2 * _SMALL_BYTES))

    assert caught.value.message.startswith("cannot write 524 KB into ")
    assert caught.value.message.endswith("no space left on the disk")
    assert "free some space" in caught.value.hint
    assert tree(small_disk) == before
    store.close()


def test_a_disk_that_fills_up_stops_a_model_from_appearing_half(small_disk):
    root = small_disk / "models"
    store = Store(root)
    store.start()
    first = manifest_bytes(root, layer(root, "model", b"one"))
    store.link(ModelName.parse("m"), first)
    second = manifest_bytes(root, layer(root, "model", b"two")) + b" " * 20_000
    with (small_disk / "filler").open("wb", buffering=0) as filler:
        _fill(filler)

        with pytest.raises(StoreError, match="cannot write the manifest of m:latest: no space left on the disk"):
            store.link(ModelName.parse("m"), second)

    assert store.manifests.read(ModelName.parse("m")).raw == first
    assert store.resolve(ModelName.parse("m")).model_path.read_bytes() == b"one"
    store.check(contents=True)
    assert not [path for path in tree(small_disk) if ".ollamapy-" in path]
    store.close()


def test_a_daemon_starts_on_a_full_disk_and_can_delete(small_disk):
    root = small_disk / "models"
    store = Store(root)
    store.start()
    store.link(ModelName.parse("m"), manifest_bytes(root, layer(root, "model", b"one")))
    store.close()
    with (small_disk / "filler").open("wb", buffering=0) as filler:
        _fill(filler)

    store.start()
    store.delete(ModelName.parse("m"))
    store.close()

    assert tree(root) == set()


def _fill(file) -> None:
    with contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
