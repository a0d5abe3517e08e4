"""A model directory moves whole, across disks too, and a move that was killed goes on."""

import os
import signal
import sys
from pathlib import Path

import pytest
from fakes.store_files import tree, write_blob, write_model

from ollamapy.errors import InvalidInput, StoreError
from ollamapy.store import move as moves
from ollamapy.store.layout import Layout
from ollamapy.store.lock import StoreLock
from ollamapy.store.move import move
from ollamapy.store.store import Store


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "old"
    write_model(root, "registry.ollama.ai/library/m/latest", b"w" * 5000, template=b"t")
    write_model(root, "hf.co/o/r/q4", b"v" * 5000)
    (root / "blobs" / "sha256-1-partial").write_bytes(b"begun")
    (root / "blobs" / ".ollamapy-0").write_bytes(b"being written")
    return root


def quietly(path: Path, size: int) -> None:
    pass


def another_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)


@pytest.mark.parametrize("is_another_disk", [False, True])
def test_everything_but_unfinished_writes_arrives_and_the_old_folder_goes(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_another_disk: bool
) -> None:
    if is_another_disk:
        another_disk(monkeypatch)
    before = tree(source) - {"blobs/.ollamapy-0"}

    assert move(source, tmp_path / "new", quietly) == 2

    assert tree(tmp_path / "new") == before
    Store(tmp_path / "new").check(contents=True)
    assert tree(source) <= {"blobs/.ollamapy-0"}


def test_a_symlinked_blob_leads_to_the_same_file(source: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    digest = write_blob(source, b"x").replace(":", "-")
    (source / "blobs" / digest).rename(elsewhere)
    (source / "blobs" / digest).symlink_to("../../elsewhere")

    move(source, tmp_path / "far" / "away", quietly)

    assert (tmp_path / "far/away/blobs" / digest).read_bytes() == b"x"
    assert elsewhere.exists()


def test_a_damaged_blob_stops_the_move_before_anything_is_removed(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    another_disk(monkeypatch)
    blob = next(path for path in (source / "blobs").iterdir() if path.stat().st_size == 5000)
    blob.write_bytes(b"!" * 5000)
    before = tree(source)

    with pytest.raises(StoreError, match="is damaged"):
        move(source, tmp_path / "new", quietly)

    assert tree(source) == before


def test_a_store_in_use_and_a_folder_with_other_things_are_refused(source: Path, tmp_path: Path) -> None:
    lock = StoreLock(Layout(source).lock)
    lock.acquire()
    with pytest.raises(StoreError, match="in use by another ollamapy daemon"):
        move(source, tmp_path / "new", quietly)
    lock.release()

    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    with pytest.raises(InvalidInput, match="is not empty"):
        move(source, tmp_path / "full", quietly)
    with pytest.raises(InvalidInput, match="into itself"):
        move(source, source / "sub", quietly)
    with pytest.raises(InvalidInput, match="no model directory"):
        move(tmp_path / "nowhere", tmp_path / "new", quietly)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the child does nothing but the move
@pytest.mark.parametrize("is_another_disk", [False, True])
def test_a_move_that_is_killed_anywhere_leaves_one_whole_store_and_goes_on(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_another_disk: bool
) -> None:
    if is_another_disk:
        another_disk(monkeypatch)
    target, deaths = tmp_path / "new", 0

    while dies(source, target, 1 + 7 * deaths):
        deaths += 1
        assert is_whole(source) or is_whole(target)

    assert deaths >= 20
    assert is_whole(target)
    Store(target).check(contents=True)
    assert not list((target / "manifests").rglob(".*"))


def is_whole(root: Path) -> bool:
    store = Store(root)
    try:
        store.check(contents=True)
    except StoreError:
        return False
    return len(store.manifests.names()) == 2


def dies(source: Path, target: Path, line: int) -> bool:
    """Whether a move that is to end before the given line of `move.py` comes so far."""
    child = os.fork()
    if child == 0:
        left = line

        def trace(frame: object, event: str, argument: object) -> object:
            nonlocal left
            if frame.f_code.co_filename != moves.__file__:  # type: ignore[attr-defined]
                return None
            left -= event == "line"
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)  # type: ignore[arg-type]
        move(source, target, quietly)
        sys.settrace(None)
        os._exit(0)
    return os.waitpid(child, 0)[1] == signal.SIGKILL
