"""Files of other programs become blobs by the cheapest way that works, and the way is said."""

import errno
import os
from pathlib import Path

import pytest
from fakes.store_files import digest_of

from ollamapy.errors import StoreError
from ollamapy.names import Digest
from ollamapy.store import place as places
from ollamapy.store.layout import Layout
from ollamapy.store.place import place

CONTENT = b"weights" * 1000
DIGEST = Digest.parse(digest_of(CONTENT))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(CONTENT)
    return path


def refuse(*_: object) -> None:
    raise OSError(errno.EXDEV, "Invalid cross-device link")


@pytest.mark.parametrize(
    ("refused", "methods"),
    [
        ([], {"reflink", "hard link"}),
        (["_reflink"], {"hard link"}),
        (["_reflink", "link"], {"symlink"}),
        (["_reflink", "link", "symlink"], {"copy"}),
    ],
)
def test_what_the_disk_refuses_is_followed_by_the_next_way(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: list[str], methods: set[str]
) -> None:
    layout = Layout(tmp_path / "models")
    for name in refused:
        monkeypatch.setattr(places if name == "_reflink" else os, name, refuse)

    method = place(source, layout, DIGEST)

    blob = layout.blob(DIGEST)
    assert method in methods
    assert blob.read_bytes() == CONTENT
    assert blob.is_symlink() == (method == "symlink")
    assert (blob.stat().st_ino == source.stat().st_ino) == (method in ("hard link", "symlink"))
    assert [path.name for path in layout.blobs.iterdir()] == [DIGEST.filename]


def test_a_link_of_the_hugging_face_cache_leads_to_the_file_itself(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "_reflink", refuse)
    monkeypatch.setattr(os, "link", refuse)
    link = tmp_path / "snapshot.gguf"
    link.symlink_to(source.name)
    layout = Layout(tmp_path / "models")

    assert place(link, layout, DIGEST) == "symlink"

    assert layout.blob(DIGEST).readlink() == source


def test_a_file_that_is_gone_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "models")

    with pytest.raises(StoreError, match="no such file"):
        place(tmp_path / "gone", layout, DIGEST)

    assert not layout.blobs.exists()
