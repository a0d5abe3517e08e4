"""`GET /api/outdated`: which pulled models their sources have newer. Changes nothing.

1. not pulled by ollamapy, or changed since           not compared
2. from the catalogue: the digest that the entry promises, without a connection
3. from a registry or a peer: the digest of its manifest, asked for now
4. a file from the web has no digest to compare with  unknown
"""

import asyncio
import hashlib

import msgspec

from ollamapy.actions.services import Services
from ollamapy.errors import Error, RemoteError
from ollamapy.names import Digest, ModelName
from ollamapy.remotes.base import Source
from ollamapy.remotes.find import find_remote, parse_wanted
from ollamapy.remotes.hosts import Hosts
from ollamapy.remotes.oci.remote import Registry
from ollamapy.remotes.peers import peer_at
from ollamapy.store.manifests import StoredManifest
from ollamapy.store.pulled import Pull
from ollamapy.store.store import Store
from ollamapy.wire.sources import Checked, Freshness, Outdated

MAX_AT_ONCE = 8
"""How many sources are asked at the same time."""
PATIENCE_SECONDS = 30.0


async def outdated(services: Services) -> Outdated:
    """Every pulled model, compared. Raises RemoteError when that needs connections that the settings forbid."""
    notes, num_others = await asyncio.to_thread(_notes, services.store)
    hosts = await asyncio.to_thread(Hosts.load, services.settings.config_file)
    gate = asyncio.Semaphore(MAX_AT_ONCE)

    async def checked(stored: StoredManifest, pull: Pull, source: Source | Registry | Error) -> Checked:
        async with gate:
            found = await _checked(stored, pull, source)
        asked = pull.model if "://" in pull.model else ""
        return msgspec.structs.replace(found, insecure=pull.insecure, from_peer=pull.from_peer, asked=asked)

    sources = [(stored, pull, _source(services, hosts, pull)) for stored, pull in notes]
    return Outdated(tuple(await asyncio.gather(*(checked(*known) for known in sources))), num_others)


def _notes(store: Store) -> tuple[list[tuple[StoredManifest, Pull]], int]:
    """The models that are what was pulled, by name; how many others there are."""
    stored = list(store.manifests.all())
    found = [(model, pull) for model in stored if (pull := store.pulled.of(model))]
    return sorted(found, key=lambda note: note[0].name.short), len(stored) - len(found)


def _source(services: Services, hosts: Hosts, pull: Pull) -> Source | Registry | Error:
    """Where a pull of the same words would go now, or why it would go nowhere. Raises RemoteError when offline."""
    settings = services.settings
    try:
        wanted = parse_wanted(pull.model, insecure=pull.insecure)
        if pull.from_peer and isinstance(wanted, ModelName):
            return peer_at(pull.from_peer, wanted, settings.key_file)
        remote = find_remote(
            wanted, services.catalogue, insecure=pull.insecure, key_file=settings.key_file, hosts=hosts
        )
    except Error as error:
        return error
    if not isinstance(remote, Registry):
        return remote.entry.source
    if settings.offline:
        raise RemoteError(f"{remote.name.host} is not asked for newer models", hint="OLLAMAPY_OFFLINE forbids it")
    return remote


async def _checked(stored: StoredManifest, pull: Pull, source: Source | Registry | Error) -> Checked:
    if isinstance(source, Source):
        return compare_files(stored, source)
    if not pull.source:
        return Checked(stored.name.short, "unknown", stored.digest, reason="it came as a file, without a manifest")
    try:
        if isinstance(source, Error):
            raise source
        async with asyncio.timeout(PATIENCE_SECONDS):
            found = await source.fetch_manifest()
    except (Error, TimeoutError) as error:
        reason = error.message if isinstance(error, Error) else f"no answer in {PATIENCE_SECONDS:g} seconds"
        return Checked(stored.name.short, "unknown", stored.digest, reason=reason)
    return compare(stored, pull.source, hashlib.sha256(found.raw).hexdigest())


def compare(stored: StoredManifest, pulled: str, available: str) -> Checked:
    """The manifest that was pulled with the one that there is now, by their digests in hex."""
    status: Freshness = "current" if available == pulled else "outdated"
    return Checked(stored.name.short, status, pulled, available)


def compare_files(stored: StoredManifest, source: Source) -> Checked:
    """With a file: its digest, where it is known, is that of a model's weights."""
    name = stored.name.short
    if source.digest is None:
        return Checked(name, "unknown", stored.digest, reason=f"a {source.kind} has no digest to compare with")
    weights = [Digest.parse(layer.digest) for layer in stored.manifest.layers if layer.kind == "model"]
    status: Freshness = "current" if source.digest in weights else "outdated"
    return Checked(name, status, stored.digest, source.digest.hex)
