"""`POST /api/fsck`: what is wrong in the store, and mending it.

What is damaged is set aside, never deleted, and then only what is missing is fetched again: a pull keeps every blob
that is there. A model that was made here keeps its manifest, whatever has its name elsewhere. Files of no model go as
they do when the daemon starts.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ollamapy.actions.pull import pull
from ollamapy.actions.services import Services
from ollamapy.errors import Error, NotFound, RemoteError, StoreError
from ollamapy.names import Digest, ModelName
from ollamapy.remotes.base import Remote
from ollamapy.remotes.find import find_remote, parts_of
from ollamapy.remotes.hosts import Hosts
from ollamapy.remotes.oci.remote import Registry
from ollamapy.remotes.threads import Stop, in_thread
from ollamapy.store.files import disk_faults
from ollamapy.store.store import Store
from ollamapy.store.survey import survey
from ollamapy.wire.care import Fault, FsckLine, FsckRequest
from ollamapy.wire.native import PullRequest

PROGRESS_SECONDS = 0.1
_DAMAGED = ("size", "content")

log = logging.getLogger(__name__)


async def fsck(services: Services, request: FsckRequest) -> AsyncGenerator[FsckLine, None]:
    """Progress, each fault as it is found or mended, and the counts. Raises StoreError."""
    yield FsckLine("checking")
    lines: asyncio.Queue[FsckLine | None] = asyncio.Queue()
    found = _Found()
    work = asyncio.create_task(_survey(services.store, request.deep, lines, found))
    try:
        while line := await lines.get():
            yield line
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    work.result()
    num_repaired = 0
    if request.repair:
        async with aclosing(_repair(services, found.faults)) as repairs:
            async for fault in repairs:
                num_repaired += fault.is_repaired
                yield FsckLine("repairing", fault=fault)
    yield FsckLine(
        "success",
        num_models=found.num_models,
        num_blobs=found.num_blobs,
        num_faults=len(found.faults),
        num_repaired=num_repaired,
    )


@dataclass(slots=True)
class _Found:
    faults: list[Fault] = field(default_factory=list)
    num_models: int = 0
    num_blobs: int = 0


async def _survey(store: Store, deep: bool, lines: "asyncio.Queue[FsckLine | None]", found: _Found) -> None:
    """Looks through the store in a thread and puts a line for whatever it meets, None at the end."""
    loop = asyncio.get_running_loop()

    def tell(line: FsckLine | None) -> None:
        loop.call_soon_threadsafe(lines.put_nowait, line)

    def look(stop: Stop) -> None:
        last = 0.0

        def on_progress(done: int, total: int) -> None:
            nonlocal last
            stop.check()
            if time.monotonic() - last > PROGRESS_SECONDS:
                last = time.monotonic()
                tell(FsckLine("checking", total, done))

        for fault in survey(store, deep=deep, now=time.time(), on_progress=on_progress):
            found.faults.append(fault)
            tell(FsckLine("checking", fault=fault))
        found.num_models, found.num_blobs = len(store.manifests.names()), len(store.blobs.digests())

    try:
        await in_thread(look)
    finally:
        lines.put_nowait(None)


async def _repair(services: Services, faults: list[Fault]) -> AsyncGenerator[Fault, None]:
    """Mends each fault in turn; a model that was fetched again mends all of its faults at once."""
    outcomes: dict[str, str] = {}
    for fault in faults:
        try:
            text, is_repaired = await _mend(services, fault, outcomes)
        except Error as error:
            text, is_repaired = error.message, False
        log.info("fault kind=%s path=%s repaired=%s text=%r", fault.kind, fault.path, is_repaired, text)
        yield msgspec.structs.replace(fault, repair=text, is_repaired=is_repaired)


async def _mend(services: Services, fault: Fault, outcomes: dict[str, str]) -> tuple[str, bool]:
    """What was done about a fault, and whether that mended it."""
    path = Path(fault.path)
    match fault.kind:
        case "stray":
            return "left alone: it is not ours", False
        case "orphan" | "leftover":
            return await in_thread(lambda stop: _prune(services.store, path))
        case "unreadable":
            await in_thread(lambda stop: _open_up(path))
            return "made readable", True
    if fault.kind in _DAMAGED:
        await in_thread(lambda stop: _take_out(services.store, path))
    digest = services.store.layout.digest_of(path)
    failures = []
    for model in fault.models:
        failures += [text] if (text := await _fetch(services, model, digest, outcomes)) else []
        if digest is not None and await asyncio.to_thread(_is_whole, services.store, digest, fault.size_bytes):
            return "fetched again", True
    return ("; ".join(failures), False) if failures else ("fetched again", digest is None)


def _is_whole(store: Store, digest: Digest, size_bytes: int) -> bool:
    try:
        if store.blobs.size(digest) == size_bytes:
            store.blobs.verify(digest)
            return True
    except (NotFound, StoreError):
        pass
    return False


def _open_up(path: Path) -> None:
    with disk_faults(f"change the mode of {path}"):
        path.chmod(0o644)


def _prune(store: Store, path: Path) -> tuple[str, bool]:
    """Removes what no model uses. While a manifest cannot be read, nobody knows what that is."""
    store.prune_unused(time.time())
    return ("left alone: a manifest cannot be read", False) if path.exists() else ("removed", True)


def _take_out(store: Store, path: Path) -> None:
    """Sets a damaged blob aside. A manifest stays until a new one takes its place: it may be all that is left."""
    digest = store.layout.digest_of(path)
    if digest and path.exists():
        store.blobs.quarantine(digest)


def _as_pulled(store: Store, model: str) -> PullRequest | None:
    """The request that brought the model; None when it was made here, or nobody knows."""
    name = ModelName.parse(model)
    try:
        note = store.pulled.of(store.manifests.read(name))
    except (Error, StoreError):  # a broken manifest is replaced, whatever it was
        note = store.pulled.all().get(name.key)
        if note is None:
            return PullRequest(model=model)
    if note is None:
        return None
    return PullRequest(model=note.model, insecure=note.insecure, from_peer=note.from_peer, as_=note.as_)


async def _fetch(services: Services, model: str, digest: Digest | None, outcomes: dict[str, str]) -> str:
    """Why the model, or its blob, could not be fetched again; empty when it was."""
    if model in outcomes:
        return outcomes[model]
    try:
        request = await asyncio.to_thread(_as_pulled, services.store, model)
        if request is None:
            assert digest, "only what is wrong with a blob leaves a manifest readable"
            await _fetch_blob(services, model, digest)
            return ""  # the next blob of the model is another matter
        async with aclosing(pull(services, request)) as lines:
            async for _ in lines:
                pass
        stored = await asyncio.to_thread(services.store.resolve, ModelName.parse(model))
        await asyncio.to_thread(services.store.verify, stored)
        outcomes[model] = ""
    except (Error, StoreError) as error:
        outcomes[model] = f"{model} cannot be fetched again: {error.message}"
    return outcomes[model]


async def _fetch_blob(services: Services, model: str, digest: Digest) -> None:
    """One blob from where the model's name leads. Its manifest stays: somebody may have made the model here.

    Raises RemoteError, StoreError.
    """
    settings = services.settings
    hosts = await asyncio.to_thread(Hosts.load, settings.config_file)
    key_file = None if settings.offline else settings.key_file
    remote = find_remote(model, services.catalogue, key_file=key_file, hosts=hosts)
    blobs: Sequence[Remote] = (
        remote.blobs(await remote.fetch_manifest()) if isinstance(remote, Registry) else parts_of(remote)
    )
    wanted = next((blob for blob in blobs if blob.entry.source.digest == digest), None)
    if wanted is None:
        raise RemoteError("what has its name elsewhere is not this model")
    with services.store.holding([digest]):
        async with services.transfers.join(wanted, services.store.blobs) as transfer:
            await asyncio.wait({transfer.task})
            transfer.result()
