"""GGUF files out of archives, honest and hostile."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest
from fakes.gguf_files import echo_gguf, tiny_model

from ollamapy.errors import Cancelled, RemoteError, StoreError
from ollamapy.remotes.threads import Stop
from ollamapy.remotes.unpack import unpack
from ollamapy.store.store import Store


def archive(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("models/model.file")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return buffer.getvalue()


def unpacked(store: Store, data: bytes, folder: Path) -> dict[str, bytes]:
    (folder / "layer").write_bytes(data)
    found = unpack(folder / "layer", store.blobs, Stop())
    return {name: store.blobs.path(digest).read_bytes() for name, digest in found}


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_gguf_files_are_known_by_their_first_bytes_and_nothing_else_is_touched(
    store: Store, tmp_path: Path, pack: type[bytes]
) -> None:
    data = archive(
        ("models/blobs/sha256-a", echo_gguf()), ("../../up/m.gguf", tiny_model()), ("x.gguf", b"no"), ("e", b"")
    )

    assert unpacked(store, pack(data), tmp_path) == {"sha256-a": echo_gguf(), "m.gguf": tiny_model()}
    assert not (tmp_path.parent / "up").exists()


@pytest.mark.parametrize(
    "data",
    [b"", b"no archive" * 100, gzip.compress(archive())[:-30], archive(("m", tiny_model()))[:1000]],
)
def test_what_is_no_whole_archive_is_an_error(store: Store, tmp_path: Path, data: bytes) -> None:
    with pytest.raises(RemoteError):
        unpacked(store, data, tmp_path)


def test_a_header_that_claims_gigabytes_is_not_read(store: Store, tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 40

    with pytest.raises(RemoteError, match="a header of 1099511627776 bytes"):
        unpacked(store, info.tobuf(tarfile.GNU_FORMAT) + bytes(4096), tmp_path)


def test_a_file_that_claims_more_than_the_disk_has_is_refused(store: Store, tmp_path: Path) -> None:
    info = tarfile.TarInfo("m.gguf")
    info.size = 1 << 60

    with pytest.raises(StoreError, match="no room for the model"):
        unpacked(store, info.tobuf(tarfile.GNU_FORMAT) + tiny_model() + bytes(4096), tmp_path)


def test_it_stops_when_it_is_told_to(store: Store, tmp_path: Path) -> None:
    (tmp_path / "layer").write_bytes(archive(("m", tiny_model())))
    stop = Stop()
    stop.set()

    with pytest.raises(Cancelled):
        unpack(tmp_path / "layer", store.blobs, stop)
