"""One blob into a registry, in parts.

1. there already, or mounted from another repository of the registry: nothing to send
2. parts one after another by PATCH: each answer says where the next one goes
3. a PATCH that is answered with a redirect: that part goes there by PUT, without the token, beside the next ones
4. an upload that the registry has lost begins anew
5. PUT with the digest, by which the registry checks what it got

Reads the blob; never changes it.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlencode, urljoin

import httpx

from ollamapy.errors import RemoteError, StoreError
from ollamapy.names import Digest
from ollamapy.remotes.base import Report, pushing
from ollamapy.remotes.disk import disk_faults
from ollamapy.remotes.oci import parts as plans
from ollamapy.remotes.oci.parts import Part
from ollamapy.remotes.oci.session import Lost, Session, Status
from ollamapy.remotes.oci.tries import MAX_TRIES, TRANSIENT, Sleep, first, pause
from ollamapy.remotes.threads import Stop, in_thread

_READ_BYTES = 1 << 20
_UPLOAD_LOST = frozenset({404, 416})
_MAX_UPLOADS = 3

T = TypeVar("T")

log = logging.getLogger(__name__)


class _UploadLost(Exception):
    """The registry does not know the upload any more."""


@dataclass(slots=True)
class Upload:
    """The blob at `path` on its way to `repository`, which may have it in the repository `mount_from`."""

    session: Session
    repository: str
    digest: Digest
    size: int
    path: Path
    report: Report
    mount_from: str = ""
    sleep: Sleep = asyncio.sleep
    min_part_bytes: int = plans.MIN_PART_BYTES
    parts: list[Part] = field(default_factory=list)
    _sums: dict[int, bytes] = field(default_factory=dict)

    async def run(self) -> Digest:
        """Brings the blob to the registry. Raises RemoteError, StoreError."""
        self.parts = plans.plan(self.size, self.min_part_bytes)
        if not await self._is_there():
            for is_last in [False] * (_MAX_UPLOADS - 1) + [True]:
                try:
                    await self._upload()
                    break
                except _UploadLost as error:
                    log.info("upload lost, beginning anew digest=%s", self.digest.short)
                    if is_last:
                        raise RemoteError(f"the registry loses the upload of {self.digest.short}") from error
        self._tell(self.size)
        return self.digest

    async def _is_there(self) -> bool:
        try:
            async with self.session.follow("HEAD", f"/v2/{self.repository}/blobs/{self.digest}"):
                return True
        except Status as error:
            if error.number == 404:
                return False
            raise

    async def _upload(self) -> None:
        place = await self._open()
        if place:
            for part in self.parts:
                part.completed = 0
            await self._close(await self._send_parts(place))

    async def _open(self) -> str:
        """Where the first part goes; nowhere when the registry has the blob in another repository."""
        mount = urlencode({"mount": str(self.digest), "from": self.mount_from})
        path = f"/v2/{self.repository}/blobs/uploads/{f'?{mount}' if self.mount_from else ''}"
        url = urljoin(self.session.base, path)
        async with self.session.send("POST", url, body=b"") as response:
            return "" if response.status_code == 201 else self._next_place(url, response)

    async def _send_parts(self, place: str) -> str:
        """Sends every part; where the upload is closed. The first part that fails for good ends the others."""
        gate = asyncio.Semaphore(plans.NUM_PARTS)
        try:
            async with asyncio.TaskGroup() as group:
                for part in self.parts:
                    await gate.acquire()
                    place, elsewhere = await self._patch(place, part)
                    if elsewhere:
                        group.create_task(self._put(elsewhere, part)).add_done_callback(lambda _: gate.release())
                    else:
                        gate.release()
        except* (RemoteError, StoreError, _UploadLost) as group_error:
            raise first(group_error) from None
        return place

    async def _patch(self, place: str, part: Part) -> tuple[str, str]:
        """Where the next part goes, and where this one goes when the registry does not take it itself."""
        headers = {
            "Content-Range": f"{part.offset}-{part.end - 1}",
            "X-Redirect-Uploads": "1",
            **_described(part),
        }

        async def attempt() -> tuple[str, str]:
            async with self.session.send("PATCH", place, headers, lambda: self._read(part)) as response:
                elsewhere = response.headers["location"] if response.has_redirect_location else ""
                target = self.session.next_url(place, elsewhere) if elsewhere else ""
                return self._next_place(place, response), target

        return await self._tried(attempt, part, may_lose=True)

    def _next_place(self, url: str, response: httpx.Response) -> str:
        """Where the upload goes on. Raises RemoteError when the registry does not say."""
        place = response.headers.get("docker-upload-location") or response.headers.get("location", "")
        if not place:
            raise RemoteError("the registry does not say where the upload goes on")
        return self.session.next_url(url, place)

    async def _put(self, url: str, part: Part) -> None:
        async def attempt() -> None:
            async with self.session.send("PUT", url, _described(part), lambda: self._read(part), is_anonymous=True):
                return

        await self._tried(attempt, part)

    async def _close(self, place: str) -> None:
        total = hashlib.md5(b"".join(self._sums[part.n] for part in self.parts), usedforsecurity=False)
        query = urlencode({"digest": str(self.digest), "etag": f"{total.hexdigest()}-{len(self.parts)}"})
        url = f"{place}{'&' if '?' in place else '?'}{query}"

        async def attempt() -> None:
            async with self.session.send("PUT", url, {"Content-Length": "0"}, b""):
                return

        await self._tried(attempt)

    async def _tried(
        self, attempt: Callable[[], Awaitable[T]], part: Part | None = None, *, may_lose: bool = False
    ) -> T:
        """What `attempt` returns, MAX_TRIES times tried. What went of a part that failed does not count.

        Raises RemoteError; with `may_lose` _UploadLost when the registry has forgotten what it was sent.
        """
        failures = 0
        while True:
            try:
                return await attempt()
            except (Lost, Status) as error:
                if part:
                    part.completed = 0
                if isinstance(error, Status) and error.number not in TRANSIENT:
                    if may_lose and error.number in _UPLOAD_LOST:
                        raise _UploadLost from error
                    raise self._in_words(error) from error
                failures += 1
                if failures >= MAX_TRIES:
                    raise RemoteError(f"max retries exceeded: {self._in_words(error).message}") from error
                seconds = pause(failures, error)
                log.info("upload failed failures=%d pause_seconds=%.1f reason=%r", failures, seconds, str(error))
                await self.sleep(seconds)

    def _in_words(self, error: RemoteError) -> RemoteError:
        """A refused login keeps its words; any other status is told whole."""
        if not isinstance(error, Status) or error.number == 401:
            return error
        return RemoteError(f"http status {error.line}")

    async def _read(self, part: Part) -> AsyncIterator[bytes]:
        """The bytes of a part, counted and summed as they go."""
        part.completed, total = 0, hashlib.md5(usedforsecurity=False)
        while not part.is_done:
            start, count = part.offset + part.completed, min(_READ_BYTES, part.size - part.completed)
            data = await in_thread(partial(self._read_at, start, count))
            total.update(data)
            self._sums[part.n] = total.digest()
            yield data
            part.completed += len(data)
            self._tell(plans.completed(self.parts))

    def _read_at(self, start: int, count: int, stop: Stop) -> bytes:
        with disk_faults(self.path), self.path.open("rb") as file:
            file.seek(start)
            data = file.read(count)
        if not data:
            raise StoreError(f"the blob {self.digest} is cut", hint="ollamapy fsck --repair mends it")
        return data

    def _tell(self, completed: int) -> None:
        self.report(pushing(self.digest, self.size, completed))


def _described(part: Part) -> dict[str, str]:
    return {"Content-Type": "application/octet-stream", "Content-Length": str(part.size)}
