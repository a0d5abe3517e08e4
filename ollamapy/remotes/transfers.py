"""The transfers in progress.

Owns every running fetch: whoever wants the same bytes at the same time shares one, and the last one to leave cancels
it. Owns how fast they may be, all together and each. Never looks at what is fetched.
"""

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ollamapy.names import Digest
from ollamapy.remotes.base import BlobSink, Remote, Report, pulling
from ollamapy.remotes.pace import Limiter, limits, loosest
from ollamapy.wire.native import Progress

TICK_SECONDS = 0.06
"""Between two progress lines of one pull."""


@dataclass(slots=True)
class Transfer:
    """One fetch and those who wait for it. `lines` has the newest line of every step so far."""

    task: "asyncio.Task[Digest]"
    lines: list[Progress]
    limiter: Limiter = field(default_factory=Limiter)
    waiting: list[int] = field(default_factory=list)
    """The bytes a second that each of those who wait allows, 0 for any number."""
    is_stopping: bool = False

    def enter(self, limit_rate: int) -> None:
        """One more waits."""
        self.waiting.append(limit_rate)
        self.limiter.set(loosest(self.waiting))

    def leave(self, limit_rate: int) -> None:
        """One who entered with this limit waits no more."""
        self.waiting.remove(limit_rate)
        self.limiter.set(loosest(self.waiting))

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

    limiter: Limiter = field(default_factory=Limiter)
    """What all of them together may bring."""
    _running: dict[str, Transfer] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def join(self, remote: Remote, blobs: BlobSink, limit_rate: int = 0) -> AsyncIterator[Transfer]:
        """The transfer of this remote's bytes, begun if nobody has yet, and kept alive until the block ends.

        `limit_rate` is in bytes a second, 0 for no limit; of several who share the transfer the loosest one counts.
        """
        transfer = await self._joined(remote, blobs)
        transfer.enter(limit_rate)
        try:
            yield transfer
        finally:
            transfer.leave(limit_rate)
            if not transfer.waiting:
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

        limiter, context = Limiter(), contextvars.copy_context()
        context.run(limits.set, (self.limiter, limiter))
        task = asyncio.create_task(remote.fetch(blobs, report), name=f"fetch {key}", context=context)
        task.add_done_callback(lambda _: self._end(key))
        transfer = self._running[key] = Transfer(task, [pulling(remote.entry.source, 0)], limiter)
        return transfer

    def _end(self, key: str) -> None:
        """Forgets a transfer; its error is looked at here, because everybody may have left before it."""
        task = self._running.pop(key).task
        if not task.cancelled():
            task.exception()

    def check(self) -> None:
        """Raises AssertionError when a transfer runs for nobody."""
        assert all(transfer.waiting or transfer.is_stopping for transfer in self._running.values()), repr(self)

    def __repr__(self) -> str:
        num_waiting = sum(len(transfer.waiting) for transfer in self._running.values())
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
