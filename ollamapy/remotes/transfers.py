"""The transfers in progress.

Owns every running fetch: whoever wants the same bytes at the same time shares one, and the last one to leave cancels
it. Never looks at what is fetched.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ollamapy.names import Digest
from ollamapy.remotes.base import BlobSink, Remote, Report, pulling
from ollamapy.wire.native import Progress

TICK_SECONDS = 0.06
"""Between two progress lines of one pull."""


@dataclass(slots=True)
class Transfer:
    """One fetch and the number of those who wait for it. `lines` has the newest line of every step so far."""

    task: "asyncio.Task[Digest]"
    lines: list[Progress]
    num_waiting: int = 0
    is_stopping: bool = False

    async def progress(self) -> AsyncGenerator[Progress, None]:
        """A line at every tick until the fetch is over. A step that is over is told once more, as complete."""
        step, last, is_over = 0, None, False
        while not is_over:
            await asyncio.wait({self.task}, timeout=TICK_SECONDS)
            is_over = self.task.done()
            while step < len(self.lines) - 1:
                yield _complete(self.lines[step])
                step, last = step + 1, None
            line = self.lines[step]
            if line.completed or line.total or line != last:  # mere words are told once
                last = line
                yield line

    def report(self, progress: Progress) -> None:
        """Takes the newest line of the fetch, from any thread. Another status is another step."""
        if progress.status == self.lines[-1].status:
            self.lines[-1] = progress
        else:
            self.lines.append(progress)

    def result(self) -> Digest:
        """The blob, once `progress` has ended. Raises what the fetch raised."""
        return self.task.result()


@dataclass(slots=True)
class Transfers:
    """All transfers of a daemon by the key of their source. Lives on one event loop."""

    _running: dict[str, Transfer] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def join(self, remote: Remote, blobs: BlobSink) -> AsyncIterator[Transfer]:
        """The transfer of this remote's bytes, begun if nobody has yet, and kept alive until the block ends."""
        transfer = await self._joined(remote, blobs)
        transfer.num_waiting += 1
        try:
            yield transfer
        finally:
            transfer.num_waiting -= 1
            if not transfer.num_waiting:
                await _stop(transfer)

    async def _joined(self, remote: Remote, blobs: BlobSink) -> Transfer:
        """One that is being cancelled is waited for: the next one uses the same unfinished files."""
        key = remote.entry.source.key
        while (running := self._running.get(key)) and running.is_stopping:
            await asyncio.wait({running.task})
        return running or self._begin(key, remote, blobs)

    def _begin(self, key: str, remote: Remote, blobs: BlobSink) -> Transfer:
        def report(progress: Progress) -> None:
            transfer.report(progress)

        task = asyncio.create_task(remote.fetch(blobs, report), name=f"fetch {key}")
        task.add_done_callback(lambda _: self._end(key))
        transfer = self._running[key] = Transfer(task, [pulling(remote.entry.source, 0)])
        return transfer

    def _end(self, key: str) -> None:
        """Forgets a transfer; its error is looked at here, because everybody may have left before it."""
        task = self._running.pop(key).task
        if not task.cancelled():
            task.exception()

    def check(self) -> None:
        """Raises AssertionError when a transfer runs for nobody."""
        assert all(transfer.num_waiting or transfer.is_stopping for transfer in self._running.values()), repr(self)

    def __repr__(self) -> str:
        num_waiting = sum(transfer.num_waiting for transfer in self._running.values())
        return f"<Transfers {len(self._running)} running, {num_waiting} waiting>"


@contextlib.asynccontextmanager
async def alone(work: Callable[[Report], Coroutine[Any, Any, Digest]], first: Progress) -> AsyncIterator[Transfer]:
    """A transfer that nobody shares, cancelled when the block ends. `first` is its line before the first report."""
    task = asyncio.create_task(work(lambda line: transfer.report(line)))
    transfer = Transfer(task, [first])
    try:
        yield transfer
    finally:
        await _stop(transfer)
        if not task.cancelled():
            task.exception()


def _complete(line: Progress) -> Progress:
    return msgspec.structs.replace(line, completed=line.total or line.completed)


async def _stop(transfer: Transfer) -> None:
    """Cancels the fetch, if it still runs, and waits until it has cleaned up."""
    transfer.is_stopping = True
    transfer.task.cancel()
    await asyncio.wait({transfer.task})
