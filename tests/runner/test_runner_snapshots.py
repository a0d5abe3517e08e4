"""Snapshots in files: whatever happened to a file or a folder, it is a line in the log and never a wrong prefix."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ollamapy.runner.snapshots import Snapshots

KEY, OTHER = "ab" * 36, "cd" * 36
SUPPRESSED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
PLENTY = 1 << 20


def opened(folder: Path, identity: str = "model", budget_bytes: int = PLENTY) -> Snapshots:
    return Snapshots(folder, identity, budget_bytes)


def the_file(folder: Path) -> Path:
    (path,) = folder.glob("*/*.kv")
    return path


def test_what_was_saved_is_there_for_the_next(tmp_path: Path) -> None:
    assert opened(tmp_path).save(KEY, b"cells")

    again = opened(tmp_path)

    assert (list(again), KEY in again, again.load(KEY)) == ([KEY], True, b"cells")


def test_only_the_owner_may_read_what_people_said(tmp_path: Path) -> None:
    opened(tmp_path / "new").save(KEY, b"cells")

    path = the_file(tmp_path / "new")
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_another_identity_sees_nothing(tmp_path: Path) -> None:
    opened(tmp_path).save(KEY, b"cells")

    assert KEY not in opened(tmp_path, "another build")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("harm", "reason"), [(cut, "damaged"), (flip, "damaged"), (empty, "no snapshot")], ids=["cut", "flipped", "empty"]
)
def test_a_damaged_file_is_removed(
    harm: Callable[[Path], None], reason: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened(tmp_path).save(KEY, b"cells")
    path = the_file(tmp_path)
    harm(path)
    snapshots = opened(tmp_path)

    assert snapshots.load(KEY) is None

    assert (path.exists(), KEY in snapshots) == (False, False)
    assert reason in caplog.text


REGIONS = {"magic": 0, "digest": 8, "identity": 40, "key": 72, "data": 72 + len(KEY) // 2}
"""Where each part of a file begins."""


@pytest.mark.parametrize("region", REGIONS)
@settings(max_examples=20, suppress_health_check=SUPPRESSED)
@given(data=st.data())
def test_a_bit_that_flipped_anywhere_is_seen(region: str, data: st.DataObject, tmp_path: Path) -> None:
    opened(tmp_path).save(KEY, bytes(range(32)))
    path = the_file(tmp_path)
    content, starts = bytearray(path.read_bytes()), [*REGIONS.values()]
    end = min((start for start in starts if start > REGIONS[region]), default=len(content))
    content[data.draw(st.integers(REGIONS[region], end - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)

    assert opened(tmp_path).load(KEY) is None
    assert not path.exists()


@settings(max_examples=40, suppress_health_check=SUPPRESSED)
@given(size=st.integers(0, 140), more=st.binary(min_size=0, max_size=3))
def test_a_file_of_another_length_is_seen(size: int, more: bytes, tmp_path: Path) -> None:
    opened(tmp_path).save(KEY, bytes(32))
    path = the_file(tmp_path)
    whole = path.read_bytes()
    changed = whole[:size] + more
    path.write_bytes(changed)

    assert opened(tmp_path).load(KEY) == (bytes(32) if changed == whole else None)


def test_a_file_that_is_larger_than_all_may_be_is_not_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Four terabytes of nothing takes no place on the disk, and no memory has room for it."""
    opened(tmp_path).save(KEY, b"cells")
    os.truncate(the_file(tmp_path), 1 << 42)

    assert opened(tmp_path).load(KEY) is None

    assert list(tmp_path.rglob("*.kv")) == []
    assert "snapshot removed" in caplog.text


def test_a_file_whose_name_is_no_key_is_not_taken_for_a_snapshot(tmp_path: Path) -> None:
    opened(tmp_path).save(KEY, b"cells")
    (the_file(tmp_path).parent / "notes.kv").write_bytes(b"mine")

    assert list(opened(tmp_path)) == [KEY]


