"""A model file on a web server.

Owns the download: resumed where it broke off, tried again when a fault may pass, never from https to http, without
credentials. What an answer means is decided in `answer.py`; the bytes so far are kept by `partial.py`.
"""

import asyncio
import contextlib
import hashlib
import logging
import platform
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import httpx

from ollamapy import __version__
from ollamapy.errors import RemoteError
from ollamapy.names import Digest
from ollamapy.remotes import pace
from ollamapy.remotes.answer import (
    MAX_REDIRECTS,
    Body,
    Outdated,
    Transient,
    can_resume,
    next_url,
    range_headers,
    read_answer,
    require_secure_file,
)
from ollamapy.remotes.authorities import CA_HINT, certificates
from ollamapy.remotes.base import BlobSink, Entry, Report, already_there, pulling, verifying
from ollamapy.remotes.hosts import Access, Hosts
from ollamapy.remotes.inside import check_redirect
from ollamapy.remotes.partial import Mark, Partial
from ollamapy.remotes.pour import digest_checked, require_room
from ollamapy.remotes.promised import promised_by, promised_by_redirect
from ollamapy.remotes.threads import in_thread

_WRITE_BYTES = 1 << 20
_ADVANCE_BYTES = 1 << 20
"""An attempt that came this much further than all before it was no failure in a row of failures."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long faults are put up with. `tries` counts failures in a row; `first_tries` holds until a server answers."""

    tries: int = 6
    first_tries: int = 3
    stall_seconds: float = 30.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def pause(self, failures: int) -> float:
        """Seconds before the next try: 0.5, 1, 2 … 8, give or take a half so that clients spread."""
        return min(8.0, 2.0 ** (failures - 2)) * random.uniform(0.5, 1.5)


@dataclass(frozen=True, slots=True)
class UrlRemote:
    """The file at `entry.source.location`. `insecure` allows plain http; `hosts` has proxies and authorities."""

    entry: Entry
    insecure: bool = False
    patience: Patience = field(default_factory=Patience)
    hosts: Hosts = field(default_factory=Hosts)

    async def fetch(self, blobs: BlobSink, report: Report) -> Digest:
        """Downloads the file into `blobs`; what came so far stays for the next attempt when this one fails."""
        source = self.entry.source
        if digest := await in_thread(lambda stop: already_there(source, blobs, report)):
            return digest
        key = hashlib.sha256(f"{source.location} {source.key}".encode()).hexdigest()[:32]
        partial = Partial(await in_thread(lambda stop: blobs.partial_path(f"url-{key}")))
        access = self.hosts.of(urlsplit(source.location).netloc)
        async with await in_thread(lambda stop: _client(self.patience, access)) as client:
            download = _Download(self, client, blobs, partial, report)
            try:
                await download.run()
            except _Here as here:
                partial.discard()
                return here.digest
        report(verifying())
        return await in_thread(lambda stop: self._adopt(blobs, partial, download.promised))

    def _adopt(self, blobs: BlobSink, partial: Partial, promised: Digest | None) -> Digest:
        """A file that turns out to be another one goes; after a fault of the disk it stays."""
        try:
            with digest_checked("the server" if promised else "the catalogue"):
                digest = blobs.adopt(partial.path, self.entry.source.digest or promised)
        except RemoteError:
            partial.discard()
            raise
        partial.discard()
        return digest


class _Here(Exception):
    """The store has the file already."""

    def __init__(self, digest: Digest) -> None:
        super().__init__(str(digest))
        self.digest = digest


