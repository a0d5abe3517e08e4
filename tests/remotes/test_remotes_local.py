import asyncio
import hashlib
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from ollamapy.errors import RemoteError
from ollamapy.names import Digest, ModelName
from ollamapy.remotes.base import Entry, Source, pulling
from ollamapy.remotes.catalogue import Catalogue
from ollamapy.remotes.local import LocalRemote
from ollamapy.store.store import Store
from ollamapy.wire.native import Progress

CONTENT = bytes(range(256)) * 10_000
DIGEST = Digest(hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(CONTENT)
    return path


def remote(path: Path, **known: Any) -> LocalRemote:
    return LocalRemote(Entry(ModelName.parse("tiny"), Source("file", str(path), **known)))


def fail(store: Store, which: LocalRemote, text: str) -> None:
    with pytest.raises(RemoteError, match=text):
        asyncio.run(which.fetch(store.blobs, lambda line: None))

    assert store.blobs.files() == []


def test_a_file_is_copied_so_that_its_owner_may_change_it(store: Store, file: Path) -> None:
    lines: list[Progress] = []

    digest = asyncio.run(remote(file).fetch(store.blobs, lines.append))

    file.write_bytes(b"changed")
    assert digest == DIGEST
    assert store.blobs.path(digest).read_bytes() == CONTENT
    assert lines[0] == Progress("pulling tiny.gguf", total=len(CONTENT))
    assert lines[-1] == Progress("pulling tiny.gguf", total=len(CONTENT), completed=len(CONTENT))


def test_the_shipped_echo_model_is_pulled_from_its_file(store: Store) -> None:
    entry = Catalogue.load().find(ModelName.parse("echo"))
    assert entry is not None

    assert asyncio.run(LocalRemote(entry).fetch(store.blobs, lambda line: None)) == entry.source.digest


def test_a_file_that_is_not_what_the_catalogue_says_is_refused(store: Store, file: Path) -> None:
    fail(store, remote(file, digest=Digest("0" * 64)), "^digest mismatch, file must be downloaded again")
    fail(store, remote(file, size=len(CONTENT) + 1), f"ends after {len(CONTENT)} of the {len(CONTENT) + 1} bytes")
    fail(store, remote(file, size=len(CONTENT) - 1), f"larger than the {len(CONTENT) - 1} bytes")


def test_what_is_no_file_is_refused(store: Store, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    fail(store, remote(tmp_path / "absent.gguf"), r"cannot read .*absent\.gguf: No such file")
    fail(store, remote(tmp_path), "not a file")
    fail(store, remote(tmp_path / "pipe"), "not a file")


def test_a_cancelled_copy_leaves_nothing(store: Store, file: Path) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def report(line: Progress) -> None:
        if 0 < line.completed < len(CONTENT):
            reached.set()
            go_on.wait(30)

    async def main() -> None:
        task = asyncio.create_task(remote(file).fetch(store.blobs, report))
        await asyncio.to_thread(reached.wait, 30)
        task.cancel()
        asyncio.get_running_loop().call_soon(go_on.set)
        await asyncio.wait({task})
        assert task.cancelled()

    asyncio.run(main())

    assert store.blobs.files() == []


def test_a_blob_of_the_right_name_and_the_wrong_size_is_fetched_again(store: Store, file: Path) -> None:
    """A disk that lost power may hold one."""
    store.blobs.path(DIGEST).write_bytes(b"")

    asyncio.run(remote(file, digest=DIGEST, size=len(CONTENT)).fetch(store.blobs, lambda line: None))

    assert store.blobs.size(DIGEST) == len(CONTENT)


def test_the_line_of_a_fetch_names_the_digest_or_else_the_file() -> None:
    known = Source("wheel", "tiny==1", "folder/tiny.gguf", DIGEST, 100)

    assert pulling(known, 40) == Progress(f"pulling {DIGEST.short}", str(DIGEST), 100, 40)
    assert pulling(Source("url", "https://a.example/x/tiny.gguf?a=/b#c"), 1).status == "pulling tiny.gguf"
