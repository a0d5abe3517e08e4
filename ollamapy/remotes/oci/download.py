"""One blob of a registry into the store: parts in parallel, resumed, tried again, hashed while it comes.

Owns the partial files of the blob while it runs. Nothing counts as a blob before its digest was found right.

1. there already: nothing to do
2. parts that were begun: go on with them; else the size from a HEAD, and a plan
3. the direct URL: where the registry redirects to on another host, or its own; the token never goes to another host
4. every part on its own connection, at most NUM_PARTS at once; from a server without ranges all of it in one
5. all bytes hashed, in order, from memory while they come in order and from the file where they did not
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import httpx

from ollamapy.errors import InvalidDigest, RemoteError, StoreError
from ollamapy.names import Digest
from ollamapy.remotes.base import BlobSink, Report
from ollamapy.remotes.oci import parts as plans
from ollamapy.remotes.oci.hashing import PartialFile
from ollamapy.remotes.oci.parts import Part
from ollamapy.remotes.oci.session import MAX_REDIRECTS, Lost, Session, Stalled, Status
from ollamapy.remotes.oci.tries import MAX_TRIES, TRANSIENT, Sleep, first, pause
from ollamapy.remotes.pour import require_room
from ollamapy.remotes.threads import in_thread
from ollamapy.wire.native import Progress

DIRECT_URL_SECONDS = 30.0
_BUFFER_BYTES = 1 << 20
_MAX_PIECES = 500  # a system call takes 1024

log = logging.getLogger(__name__)

T = TypeVar("T")


class _NoRanges(Exception):
    """The server sent the whole blob when one part of several was asked for."""


@dataclass(slots=True)
class Download:
    """One blob on its way. `path` is the registry's path of the blob, `min_part_bytes` what a part has at least."""

    session: Session
    path: str
    digest: Digest
    size: int
    blobs: BlobSink
    report: Report
    sleep: Sleep = asyncio.sleep
    min_part_bytes: int = plans.MIN_PART_BYTES
    parts: list[Part] = field(default_factory=list)
    _direct: str = ""

    async def run(self) -> Digest:
        """Brings the blob into the store. Raises RemoteError, StoreError, InvalidDigest; what came so far stays."""
        partial = await in_thread(lambda stop: self.blobs.partial_path(self.digest.filename))
        self.parts = await in_thread(lambda stop: self._begun(partial))
        if not self.parts:
            self.parts = plans.plan(await self._patiently(self._fetch_size), self.min_part_bytes)
            await in_thread(lambda stop: plans.begin(partial, self.parts))
        self._tell()
        missing = plans.total(self.parts) - plans.completed(self.parts)
        await in_thread(lambda stop: require_room(self.blobs, missing))
        file = await in_thread(lambda stop: PartialFile(partial, plans.total(self.parts)))
        try:
            if missing:
                await self._fetch_all(file, partial)
            found = await in_thread(lambda stop: file.finish(stop.check))
        finally:
            await in_thread(lambda stop: file.close())
        return await in_thread(lambda stop: self._commit(partial, found))

    def _begun(self, partial: Path) -> list[Part]:
        """The parts that are here already; none when they are of a blob of another size."""
        parts = plans.load(partial)
        if plans.total(parts) == self.size:
            return parts
        plans.discard(partial, data=True)
        return []

    def _commit(self, partial: Path, found: Digest) -> Digest:
        if found != self.digest:
            plans.discard(partial, data=True)
            raise InvalidDigest(f"digest mismatch, file must be downloaded again: want {self.digest}, got {found}")
        self.blobs.promote(partial, found)
        plans.discard(partial, data=False)
        return found

    async def _fetch_size(self) -> int:
        """What the registry says; it may leave that out, since the manifest says it too."""
        async with self.session.follow("HEAD", self.path) as response:
            length = response.headers.get("content-length", "")
        if length.isdecimal() and int(length) != self.size:
            raise RemoteError(
                f"the registry's blob {self.digest.short} has {length} bytes, the manifest says {self.size}"
            )
        return self.size

    # Parts

    async def _fetch_all(self, file: PartialFile, partial: Path) -> None:
        """Until every part is here. The first part that fails for good ends the others."""
        self._direct = await self._patiently(self._find_direct_url)
        try:
            await self._fetch_parts(file, partial)
        except* _NoRanges:
            log.info("no ranges, fetching in one part digest=%s", self.digest.short)
            self.parts = plans.whole(self.size)
            await in_thread(lambda stop: plans.begin(partial, self.parts))
            file.restart()
            await self._fetch_part(file, partial, self.parts[0])

    async def _fetch_parts(self, file: PartialFile, partial: Path) -> None:
        gate = asyncio.Semaphore(plans.NUM_PARTS)

        async def fetch(part: Part) -> None:
            async with gate:
                await self._fetch_part(file, partial, part)

        try:
            async with asyncio.TaskGroup() as group:
                for part in self.parts:
                    if not part.is_done:
                        group.create_task(fetch(part))
        except* (RemoteError, StoreError) as group_error:
            raise first(group_error) from None

    async def _fetch_part(self, file: PartialFile, partial: Path, part: Part) -> None:
        """A part to its end. A stall in its bytes does not use up a try; an attempt that brought much gives them back.

        Raises RemoteError, StoreError.
        """
        failures = 0
        while not part.is_done:
            before = part.completed
            try:
                await self._attempt(file, partial, part)
            except Stalled as error:
                log.info("part stalled, asking again n=%d reason=%r", part.n, str(error))
                if part.completed > before:
                    continue
                failures = await self._failed(part, failures, error)
            except (Lost, Status) as error:
                if not self._may_pass(error):
                    raise
                failures = await self._failed(part, 0 if part.completed - before > _BUFFER_BYTES else failures, error)

    async def _failed(self, part: Part, failures: int, error: RemoteError) -> int:
        """Waits for the next try; the number of failures so far. Raises RemoteError when that was the last."""
        failures += 1
        if failures >= MAX_TRIES:
            hint = "pull again to go on where it broke off"
            raise RemoteError(f"max retries exceeded: {error.message}", hint=hint) from error
        seconds = pause(failures, error)
        log.info("part failed n=%d failures=%d pause_seconds=%.1f reason=%r", part.n, failures, seconds, str(error))
        await self.sleep(seconds)
        if isinstance(error, Status):
            self._direct = await self._patiently(self._find_direct_url)
        return failures

    def _may_pass(self, error: RemoteError) -> bool:
        """True for what another try may help: a signed URL on another host runs out, too."""
        is_elsewhere = bool(self._direct) and urlsplit(self._direct).netloc != self.session.host
        return (
            not isinstance(error, Status) or error.number in TRANSIENT or (is_elsewhere and error.number in (401, 403))
        )

    async def _attempt(self, file: PartialFile, partial: Path, part: Part) -> None:
        """One request for the rest of a part. Raises Lost when it ends too early."""
        start = part.offset + part.completed
        async with self.session.send("GET", self._direct, {"Range": f"bytes={start}-{part.end - 1}"}) as response:
            if self._is_whole(response, start):
                part.completed = start = 0
                file.restart()
            missing = part.end - start
            pieces: list[bytes] = []
            size = 0
            try:
                async for chunk in response.aiter_raw():
                    pieces.append(chunk[:missing])
                    size += len(pieces[-1])
                    missing -= len(pieces[-1])
                    if not missing:
                        return
                    if size >= _BUFFER_BYTES or len(pieces) >= _MAX_PIECES:
                        full, pieces, size = pieces, [], 0
                        await self._flush(file, partial, part, full)
            finally:
                await self._flush(file, partial, part, pieces)
        raise Lost(f"the connection ended {missing} bytes too early")

    def _is_whole(self, response: httpx.Response, start: int) -> bool:
        """True when the body begins at the first byte, False when at `start`.

        Raises _NoRanges when other parts could not use such an answer, RemoteError for what nobody asked for.
        """
        encoding = response.headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            raise RemoteError(f"the registry sends the blob encoded as {encoding}, although that was not asked for")
        if response.status_code == 200:
            if len(self.parts) == 1:
                return True
            raise _NoRanges
        found = response.headers.get("content-range", "")
        if response.status_code != 206 or not found.startswith(f"bytes {start}-"):
            raise RemoteError(f"asked for bytes from {start}, the registry answers {response.status_code} {found!r}")
        size = found.rpartition("/")[2]
        if size not in ("*", str(self.size)):
            raise RemoteError(f"the registry's blob has {size} bytes now, the manifest says {self.size}")
        return False

    async def _flush(self, file: PartialFile, partial: Path, part: Part, pieces: list[bytes]) -> None:
        """Moves what came to the disk and writes down how far the part is."""
        if pieces:
            await in_thread(lambda stop: self._write(file, partial, part, pieces))
            self._tell()

    def _write(self, file: PartialFile, partial: Path, part: Part, pieces: list[bytes]) -> None:
        file.write(part.offset + part.completed, pieces)
        part.completed += sum(map(len, pieces))
        plans.save(partial, part)
        file.catch_up(plans.frontier(self.parts))

    def _tell(self) -> None:
        total, done = plans.total(self.parts), plans.completed(self.parts)
        self.report(Progress(f"pulling {self.digest.short}", digest=str(self.digest), total=total, completed=done))

    # Where the bytes are

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What `ask` answers, asked again for DIRECT_URL_SECONDS while the fault may pass."""
        waited, tries = 0.0, 0
        while True:
            try:
                return await ask()
            except (Lost, Status) as error:
                tries += 1
                seconds = min(tries * tries * 0.01, 10.0) * random.uniform(0.5, 1.5)
                if isinstance(error, Status):
                    if error.number not in TRANSIENT:
                        raise
                    seconds = error.retry_after or seconds
                waited += seconds
                if waited > DIRECT_URL_SECONDS:
                    raise
                await self.sleep(seconds)

    async def _find_direct_url(self) -> str:
        """The URL that gives the bytes: where redirects on the registry's host end, or the first one off it."""
        url = f"{self.session.base}{self.path}"
        for _ in range(MAX_REDIRECTS + 1):
            async with self.session.send("GET", url, {"Range": "bytes=0-0"}) as response:
                if not response.has_redirect_location:
                    if response.status_code not in (200, 206):
                        raise RemoteError(f"unexpected status code {response.status_code}")
                    return url
                url = self.session.next_url(url, response.headers["location"])
            if urlsplit(url).netloc != self.session.host:
                return url
        raise RemoteError(f"maximum redirects exceeded ({MAX_REDIRECTS}) for directURL")
