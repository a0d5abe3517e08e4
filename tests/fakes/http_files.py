"""A web server for one file, with fault switches: a real socket, HTTP/1.1, ranges, ETags.

Every request takes the next step of `script`; when that is used up, the server is honest. Runs on the caller's event
loop and writes down what it was asked.

    async with FileServer(b"content", [Cut(3), Status(500)]) as server:
        httpx.get(server.url)
"""

import asyncio
import contextlib
import hashlib
import re
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Honest:
    """Serves the file, or the range that was asked for."""


@dataclass(frozen=True)
class Cut:
    """Announces everything, closes the connection after `count` bytes of the body."""

    count: int


@dataclass(frozen=True)
class Stall:
    """Announces everything, sends `count` bytes and then nothing, with the connection open."""

    count: int


@dataclass(frozen=True)
class NoRanges:
    """Answers a Range request with the whole file."""


@dataclass(frozen=True)
class BlindRanges:
    """Answers a Range request with the range, whatever version the client has."""


@dataclass(frozen=True)
class NewVersion:
    """The file is another one from now on."""

    content: bytes


@dataclass(frozen=True)
class Status:
    """Answers with this status."""

    code: int


@dataclass(frozen=True)
class Redirect:
    """Sends the client elsewhere."""

    location: str


@dataclass(frozen=True)
class Chunked:
    """Does not say how long the file is."""


@dataclass(frozen=True)
class Headers:
    """Serves the file with other headers: None takes one away."""

    values: tuple[tuple[str, str | None], ...]


Step = Honest | Cut | Stall | NoRanges | BlindRanges | NewVersion | Status | Redirect | Chunked | Headers


@dataclass(frozen=True)
class Asked:
    """A request as it came. Header names are lower case."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class FileServer:
    content: bytes
    script: Iterable[Step] = ()
    has_etag: bool = True
    requests: list[Asked] = field(default_factory=list)
    stalled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once a Stall has sent its bytes."""
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the client of a Stall has closed the connection."""
    sent_bytes: int = 0
    """Of bodies, over all answers."""
    tls: ssl.SSLContext | None = None
    extra: dict[str, str] = field(default_factory=dict)
    """Headers of every file and range."""

    async def __aenter__(self) -> Self:
        self._steps = list(self.script)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self.tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def origin(self) -> str:
        scheme = "https" if self.tls else "http"
        return f"{scheme}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def url(self) -> str:
        return f"{self.origin}/files/Tiny%20Model.gguf"

    @property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.content).hexdigest()[:16]}"'

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            if await self._answer(_asked(head), writer):
                self.stalled.set()
                with contextlib.suppress(ConnectionError):
                    await reader.read()
                self.hung_up.set()
        writer.close()
        self._tasks.discard(task)

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> bool:
        """True when the connection stays open with nothing more to come."""
        if asked.method == "HEAD":
            await self._send(writer, 200, self._file(asked, Honest())[1], b"")
            return False
        self.requests.append(asked)
        step = self._steps.pop(0) if self._steps else Honest()
        if isinstance(step, NewVersion):
            self.content = step.content
        status, headers, body = self._reply(asked, step)
        await self._send(writer, status, headers, body[: step.count] if isinstance(step, Cut | Stall) else body)
        return isinstance(step, Stall)

    def _reply(self, asked: Asked, step: Step) -> tuple[int, dict[str, str | None], bytes]:
        match step:
            case Status(code):
                return code, {}, b""
            case Redirect(location):
                return 302, {"Location": location}, b"moved"
        status, headers, body = self._file(asked, step)
        match step:
            case Chunked():
                return status, {"Transfer-Encoding": "chunked"}, b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
            case Headers(values):
                return status, headers | dict(values), body
        return status, headers, body

    def _file(self, asked: Asked, step: Step) -> tuple[int, dict[str, str | None], bytes]:
        size = len(self.content)
        headers: dict[str, str | None] = {"Content-Type": "application/octet-stream", **self.extra}
        if self.has_etag:
            headers["ETag"] = self.etag
        wanted = re.fullmatch(r"bytes=(\d+)-", asked.headers.get("range", ""))
        is_same = asked.headers.get("if-range", self.etag) == self.etag or isinstance(step, BlindRanges)
        if not wanted or not is_same or isinstance(step, NoRanges | Chunked):
            return 200, headers | {"Content-Length": str(size)}, self.content
        start = int(wanted[1])
        if start >= size:
            return 416, headers | {"Content-Range": f"bytes */{size}", "Content-Length": "0"}, b""
        headers |= {"Content-Range": f"bytes {start}-{size - 1}/{size}", "Content-Length": str(size - start)}
        return 206, headers, self.content[start:]

    async def _send(
        self, writer: asyncio.StreamWriter, status: int, headers: dict[str, str | None], body: bytes
    ) -> None:
        lines = [f"HTTP/1.1 {status} X", "Connection: close"]
        if not headers.keys() & {"Content-Length", "Transfer-Encoding"}:
            lines.append(f"Content-Length: {len(body)}")
        lines += [f"{name}: {value}" for name, value in headers.items() if value is not None]
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        self.sent_bytes += len(body)
        await writer.drain()


def _asked(head: str) -> Asked:
    first, *lines = head.split("\r\n")
    method, path, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines if line)
    return Asked(method, path, {name.lower(): value.strip() for name, _, value in pairs})
