"""One place that has a blob: how to find out where its bytes are, and how to ask for a range of them.

Owns the checks of what a server answers. Never writes to the disk and never waits for a better answer longer than it
is told to.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from ollamapy.errors import RemoteError
from ollamapy.names import Digest
from ollamapy.remotes.oci.session import MAX_REDIRECTS, Session, Status
from ollamapy.remotes.oci.tries import TRANSIENT, Sleep, patiently


def _nothing(error: Exception) -> None:
    """Nobody wants to know that a source was dropped."""


@dataclass(slots=True, eq=False)
class Source:
    """A blob of `size` bytes at `path` of the session's registry.

    Those of the lowest `rank` are asked first. `on_drop` is told why a source is not asked any more.
    """

    session: Session
    path: str
    digest: Digest
    size: int
    rank: int = 0
    on_drop: Callable[[Exception], None] = _nothing
    rate: float = 0.0
    """Bytes a second of one connection, as measured; 0 when that was never."""
    is_dropped: bool = False
    _direct: str = ""

    @property
    def host(self) -> str:
        return self.session.host

    def drop(self, reason: Exception) -> None:
        """Nothing more is asked of it."""
        if not self.is_dropped:
            self.is_dropped = True
            self.on_drop(reason)

    def measure(self, count: int, seconds: float) -> None:
        """Takes in that one connection brought `count` bytes. The newest measurement counts half."""
        rate = max(count / max(seconds, 1e-6), 1.0)
        self.rate = (self.rate + rate) / 2 if self.rate else rate

    async def check_size(self, seconds: float, sleep: Sleep = asyncio.sleep) -> None:
        """Asks for the size, which an answer may leave out. Raises RemoteError when it is not the manifest's."""
        length = await patiently(self._length, seconds, sleep)
        if length.isdecimal() and int(length) != self.size:
            raise RemoteError(
                f"the registry's blob {self.digest.short} has {length} bytes, the manifest says {self.size}"
            )

    async def _length(self) -> str:
        async with self.session.follow("HEAD", self.path) as response:
            return str(response.headers.get("content-length", ""))

    async def locate(self, seconds: float, sleep: Sleep = asyncio.sleep, *, again: bool = False) -> None:
        """Finds the URL that gives the bytes, once or `again`. Raises RemoteError after `seconds` of waiting."""
        if again or not self._direct:
            self._direct = await patiently(self._find_direct_url, seconds, sleep)

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

    def may_pass(self, error: RemoteError) -> bool:
        """True for what another try may help: a signed URL on another host runs out, too."""
        is_elsewhere = bool(self._direct) and urlsplit(self._direct).netloc != self.session.host
        return (
            not isinstance(error, Status) or error.number in TRANSIENT or (is_elsewhere and error.number in (401, 403))
        )

    @contextlib.asynccontextmanager
    async def open(self, start: int, end: int) -> AsyncIterator[tuple[httpx.Response, bool]]:
        """The answer that brings the bytes from `start` to `end`; True beside it when it brings the whole blob.

        Raises Lost, Status; RemoteError for what nobody asked for.
        """
        async with self.session.send("GET", self._direct, {"Range": f"bytes={start}-{end - 1}"}) as response:
            yield response, self._is_whole(response, start)

    def _is_whole(self, response: httpx.Response, start: int) -> bool:
        encoding = response.headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            raise RemoteError(f"the registry sends the blob encoded as {encoding}, although that was not asked for")
        if response.status_code == 200:
            return True
        found = response.headers.get("content-range", "")
        if response.status_code != 206 or not found.startswith(f"bytes {start}-"):
            raise RemoteError(f"asked for bytes from {start}, the registry answers {response.status_code} {found!r}")
        size = found.rpartition("/")[2]
        if size not in ("*", str(self.size)):
            raise RemoteError(f"the registry's blob has {size} bytes now, the manifest says {self.size}")
        return False

    def __repr__(self) -> str:
        return f"<Source {self.host} rank {self.rank}>"
