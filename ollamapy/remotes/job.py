"""What a pull is while it runs and for a while afterwards: its state, how far it is, how fast. Does nothing itself.

running ⇄ paused     by anybody, until it is over
done, failed, cancelled     over
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from ollamapy.errors import Error, InvalidInput
from ollamapy.units import format_local
from ollamapy.wire.jobs import JobStatus, ListedJob
from ollamapy.wire.native import Progress

MAX_ENDED = 50
KEEP_SECONDS = 3600.0
"""How many jobs that ended are remembered, and for how long."""
SPEED_SECONDS = 10.0
"""The time over which a speed is told."""


@dataclass(slots=True)
class Tally:
    """How far a job is: bytes by blob, and how many came lately. What was here before did not come."""

    blobs: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Completed and total by digest, or by status where there is no digest."""
    samples: deque[tuple[float, int]] = field(default_factory=deque)
    """Times, and the bytes that had come by then."""
    num_come: int = 0

    @property
    def completed(self) -> int:
        return sum(completed for completed, _ in self.blobs.values())

    @property
    def total(self) -> int:
        return sum(total for _, total in self.blobs.values())

    def expect(self, sizes: dict[str, int]) -> None:
        """These blobs, with their sizes, will be fetched."""
        for key, size in sizes.items():
            self.blobs.setdefault(key, (0, size))

    def add(self, line: Progress, now: float) -> None:
        """Takes in a line of the pull; words do not count."""
        if not line.total:
            return
        key = line.digest or line.status
        before = self.blobs.get(key, (0, 0))[0]
        self.blobs[key] = (line.completed, line.total)
        if before:  # the first bytes of a blob may have been here
            self.num_come += max(0, line.completed - before)
        self.samples.append((now, self.num_come))
        self.speed(now)

    def speed(self, now: float) -> int:
        """Bytes a second over the last SPEED_SECONDS."""
        while len(self.samples) > 1 and self.samples[0][0] < now - SPEED_SECONDS:
            self.samples.popleft()
        if not self.samples or now <= self.samples[0][0]:
            return 0
        return int((self.num_come - self.samples[0][1]) / (now - self.samples[0][0]))


@dataclass(slots=True)
class Job:
    """One pull. A job that no list knows of is never paused."""

    id: int = 0
    model: str = ""
    limit_rate: int = 0
    started: float = 0.0
    """Unix time, as `ended`."""
    ended: float = 0.0
    status: JobStatus = "running"
    error: Error | None = None
    source_digest: str = ""
    """The manifest that the source has, in hex, once it is known that there is one."""
    tally: Tally = field(default_factory=Tally)
    task: "asyncio.Task[None] | None" = None
    news: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while somebody who follows has lines to read, or the job is over."""
    _lines: list[Progress] = field(default_factory=list)
    _may_run: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_over(self) -> bool:
        return self.status in ("done", "failed", "cancelled")

    @property
    def is_paused(self) -> bool:
        return self.status == "paused"

    def pause(self) -> None:
        """No more bytes come until `resume`. Raises InvalidInput when it is over."""
        self._require_alive()
        self.status = "paused"
        self.tally.samples.clear()  # a speed is that of the time in which it runs
        self._may_run.clear()

    def resume(self) -> None:
        """Goes on where it was. Raises InvalidInput when it is over."""
        self._require_alive()
        self.status = "running"
        self._may_run.set()

    async def resumed(self) -> None:
        """Waits while the job is paused."""
        if self.is_paused:
            await self._may_run.wait()

    def _require_alive(self) -> None:
        if self.is_over:
            raise InvalidInput(f"job {self.id} is over: it is {self.status}", hint=f"pull {self.model} again")

    def tell(self, line: Progress, now: float) -> None:
        """A line for whoever follows; one that nobody has read yet gives way to a newer one of its step."""
        self.tally.add(line, now)
        if self._lines and self._lines[-1].status == line.status:
            self._lines[-1] = line
        else:
            self._lines.append(line)
        self.news.set()

    def take(self) -> list[Progress]:
        """The lines since the last call."""
        taken, self._lines = self._lines, []
        self.news.clear()
        return taken

    def end(self, status: JobStatus, now: float, error: Error | None = None) -> None:
        """The last thing that happens to a job. `now` is the Unix time."""
        self.status, self.ended, self.error = status, now, error
        self.news.set()

    def listed(self, now: float) -> ListedJob:
        """What the routes tell; `now` is the monotonic time."""
        return ListedJob(
            id=self.id,
            kind="pull",
            model=self.model,
            status=self.status,
            completed=self.tally.completed,
            total=self.tally.total,
            bytes_per_second=self.tally.speed(now) if self.status == "running" else 0,
            limit_rate=self.limit_rate,
            started_at=format_local(self.started),
            ended_at=format_local(self.ended) if self.ended else "",
            error=self.error.message if self.error else "",
            hint=self.error.hint if self.error else "",
        )


def outlived(jobs: Iterable[Job], now: float) -> list[Job]:
    """The jobs that ended too long ago, or before too many others, to be remembered."""
    ended = sorted((job for job in jobs if job.is_over), key=lambda job: job.ended, reverse=True)
    return [job for n, job in enumerate(ended) if n >= MAX_ENDED or job.ended < now - KEEP_SECONDS]
