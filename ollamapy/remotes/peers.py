"""Other ollamapys: daemons that give models out as registries do. Asked before the internet, and instead of it.

Owns who is a peer during one pull. What peers send counts by its digest, so all that have a blob give parts of it at
once; one that sends something else, or nothing, is dropped for the rest of the pull. A manifest from a peer is its
word: a pull takes it when it was told to, or when the registry cannot be reached, and says so.
"""

import asyncio
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from ollamapy.errors import InvalidDigest, InvalidInput, RemoteError
from ollamapy.names import Digest, ModelName
from ollamapy.remotes.base import BlobSink, Entry, Report, is_web_url
from ollamapy.remotes.oci.remote import Found, OciBlob, Registry
from ollamapy.settings import Host

PROBE_SECONDS = 3.0
"""A peer that is switched off must not hold up a pull."""
_ADDRESS = re.compile(r"[A-Za-z0-9_.:\[\]-]+\Z")

log = logging.getLogger(__name__)


def peer_at(where: str, name: ModelName, key_file: Path) -> Registry:
    """The model `name` at the peer `host[:port]`, 11434 by default. Raises InvalidInput."""
    host = Host.parse(where)
    address = urlsplit(host.url).netloc if is_web_url(host.url) else ""
    if host.path or not _ADDRESS.match(address):
        raise InvalidInput(f"{where!r} is no peer", hint="a peer is HOST or HOST:PORT of another ollamapy")
    namespace, _, model = name.served_repository.rpartition("/")
    there = ModelName(address, namespace, model, name.tag, host.scheme)
    return Registry(there, key_file, insecure=host.scheme == "http")


@dataclass(slots=True)
class Peers:
    """One model at several peers, without those that failed. `named` are those whose word counts."""

    registries: list[Registry]
    named: list[Registry]

    @classmethod
    def of(cls, places: Iterable[str], name: ModelName, key_file: Path, found: Iterable[str] = ()) -> Self:
        """The peers that somebody named, and those that were `found` in the network. Raises InvalidInput."""
        named = [peer_at(where, name, key_file) for where in places]
        others = [peer_at(where, name, key_file) for where in found]
        return cls([*named, *(peer for peer in others if peer not in named)], named)

    async def manifest(self) -> tuple[Registry, Found] | None:
        """The first named peer that has the model, and its manifest."""
        for peer in self.named:
            try:
                async with asyncio.timeout(PROBE_SECONDS):
                    return peer, await peer.fetch_manifest()
            except (RemoteError, InvalidDigest, TimeoutError) as error:
                log.info("peer has no manifest peer=%s reason=%r", peer.name.host, str(error))
        return None

    async def with_blob(self, digest: Digest) -> list[Registry]:
        """The peers that say that they have the blob, asked at once."""
        asked = list(self.registries)
        answers = await asyncio.gather(*(self._has(peer, digest) for peer in asked))
        return [peer for peer, has in zip(asked, answers, strict=True) if has and peer in self.registries]

    async def _has(self, peer: Registry, digest: Digest) -> bool:
        from ollamapy.remotes.oci.session import Status

        try:
            async with (
                asyncio.timeout(PROBE_SECONDS),
                peer.open() as session,
                session.follow("HEAD", f"/v2/{peer.name.repository}/blobs/{digest}"),
            ):
                return True
        except Status as error:
            if error.number != 404:
                self.drop(peer, error)
        except (RemoteError, TimeoutError) as error:
            self.drop(peer, error)
        return False

    def drop(self, peer: Registry, reason: Exception) -> None:
        """Nothing more is asked of this peer."""
        if peer in self.registries:
            self.registries.remove(peer)
            log.warning("peer dropped peer=%s reason=%r", peer.name.host, str(reason) or type(reason).__name__)


@dataclass(frozen=True, slots=True)
class PeeredBlob:
    """A Remote: a blob of a registry, from the peers that have it or else from the registry."""

    blob: OciBlob
    peers: Peers

    @property
    def digest(self) -> Digest:
        return self.blob.digest

    @property
    def entry(self) -> Entry:
        return self.blob.entry

    async def fetch(self, blobs: BlobSink, report: Report) -> Digest:
        """Brings the blob into `blobs`. Raises RemoteError, StoreError."""
        is_there = await asyncio.to_thread(blobs.has, self.digest)
        peers = [] if is_there else await self.peers.with_blob(self.digest)
        digest = await self.blob.fetch(blobs, report, [(peer, partial(self.peers.drop, peer)) for peer in peers])
        if kept := [peer.name.host for peer in peers if peer in self.peers.registries]:
            log.info("blob from peers digest=%s peers=%s", digest.short, ",".join(kept))
        return digest


def is_unreachable(error: RemoteError) -> bool:
    """True when no answer came, so that a peer may answer instead; a refusal is an answer."""
    from ollamapy.remotes.oci.session import Lost

    return isinstance(error.__cause__, Lost)
