"""Pulls as jobs: each can be seen, paused, resumed and cancelled by others than the client that asked for it.

Owns every pull's task and its state. A job that a client follows ends with the client; one that nobody follows runs to
its end. Never looks at what is fetched.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from ollamapy.errors import Cancelled, Error, NotFound
from ollamapy.names import Digest
from ollamapy.remotes.base import BlobSink, Remote
from ollamapy.remotes.job import Job, outlived
from ollamapy.remotes.transfers import Transfers
from ollamapy.wire.jobs import JobStatus, ListedJob
from ollamapy.wire.native import Progress

log = logging.getLogger(__name__)

Lines = AsyncGenerator[Progress, None]


@dataclass(slots=True)
class Fetching:
    """The bytes of one remote for one job: by a transfer while the job runs, by none while it is paused.

    A pause leaves the transfer as a client does that goes away: another job that wants the same bytes keeps it alive,
    else its connections are closed and what came stays.
    """

    transfers: Transfers
    remote: Remote
    blobs: BlobSink
    job: Job
    _digest: Digest | None = None

    @property
    def digest(self) -> Digest:
        """The blob, once `progress` has ended."""
        assert self._digest, "nothing was fetched"
        return self._digest

    async def progress(self) -> Lines:
        """A line at every tick until the bytes are here. Raises what the fetch raised."""
        while self._digest is None:
            async with (
                self.transfers.join(self.remote, self.blobs, self.job.limit_rate) as transfer,
                aclosing(transfer.progress()) as lines,
            ):
                async for line in lines:
                    yield line
                    if self.job.is_paused:
                        break
                else:
                    self._digest = transfer.result()
            if self.job.is_paused and self._digest is None:
                yield Progress(f"paused, ollamapy jobs resume {self.job.id} goes on")
                await self.job.resumed()
                yield Progress("resumed")


@dataclass(slots=True)
class Jobs:
    """The jobs of a daemon, oldest first. Lives on one event loop."""

    _jobs: dict[int, Job] = field(default_factory=dict)
    _last_id: int = 0

    def add(self, model: str, limit_rate: int = 0) -> Job:
        """A new job, which does nothing yet."""
        self._forget()
        self._last_id += 1
        job = self._jobs[self._last_id] = Job(self._last_id, model, limit_rate, time.time())
        return job

    def get(self, text: str) -> Job:
        """The job of this number. Raises NotFound."""
        job = self._jobs.get(int(text)) if text.isascii() and text.isdecimal() and len(text) < 19 else None
        if job is None:
            raise NotFound(f"job {text!r} not found", hint="ollamapy jobs lists them")
        return job

    def all(self) -> list[Job]:
        """Every job that is not over, and those that ended lately."""
        self._forget()
        return list(self._jobs.values())

    def _forget(self) -> None:
        for job in outlived(self._jobs.values(), time.time()):
            del self._jobs[job.id]

    @staticmethod
    def listed(job: Job) -> ListedJob:
        """The job as it is now."""
        return job.listed(time.monotonic())

    def start(self, job: Job, lines: Lines) -> None:
        """Does the work that makes `lines`, whether somebody follows it or not."""
        job.task = asyncio.create_task(_work(job, lines), name=f"job {job.id}")
        job.task.add_done_callback(lambda task: _end(job, task))

    async def follow(self, job: Job, lines: Lines) -> Lines:
        """Does the work and hands on its lines; whoever closes this before the end ends the work, too.

        Raises what the work raised; Cancelled when somebody else ended it.
        """
        self.start(job, lines)
        assert job.task
        try:
            while not job.is_over:
                await job.news.wait()
                for line in job.take():
                    yield line
        finally:
            await _stop(job.task)
        for line in job.take():
            yield line
        if job.task.cancelled():
            raise Cancelled(f"the pull of {job.model} was cancelled", hint="pull again to go on where it was")
        job.task.result()

    async def cancel(self, job: Job) -> None:
        """Ends a job and waits for that; what came stays for the next pull. One that is over is forgotten."""
        if job.is_over:
            self._jobs.pop(job.id, None)
        elif job.task:
            await _stop(job.task)

    async def close(self) -> None:
        """Ends them all: the daemon stops."""
        await asyncio.gather(*(self.cancel(job) for job in list(self._jobs.values()) if not job.is_over))

    def __repr__(self) -> str:
        alive = [job for job in self._jobs.values() if not job.is_over]
        return f"<Jobs {len(alive)} in progress, {sum(job.is_paused for job in alive)} paused>"


async def _work(job: Job, lines: Lines) -> None:
    async with aclosing(lines):
        async for line in lines:
            job.tell(line, time.monotonic())


def _end(job: Job, task: "asyncio.Task[None]") -> None:
    """Notes how the work ended. Its error is looked at here, because nobody may follow it."""
    fault = None if task.cancelled() else task.exception()
    status: JobStatus = "cancelled" if task.cancelled() else "failed" if fault else "done"
    if fault is None or isinstance(fault, Error):
        job.end(status, time.time(), fault)
    else:
        log.error("job failed id=%d", job.id, exc_info=fault)
        job.end(status, time.time(), Error(f"{type(fault).__name__}: {fault}"))
    log.info("job over id=%d model=%s status=%s", job.id, job.model, status)


async def _stop(task: "asyncio.Task[None]") -> None:
    """Cancels the work, if it still runs, and waits until it has cleaned up."""
    task.cancel()
    await asyncio.wait({task})