@pytest.mark.parametrize("is_other_build", [True, False])
def test_a_foreign_file_is_removed(is_other_build: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that somebody put where another belongs."""
    opened(tmp_path).save(KEY, b"cells")
    place = the_file(tmp_path)
    place.unlink()
    foreign = opened(tmp_path / "far", "another build") if is_other_build else opened(tmp_path / "far")
    key = KEY if is_other_build else OTHER
    foreign.save(key, b"other cells")
    the_file(tmp_path / "far").rename(place)

    assert opened(tmp_path).load(KEY) is None

    assert not place.exists()
    assert "of another model, build or prefix" in caplog.text


def test_a_file_that_is_gone_is_not_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    snapshots = opened(tmp_path)
    snapshots.save(KEY, b"cells")
    the_file(tmp_path).unlink()

    assert (snapshots.load(KEY), KEY in snapshots) == (None, False)
    assert "not read" in caplog.text


def test_a_folder_that_cannot_be_made_is_a_warning_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_bytes(b"")
    snapshots = opened(tmp_path / "file" / "folder")

    assert not snapshots.save(KEY, b"cells")
    assert not snapshots.save(OTHER, b"cells")

    assert caplog.text.count("snapshots not saved") == 1


def test_a_full_disk_leaves_no_half_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """/dev/full says that the disk is full at the first byte."""
    snapshots = opened(tmp_path)
    folder = next(iter({snapshots._folder}))
    folder.mkdir(parents=True)
    (folder / f"{KEY}.part{os.getpid()}").symlink_to("/dev/full")

    assert not snapshots.save(KEY, b"cells" * 10_000)

    assert list(folder.iterdir()) == []
    assert "No space left" in caplog.text


def test_a_folder_that_became_read_only_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(tmp_path).save(KEY, b"cells")

    def refuse(path: Path) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "utime", refuse)

    assert opened(tmp_path).load(KEY) == b"cells"


def test_what_would_push_out_what_was_just_written_is_not_written(tmp_path: Path) -> None:
    """The most useful comes first."""
    snapshots = opened(tmp_path, budget_bytes=2500)

    saved = [snapshots.save(f"{number:072x}", bytes(1000)) for number in range(4)]
    snapshots.prune()
    saved_later = snapshots.save(KEY, bytes(1000))

    assert (saved, saved_later) == ([True, True, False, False], True)


def test_the_oldest_go_when_the_folder_is_too_large(tmp_path: Path) -> None:
    keys = [f"{number:072x}" for number in range(4)]
    writer = opened(tmp_path)
    for age, key in enumerate(keys):
        writer.save(key, bytes(1000))
        os.utime(next(tmp_path.glob(f"*/{key}.kv")), (age, age))
    writer.load(keys[0])  # used again
    snapshots = opened(tmp_path, budget_bytes=2500)

    snapshots.prune()

    assert sorted(snapshots) == sorted(opened(tmp_path)) == [keys[0], keys[3]]


def test_other_models_share_the_budget(tmp_path: Path) -> None:
    opened(tmp_path, "old model").save(KEY, bytes(1000))
    os.utime(the_file(tmp_path), (1, 1))
    snapshots = opened(tmp_path, budget_bytes=1500)
    snapshots.save(KEY, bytes(1000))

    snapshots.prune()

    assert KEY in opened(tmp_path)
    assert KEY not in opened(tmp_path, "old model")


def test_what_a_killed_writer_left_is_swept_away_and_what_others_write_is_not(tmp_path: Path) -> None:
    snapshots = opened(tmp_path)
    snapshots.save(KEY, b"cells")
    left, written = (the_file(tmp_path).with_suffix(suffix) for suffix in (".part1234", ".part5678"))
    for partial in (left, written):
        partial.write_bytes(b"half of it")
    os.utime(left, (time.time() - 100,) * 2)

    snapshots.prune()

    assert (left.exists(), written.exists(), list(opened(tmp_path))) == (False, True, [KEY])


def test_without_a_budget_nothing_is_written(tmp_path: Path) -> None:
    assert not opened(tmp_path, budget_bytes=0).save(KEY, b"cells")
    assert list(tmp_path.iterdir()) == []
