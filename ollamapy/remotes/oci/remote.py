"""A model in a registry: its manifest, and each of its blobs as a remote of its own.

Blobs are remotes so that two pulls of one blob share a transfer; each opens its own session, because whoever began it
may leave first. httpx and what it brings take 10 MB, so it is imported when a registry is asked.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from ollamapy.errors import Error, InvalidDigest, InvalidInput, InvalidName, RemoteError
from ollamapy.names import DEFAULT_HOST, Digest, ModelName
from ollamapy.remotes.base import BlobSink, Entry, Report, Source, already_there
from ollamapy.remotes.hosts import Hosts
from ollamapy.remotes.threads import in_thread
from ollamapy.wire.artefact import INDEXES, OCI_MANIFEST, choose_platform
from ollamapy.wire.manifest import MANIFEST_TYPE, Layer, Manifest, decode_manifest

if TYPE_CHECKING:
    from ollamapy.remotes.oci.session import Session
    from ollamapy.remotes.oci.source import Source as BlobSource

T = TypeVar("T")

log = logging.getLogger(__name__)

MAX_MANIFEST_BYTES = 4 << 20
_OTHERS_HINT = "what Docker, RamaLama and others made is pulled by oci://HOST/NAMESPACE/MODEL:TAG"
_NEEDS_MLX = "this model requires MLX support, but the MLX runtime is not available"


@dataclass(frozen=True, slots=True)
class Found:
    """A model as its registry has it: the manifest's bytes, what they say, and the token by which `host` gave them."""

    raw: bytes
    manifest: Manifest
    token: str
    host: str = ""


@dataclass(frozen=True, slots=True)
class Registry:
    """The registry of `name`."""

    name: ModelName
    key_file: Path
    insecure: bool = False
    hosts: Hosts = field(default_factory=Hosts)

    @property
    def places(self) -> "list[Registry]":
        """Where to ask for the model: the mirrors of its registry, then the registry itself."""
        mirrors = [urlsplit(mirror) for mirror in self.hosts.of(self.name.host).mirrors]
        is_oci = self.name.scheme == "oci"
        names = [
            replace(self.name, host=mirror.netloc, scheme="oci" if is_oci else mirror.scheme) for mirror in mirrors
        ]
        insecure = [mirror.scheme == "http" for mirror in mirrors]
        return [*(replace(self, name=name, insecure=plain) for name, plain in zip(names, insecure, strict=True)), self]

    def open(self) -> "Session":
        """Raises RemoteError for plain http that was not allowed."""
        from ollamapy.remotes.oci.session import Session

        access = self.hosts.of(self.name.host)
        return Session.open(self.name, self.key_file, insecure=self.insecure, access=access)

    async def fetch_manifest(self) -> Found:
        """What the first place that answers says. Raises RemoteError, InvalidDigest."""
        return await _first_of(self.places, lambda place: place._fetch_manifest())

    async def _fetch_manifest(self) -> Found:
        async with self.open() as session:
            try:
                raw = await self._manifest(session, self.name.tag)
                manifest = decode_manifest(raw)
                if manifest.media_type in INDEXES:
                    raw = await self._manifest(session, choose_platform(raw))
                    manifest = decode_manifest(raw)
            except (RemoteError, InvalidInput) as error:
                hint = error.hint or self._hint(error, is_oci=session.is_oci)
                raise RemoteError(f"pull model manifest: {error.message}", hint=hint) from error
            self._check(manifest)
            return Found(raw, manifest, session.token, self.name.host)

    def _hint(self, error: Error, *, is_oci: bool) -> str:
        """What may help. A registry that was not reached says nothing about who made the model."""
        from ollamapy.remotes.oci.session import Lost

        if isinstance(error, Lost):
            return "check the network"
        return "" if is_oci or self.name.host == DEFAULT_HOST else _OTHERS_HINT

    async def _manifest(self, session: "Session", reference: str) -> bytes:
        accepted = ", ".join((OCI_MANIFEST, MANIFEST_TYPE, *INDEXES)) if session.is_oci else MANIFEST_TYPE
        path = f"/v2/{self.name.repository}/manifests/{reference}"
        return await session.get(path, {"Accept": accepted}, MAX_MANIFEST_BYTES)

    async def put_manifest(self, raw: bytes, media_type: str) -> None:
        """Makes the manifest, whose blobs the registry has, the one of the name. Raises RemoteError."""
        path = f"/v2/{self.name.repository}/manifests/{self.name.tag}"
        async with self.open() as session:
            url = f"{session.base}{path}"
            async with session.send("PUT", url, {"Content-Type": media_type}, raw):
                return

    async def put_blob(self, layer: Layer, path: Path, report: Report) -> Digest:
        """Brings the blob at `path` into the registry. Raises RemoteError, StoreError."""
        from ollamapy.remotes.oci.upload import Upload

        async with self.open() as session:
            source = _repository_of(layer.source) if layer.source else ""
            upload = Upload(
                session, self.name.repository, Digest.parse(layer.digest), layer.size, path, report, mount_from=source
            )
            return await upload.run()

    def blobs(self, found: Found) -> list["OciBlob"]:
        """The blobs of a model, layers first, each once."""
        layers = {layer.digest: layer for layer in found.manifest.blobs}
        token = found.token if found.host == self.name.host else ""
        places = self.places
        start = next((n for n, place in enumerate(places) if place.name.host == found.host), 0)
        return [OciBlob(self, layer, token, tuple(places[start:])) for layer in layers.values()]

    def _check(self, manifest: Manifest) -> None:
        for layer in manifest.blobs:
            if layer.kind == "tensor":
                raise RemoteError(_NEEDS_MLX)
            if not layer.digest:
                raise RemoteError(f"{self.name.repository}: digest is empty")
            Digest.parse(layer.digest)
            if layer.size < 0:
                raise RemoteError(f"{self.name.repository}: the blob {layer.digest} has a size of {layer.size}")


