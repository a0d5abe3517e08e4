"""Carries an action's values to the client as they come: newline-delimited JSON, one write a line.

Before the first line an error still has its own status; after it, the error is the last line (`Begun.end_with`).
However an answer ends, the action's iterator is closed, so its work stops with it.
Knows nothing of what the values mean.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, contextmanager
from dataclasses import dataclass
from typing import TypeVar, cast

import msgspec
from aiohttp import web

from ollamapy.errors import Cancelled, Error
from ollamapy.server import reply
from ollamapy.wire.native import ChatResponse, GenerateResponse, Progress

Answer = TypeVar("Answer", bound=GenerateResponse | ChatResponse)
T = TypeVar("T", bound=msgspec.Struct)
Task = asyncio.Task[object]

LINE_LIMIT_BYTES = 8_000_000
"""Clients read lines into a buffer of 8 MB; a longer one would end their stream without a reason."""
CLOSE_SECONDS = 5.0
"""How long the daemon waits at shutdown for requests that were told to end."""


async def answer(request: web.Request, items: AsyncIterator[Answer], *, is_streamed: bool) -> web.StreamResponse:
    """The chunks of a generation, or its only object. Loads, unloads and rendered prompts are never streamed."""
    async with _closing(items):
        first = await _first(items)
        if not is_streamed or _is_whole(first):
            return reply.json(first)
        return await _lines(request, first, items)


async def progress(request: web.Request, items: AsyncIterator[Progress], *, is_streamed: bool) -> web.StreamResponse:
    """The progress of a pull or create, or only its last line when not streamed."""
    async with _closing(items):
        last = await _first(items)
        if is_streamed:
            return await _lines(request, last, items)
        async for item in items:
            last = item
        return reply.plain(last)


async def lines(request: web.Request, items: AsyncIterator[T]) -> web.StreamResponse:
    """A line for each item."""
    async with _closing(items):
        return await _lines(request, await _first(items), items)


def error_line(failure: Error) -> bytes:
    """An error as the last line of a stream."""
    return _line(reply.error_body(failure))


@dataclass(frozen=True, slots=True)
class Begun:
    """A stream whose head is sent, and how it says an error."""

    response: web.StreamResponse
    error: Callable[[Error], bytes]

    async def end_with(self, failure: Error) -> web.StreamResponse:
        """Ends the stream with the error."""
        await self.response.write(self.error(failure))
        await self.response.write_eof()
        return self.response


class Running:
    """The requests in progress, each with the stream it has started, if any.

    `close` ends them: every handler is cancelled, and answers that the daemon stops.
    """

    __slots__ = ("_streams", "is_closing")

    def __init__(self) -> None:
        self._streams: dict[Task, Begun | None] = {}
        self.is_closing = False

    def __repr__(self) -> str:
        return f"<Running {len(self)} requests{', closing' if self.is_closing else ''}>"

    def __len__(self) -> int:
        return len(self._streams)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Counts the current task as a request until the block ends."""
        task = _current_task()
        self._streams[task] = None
        try:
            yield
        finally:
            del self._streams[task]

    def started(self) -> Begun | None:
        """The stream on which the current request has sent something already."""
        return self._streams[_current_task()]

    def start(self, stream: web.StreamResponse, error: Callable[[Error], bytes] = error_line) -> None:
        """Notes that the current request has sent the head of `stream`: its status cannot change any more."""
        self._streams[_current_task()] = Begun(stream, error)

    async def close(self) -> None:
        """Tells every request to end and waits for that. Whoever comes later must be refused by `is_closing`."""
        self.is_closing = True
        tasks = set(self._streams)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_SECONDS)


RUNNING = web.AppKey("running", Running)


def _current_task() -> Task:
    return cast("Task", asyncio.current_task())


def stopping() -> Cancelled:
    """What a client is told when the daemon stops under its request."""
    return Cancelled("the server is shutting down")


def _closing(items: AsyncIterator[T]) -> AbstractAsyncContextManager[object]:
    return aclosing(cast("AsyncGenerator[T, None]", items))


async def _first(items: AsyncIterator[T]) -> T:
    async for item in items:
        return item
    raise Error("the action ended without an answer")


def _is_whole(first: GenerateResponse | ChatResponse) -> bool:
    return first.done_reason in {"load", "unload"} or first.debug_info is not None


async def _lines(request: web.Request, first: T, rest: AsyncIterator[T]) -> web.StreamResponse:
    stream = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    line = _line(first)
    await stream.prepare(request)
    request.app[RUNNING].start(stream)
    await stream.write(line)
    async for item in rest:
        await stream.write(_line(item))
    await stream.write_eof()
    return stream


def _line(item: msgspec.Struct) -> bytes:
    line = reply.encode(item) + b"\n"
    if len(line) > LINE_LIMIT_BYTES:
        raise Error(
            f"an answer line of {len(line)} bytes is more than the {LINE_LIMIT_BYTES} that clients accept",
            hint='send "stream": false',
        )
    return line
