"""Jobs at work, with a remote whose every step the test decides."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

import pytest

from ollamapy.errors import Cancelled, NotFound, RemoteError
from ollamapy.names import Digest, ModelName
from ollamapy.remotes.base import BlobSink, Entry, Report, Source, pulling
from ollamapy.remotes.job import MAX_ENDED, Job
from ollamapy.remotes.jobs import Fetching, Jobs
from ollamapy.remotes.transfers import Transfers
from ollamapy.store.store import Store
from ollamapy.wire.native import Progress

DIGEST = Digest("a" * 64)
SOURCE = Source("url", "https://a.example/tiny.gguf", digest=DIGEST, size=100)
DEADLINE_SECONDS = 60.0


@dataclass
class SlowRemote:
    """Brings `here` of 100 bytes, and the rest when the test says so. What came stays, as in a partial file."""

    entry: Entry = field(default_factory=lambda: Entry(ModelName.parse("tiny"), SOURCE))
    here: int = 0
    num_begun: int = 0
    is_at_work: bool = False
    error: Exception | None = None
    finish: asyncio.Event = field(default_factory=asyncio.Event)

    async def fetch(self, blobs: BlobSink, report: Report) -> Digest:
        self.num_begun += 1
        self.is_at_work = True
        self.here = max(self.here, 40)
        report(pulling(SOURCE, self.here))
        try:
            await self.finish.wait()
        finally:
            self.is_at_work = False
        if self.error:
            raise self.error
        report(pulling(SOURCE, 100))
        return DIGEST


@dataclass
class Scene:
    """A job that fetches from `remote`, and somebody who follows it."""

    store: Store
    remote: SlowRemote = field(default_factory=SlowRemote)
    transfers: Transfers = field(default_factory=Transfers)
    jobs: Jobs = field(default_factory=Jobs)
    lines: list[Progress] = field(default_factory=list)

    async def work(self, job: Job) -> AsyncGenerator[Progress, None]:
        fetching = Fetching(self.transfers, self.remote, self.store.blobs, job)
        async with aclosing(fetching.progress()) as lines:
            async for line in lines:
                yield line
        assert fetching.digest == DIGEST
        yield Progress("success")

    async def follow(self, job: Job) -> None:
        async with aclosing(self.jobs.follow(job, self.work(job))) as lines:
            async for line in lines:
                self.lines.append(line)

    @property
    def statuses(self) -> list[str]:
        return list(dict.fromkeys(line.status for line in self.lines))


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not is_true():
            await asyncio.sleep(0.01)


def play(store: Store, story: Callable[[Scene], Awaitable[None]]) -> Scene:
    scene = Scene(store)
    asyncio.run(story(scene))
    scene.transfers.check()
    return scene


def test_a_paused_job_leaves_its_transfer_and_tells_whoever_follows(store: Store) -> None:
    async def story(scene: Scene) -> None:
        job = scene.jobs.add("tiny")
        following = asyncio.create_task(scene.follow(job))
        await until(lambda: scene.remote.is_at_work)
        job.pause()
        await until(lambda: "paused, ollamapy jobs resume 1 goes on" in scene.statuses)
        assert not scene.remote.is_at_work
        assert repr(scene.transfers) == "<Transfers 0 running, 0 waiting>"
        assert repr(scene.jobs) == "<Jobs 1 in progress, 1 paused>"
        scene.remote.finish.set()
        job.resume()
        await following
        assert job.status == "done"

    scene = play(store, story)
    assert scene.remote.num_begun == 2
    assert scene.statuses[-2:] == ["resumed", "success"]
    assert scene.lines[-1] == Progress("success")


def test_a_paused_job_does_not_stop_another_one_of_the_same_bytes(store: Store) -> None:
    async def story(scene: Scene) -> None:
        first, second = scene.jobs.add("tiny"), scene.jobs.add("tiny")
        tasks = [asyncio.create_task(scene.follow(job)) for job in (first, second)]
        await until(lambda: repr(scene.transfers) == "<Transfers 1 running, 2 waiting>")
        first.pause()
        await until(lambda: repr(scene.transfers) == "<Transfers 1 running, 1 waiting>")
        assert scene.remote.is_at_work
        scene.remote.finish.set()
        await tasks[1]
        first.resume()
        await tasks[0]

    play(store, story)


def test_whoever_stops_following_ends_the_job(store: Store) -> None:
    async def story(scene: Scene) -> None:
        job = scene.jobs.add("tiny")
        following = asyncio.create_task(scene.follow(job))
        await until(lambda: scene.remote.is_at_work)
        following.cancel()
        await asyncio.wait({following})
        assert (job.status, scene.remote.is_at_work) == ("cancelled", False)

    play(store, story)


def test_a_job_that_nobody_follows_runs_to_its_end(store: Store) -> None:
    async def story(scene: Scene) -> None:
        job = scene.jobs.add("tiny")
        scene.jobs.start(job, scene.work(job))
        scene.remote.finish.set()
        await until(lambda: job.is_over)
        assert (job.status, job.tally.completed) == ("done", 100)

    play(store, story)


@pytest.mark.parametrize("is_paused", [False, True])
def test_a_cancelled_job_ends_whoever_follows_it(store: Store, is_paused: bool) -> None:
    async def story(scene: Scene) -> None:
        job = scene.jobs.add("tiny")
        following = asyncio.create_task(scene.follow(job))
        await until(lambda: scene.remote.is_at_work)
        if is_paused:
            job.pause()
            await until(lambda: not scene.remote.is_at_work)
        await scene.jobs.cancel(job)
        with pytest.raises(Cancelled, match="the pull of tiny was cancelled"):
            await following
        assert (job.status, scene.remote.is_at_work) == ("cancelled", False)

    play(store, story)


def test_a_failure_reaches_whoever_follows_and_stays_in_the_list(store: Store) -> None:
    async def story(scene: Scene) -> None:
        scene.remote.error = RemoteError("broken")
        scene.remote.finish.set()
        with pytest.raises(RemoteError, match="broken"):
            await scene.follow(scene.jobs.add("tiny"))
        (job,) = scene.jobs.all()
        assert (job.status, job.listed(0.0).error) == ("failed", "broken")

    play(store, story)


def test_a_fault_of_ours_is_an_error_with_its_kind(store: Store) -> None:
    async def story(scene: Scene) -> None:
        scene.remote.error = KeyError("x")
        scene.remote.finish.set()
        job = scene.jobs.add("tiny")
        scene.jobs.start(job, scene.work(job))
        await until(lambda: job.is_over)
        assert job.listed(0.0).error == "KeyError: 'x'"

    play(store, story)


def test_a_job_that_is_over_can_be_forgotten(store: Store) -> None:
    async def story(scene: Scene) -> None:
        scene.remote.finish.set()
        await scene.follow(scene.jobs.add("tiny"))
        await scene.jobs.cancel(scene.jobs.get("1"))
        assert scene.jobs.all() == []

    play(store, story)


def test_jobs_that_nobody_lists_are_forgotten_too() -> None:
    jobs = Jobs()
    for _ in range(MAX_ENDED + 10):
        jobs.add("tiny").end("done", now=time.time())

    assert len(jobs._jobs) <= MAX_ENDED + 1


@pytest.mark.parametrize("text", ["2", "0", "-1", "x", "", "9" * 5000, "١"])
def test_an_unknown_job_is_not_found(text: str) -> None:
    jobs = Jobs()
    jobs.add("tiny")

    with pytest.raises(NotFound, match="not found"):
        jobs.get(text)


def test_a_daemon_that_stops_ends_its_jobs(store: Store) -> None:
    async def story(scene: Scene) -> None:
        job = scene.jobs.add("tiny")
        scene.jobs.start(job, scene.work(job))
        await until(lambda: scene.remote.is_at_work)
        await scene.jobs.close()
        assert job.status == "cancelled"

    play(store, story)


def test_the_loosest_limit_of_those_who_share_a_transfer_counts(store: Store) -> None:
    async def story(scene: Scene) -> None:
        jobs = [scene.jobs.add("tiny", rate) for rate in (1000, 5000)]
        tasks = [asyncio.create_task(scene.follow(job)) for job in jobs]
        await until(lambda: repr(scene.transfers) == "<Transfers 1 running, 2 waiting>")
        (transfer,) = scene.transfers._running.values()
        assert transfer.limiter.rate == 5000
        jobs[1].pause()
        await until(lambda: repr(scene.transfers) == "<Transfers 1 running, 1 waiting>")
        assert transfer.limiter.rate == 1000
        scene.remote.finish.set()
        jobs[1].resume()
        await asyncio.gather(*tasks)

    play(store, story)