OnDrop = Callable[[Exception], None]


@dataclass(frozen=True, slots=True)
class OciBlob:
    """A Remote: one blob of a registry, at the `places` that did not fail before, or wherever the registry says."""

    registry: Registry
    layer: Layer
    token: str = ""
    places: tuple[Registry, ...] = ()

    @property
    def digest(self) -> Digest:
        return Digest.parse(self.layer.digest)

    @property
    def entry(self) -> Entry:
        location = f"/v2/{self.registry.name.repository}/blobs/{self.layer.digest}"
        return Entry(self.registry.name, Source("oci", location, digest=self.digest, size=self.layer.size))

    async def fetch(self, blobs: BlobSink, report: Report, peers: Sequence[tuple[Registry, OnDrop]] = ()) -> Digest:
        """Brings the blob into `blobs`, from `peers` as long as one is left. Raises RemoteError, StoreError."""
        from ollamapy.remotes.oci.download import Download

        source = self.entry.source
        if digest := await in_thread(lambda stop: already_there(source, blobs, report)):
            return digest
        async with AsyncExitStack() as stack:
            sources = [await self._source(stack, peer, 0, on_drop) for peer, on_drop in peers]
            known = {peer.name.host for peer, _ in peers}
            for rank, place in enumerate(self.places or self.registry.places, 1):
                if place.name.host not in known:
                    sources.append(await self._source(stack, place, rank, partial(_passed_over, place)))
            try:
                return await Download(sources, self.digest, self.layer.size, blobs, report).run()
            except InvalidDigest as error:
                raise RemoteError(error.message, hint="the registry sent something else; pull again") from error

    async def _source(self, stack: AsyncExitStack, place: Registry, rank: int, on_drop: OnDrop) -> "BlobSource":
        from ollamapy.remotes.oci.source import Source as BlobSource

        session = await stack.enter_async_context(place.open())
        if place == self.registry:
            session.token = self.token or session.token
        path = f"/v2/{place.name.repository}/blobs/{self.layer.digest}"
        return BlobSource(session, path, self.digest, self.layer.size, rank, on_drop)


def _passed_over(place: Registry, reason: Exception) -> None:
    log.warning("source passed over host=%s reason=%r", place.name.host, str(reason))


async def _first_of(places: Sequence[Registry], ask: Callable[[Registry], Awaitable[T]]) -> T:
    """What the first place answers that can. Raises the RemoteError of the last one, the registry itself."""
    for place in places[:-1]:
        try:
            return await ask(place)
        except (RemoteError, InvalidDigest) as error:
            log.warning("mirror passed over host=%s reason=%r", place.name.host, error.message)
    return await ask(places[-1])


def _repository_of(source: str) -> str:
    """The repository of the model that a layer came from; none for what is no name."""
    try:
        return ModelName.parse(source).repository
    except InvalidName:
        return ""
