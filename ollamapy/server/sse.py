"""Server-sent events: carries the answers of one or more actions to the client as they come.

Before the first event an error still has its own status; after it, the error is an event and the stream ends. While an
action is silent a comment goes out now and then, so that nobody on the way takes the connection for dead. However an
answer ends, the actions' iterators are closed, so their work stops with it. Knows nothing of what the values mean.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import msgspec
from aiohttp import web

from ollamapy.errors import Error
from ollamapy.server import reply
from ollamapy.server.stream import RUNNING

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

KEEP_ALIVE_SECONDS = 15.0
"""Proxies commonly close a connection after 30 to 60 silent seconds; a long prompt takes longer than that."""
_COMMENT = b": keep-alive\n\n"
_HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "Connection": "keep-alive"}


class Writer(Protocol[T_contra]):
    """Turns an action's values into events; `index` says whose value it is."""

    def push(self, index: int, answer: T_contra) -> Iterable[msgspec.Struct]: ...

    def finish(self) -> Iterable[msgspec.Struct]: ...


@dataclass(frozen=True, slots=True)
class Framing:
    """How one API writes events, errors and the end of a stream."""

    frame: Callable[[Any], bytes]
    error: Callable[[Error], bytes]
    end: bytes = b""


def data_frame(value: msgspec.Struct) -> bytes:
    """An event without a name."""
    return b"data: " + reply.encode(value) + b"\n\n"


def named_frame(name: str, value: msgspec.Struct) -> bytes:
    """An event under a name."""
    return f"event: {name}\n".encode() + data_frame(value)


async def answer(
    request: web.Request,
    sources: Sequence[AsyncGenerator[T, None]],
    writer: Writer[T],
    framing: Framing,
    *,
    keep_alive_seconds: float = KEEP_ALIVE_SECONDS,
) -> web.StreamResponse:
    """Streams what `writer` makes of the sources' values, until all have ended."""
    stream = web.StreamResponse(headers=_HEADERS)
    async with aclosing(_merged(sources, keep_alive_seconds)) as items:
        async for item in items:
            frames = _COMMENT if item is None else b"".join(map(framing.frame, writer.push(*item)))
            await _send(request, stream, frames, framing)
    await _send(request, stream, b"".join(map(framing.frame, writer.finish())) + framing.end, framing)
    await stream.write_eof()
    return stream


async def wholes(sources: Sequence[AsyncGenerator[T, None]]) -> list[T]:
    """The last value of each source: the whole answer of an action that does not stream."""
    last: dict[int, T] = {}
    async with aclosing(_merged(sources)) as items:
        async for item in items:
            if item:
                last[item[0]] = item[1]
    return [last[index] for index in range(len(sources))]


async def _send(request: web.Request, stream: web.StreamResponse, frames: bytes, framing: Framing) -> None:
    if not frames:
        return
    if not stream.prepared:
        await stream.prepare(request)
        request.app[RUNNING].start(stream, framing.error)
    await stream.write(frames)


async def _merged(
    sources: Sequence[AsyncGenerator[T, None]], patience_seconds: float | None = None
) -> AsyncGenerator[tuple[int, T] | None, None]:
    """The values of all sources in order of arrival, each with its source's place; None after each silent wait.

    The sources run side by side until this is closed; then none of them runs any more. What one raises, this raises.
    """
    queue: asyncio.Queue[tuple[int, T] | int] = asyncio.Queue()
    tasks = [asyncio.create_task(_fill(queue, index, source)) for index, source in enumerate(sources)]
    num_open = len(tasks)
    try:
        while num_open:
            try:
                async with asyncio.timeout(patience_seconds):
                    item = await queue.get()
            except TimeoutError:
                yield None
                continue
            if isinstance(item, int):
                await tasks[item]
                num_open -= 1
            else:
                yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _fill(queue: asyncio.Queue[tuple[int, T] | int], index: int, source: AsyncGenerator[T, None]) -> None:
    """Brings every value of a source, and at last its place alone."""
    try:
        async with aclosing(source):
            async for value in source:
                queue.put_nowait((index, value))
    finally:
        queue.put_nowait(index)