@dataclass(slots=True)
class _Download:
    """One download in progress: `here` is the version being fetched and the bytes of it in `partial`."""

    remote: UrlRemote
    client: httpx.AsyncClient
    blobs: BlobSink
    partial: Partial
    report: Report
    here: tuple[Mark, int] | None = None
    furthest: int = 0
    """The highest offset that an attempt reached; a server that repeats itself gets no further."""
    was_answered: bool = False
    promised: Digest | None = None
    """What the server says that the file is, when nobody else does."""

    async def run(self) -> None:
        """Ends when the whole file is in `partial`. Raises RemoteError, StoreError."""
        self.here = await in_thread(lambda stop: self.partial.load())
        self._take_promise(Digest.parse(self.here[0].digest) if self.here and self.here[0].digest else None)
        failures = 0
        while not self._is_complete():
            before = self.furthest
            try:
                await self._attempt()
                return
            except Outdated:
                self.here = None
            except Transient as error:
                failures = 1 if self.furthest - before >= _ADVANCE_BYTES else failures + 1
                await self._wait(failures, error)

    def _resumable(self) -> tuple[Mark, int] | None:
        """What a Range request can continue."""
        has_digest = (self.remote.entry.source.digest or self.promised) is not None
        return self.here if self.here and self.here[1] and can_resume(self.here[0], has_digest=has_digest) else None

    def _is_complete(self) -> bool:
        return self.here is not None and self.here[0].size == self.here[1]

    async def _wait(self, failures: int, error: Transient) -> None:
        patience = self.remote.patience
        if failures >= (patience.tries if self.was_answered else patience.first_tries):
            raise RemoteError(
                f"max retries exceeded: {error.message}",
                hint="pull again to continue where it broke off" if self.furthest else "check the network",
            ) from error
        pause = patience.pause(failures)
        log.info("download interrupted failures=%d pause_seconds=%.1f reason=%r", failures, pause, error.message)
        await patience.sleep(pause)

    async def _attempt(self) -> None:
        asked = self._resumable()
        async with self._answer(range_headers(*asked) if asked else {}) as response:
            self.was_answered = True
            body = read_answer(response.status_code, response.headers, self._public_url(), asked)
            self._take_promise(promised_by(response.headers))
            body = self._with_promise(body)
            await in_thread(lambda stop: self._prepare(body))
            self.here = (body.mark, body.offset)
            await self._receive(response)
        self._check_end()

    @contextlib.asynccontextmanager
    async def _answer(self, headers: dict[str, str]) -> AsyncIterator[httpx.Response]:
        """The answer of the server that the redirects lead to. Every hop is a request without history."""
        url = self.remote.entry.source.location
        first, insecure = url, self.remote.insecure or self.remote.hosts.of(urlsplit(url).netloc).insecure
        require_secure_file(url, insecure=insecure)
        for _ in range(MAX_REDIRECTS + 1):
            with _network_faults(self.remote.patience):
                async with self.client.stream("GET", url, headers=headers) as response:
                    if not response.has_redirect_location:
                        yield response
                        return
                    self._take_promise(promised_by_redirect(response.headers))
                    url = next_url(url, response.headers["location"], insecure=insecure)
            await check_redirect(first, url)
        raise RemoteError(f"maximum redirects exceeded ({MAX_REDIRECTS})")

    def _take_promise(self, digest: Digest | None) -> None:
        """The newest word counts; what the catalogue says counts more."""
        if digest and not self.remote.entry.source.digest:
            self.promised = digest

    def _with_promise(self, body: Body) -> Body:
        """Begun anew, the mark says what is promised of this version."""
        if body.offset or not self.promised:
            return body
        return Body(0, Mark(body.mark.url, body.mark.size, body.mark.validator, str(self.promised)))

    def _prepare(self, body: Body) -> None:
        """Checks the size before the first byte is written, and whether that is needed."""
        if self.promised and body.mark.size is not None and self.blobs.has(self.promised):
            source = replace(self.remote.entry.source, digest=self.promised, size=body.mark.size)
            if already_there(source, self.blobs, self.report):
                raise _Here(self.promised)
        size, wanted = body.mark.size, self.remote.entry.source.size
        if wanted is not None and size is not None and size != wanted:
            raise RemoteError(f"the server has a file of {size} bytes, the catalogue says {wanted}")
        require_room(self.blobs, (size or wanted or 0) - body.offset)
        if body.offset == 0:
            self.partial.restart(body.mark)

    async def _receive(self, response: httpx.Response) -> None:
        """Writes what comes, in large pieces; whatever ends it, the bytes that came are kept."""
        buffer = bytearray()
        buffer_bytes = pace.buffer_bytes(_WRITE_BYTES)
        try:
            async for chunk in response.aiter_raw():
                buffer += chunk
                self._check_more(len(buffer))
                if len(buffer) >= buffer_bytes:
                    await self._flush(buffer)
                await pace.keep(len(chunk))
        finally:
            await self._flush(buffer)

    def _public_url(self) -> str:
        """The URL for notes and errors, without the query, which may hold a key."""
        return self.remote.entry.source.location.partition("?")[0]

    def _check_more(self, buffered: int) -> None:
        """Reports progress, and refuses more bytes than were announced."""
        mark, offset = self._here()
        size = self._size(mark)
        if size is not None and offset + buffered > size:
            raise RemoteError(f"the server sends more than the {size} bytes that were announced")
        self.furthest = max(self.furthest, offset + buffered)
        self.report(pulling(self.remote.entry.source, offset + buffered, size))

    def _check_end(self) -> None:
        mark, offset = self._here()
        size = self._size(mark)
        if size is not None and offset < size:
            raise Transient(f"the connection ended after {offset} of {size} bytes")

    async def _flush(self, buffer: bytearray) -> None:
        """Moves the buffer to the disk. It is emptied first: what fails must not be written twice."""
        mark, offset = self._here()
        data = bytes(buffer)
        buffer.clear()
        if data:
            await in_thread(lambda stop: self.partial.append(data))
            self.here = (mark, offset + len(data))

    def _here(self) -> tuple[Mark, int]:
        assert self.here, "a body is read after its version is known"
        return self.here

    def _size(self, mark: Mark) -> int | None:
        return mark.size if mark.size is not None else self.remote.entry.source.size


def _client(patience: Patience, access: Access) -> httpx.AsyncClient:
    """A client with the user's proxies and certificates, which keeps no credentials."""
    agent = f"ollamapy/{__version__} ({platform.machine()} {platform.system().lower()})"
    try:
        return httpx.AsyncClient(
            headers={"User-Agent": agent, "Accept-Encoding": "identity"},
            timeout=patience.stall_seconds,
            follow_redirects=False,
            proxy=access.proxy or None,
            verify=certificates(access.ca_file),
        )
    except (ValueError, ImportError, OSError) as error:
        raise RemoteError(
            f"the proxy or certificate settings do not work: {error}",
            hint="see config.yaml, HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE",
        ) from error


@contextlib.contextmanager
def _network_faults(patience: Patience) -> Iterator[None]:
    """Translates what httpx raises, by whether trying again can help."""
    try:
        yield
    except httpx.ReadTimeout as error:
        raise Transient(f"nothing came for {patience.stall_seconds:g} seconds") from error
    except (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError) as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise RemoteError(
                f"the server's certificate was not accepted: {error}",
                hint=CA_HINT,
            ) from error
        raise Transient(str(error) or type(error).__name__) from error
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise RemoteError(f"the download failed: {error}") from error
