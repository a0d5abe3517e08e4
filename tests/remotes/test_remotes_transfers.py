"""Sharing, leaving and stopping, with a remote whose every step the test decides."""

import asyncio
import gc
from dataclasses import dataclass, field

from ollamapy.errors import RemoteError
from ollamapy.names import Digest, ModelName
from ollamapy.remotes.base import BlobSink, Entry, Report, Source, converting, pulling, verifying
from ollamapy.remotes.transfers import Transfers
from ollamapy.store.store import Store
from ollamapy.wire.native import Progress

DIGEST = Digest("a" * 64)
SOURCE = Source("url", "https://a.example/tiny.gguf", digest=DIGEST, size=100)


@dataclass
class SteppedRemote:
    """A remote that waits for the test. `log` holds what happened to it."""

    entry: Entry = field(default_factory=lambda: Entry(ModelName.parse("tiny"), SOURCE))
    log: list[str] = field(default_factory=list)
    finish: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    may_clean_up: asyncio.Event = field(default_factory=asyncio.Event)
    error: RemoteError | None = None
    lines: tuple[Progress, ...] = (pulling(SOURCE, 40),)

    async def fetch(self, blobs: BlobSink, report: Report) -> Digest:
        self.log.append("begun")
        for line in self.lines:
            report(line)
        try:
            await self.finish.wait()
        except asyncio.CancelledError:
            self.log.append("cancelled")
            self.cancelled.set()
            await self.may_clean_up.wait()
            raise
        if self.error:
            raise self.error
        self.log.append("done")
        return DIGEST


@dataclass
class Follower:
    """One who waits for a transfer: `seen` is set by its first line."""

    transfers: Transfers
    remote: SteppedRemote
    store: Store
    lines: list[Progress] = field(default_factory=list)
    seen: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> Digest:
        async with self.transfers.join(self.remote, self.store.blobs) as transfer:
            async for line in transfer.progress():
                self.lines.append(line)
                self.seen.set()
            return transfer.result()

    def start(self) -> "asyncio.Task[Digest]":
        return asyncio.create_task(self.run())


async def leave(task: "asyncio.Task[Digest]") -> None:
    task.cancel()
    await asyncio.wait({task})


def test_two_who_want_the_same_bytes_share_one_transfer(store: Store) -> None:
    async def main() -> list[str]:
        transfers, remote = Transfers(), SteppedRemote()
        first, second = (Follower(transfers, remote, store) for _ in range(2))
        tasks = [first.start(), second.start()]
        await first.seen.wait()
        await second.seen.wait()
        assert repr(transfers) == "<Transfers 1 running, 2 waiting>"
        remote.finish.set()
        assert await asyncio.gather(*tasks) == [DIGEST, DIGEST]
        assert set(first.lines) == set(second.lines) == {pulling(SOURCE, 40)}
        transfers.check()
        assert repr(transfers) == "<Transfers 0 running, 0 waiting>"
        return remote.log

    assert asyncio.run(main()) == ["begun", "done"]


def test_one_who_leaves_does_not_stop_the_other(store: Store) -> None:
    async def main() -> list[str]:
        transfers, remote = Transfers(), SteppedRemote()
        leaver, stayer = (Follower(transfers, remote, store) for _ in range(2))
        leaving, staying = leaver.start(), stayer.start()
        await leaver.seen.wait()
        await stayer.seen.wait()
        await leave(leaving)
        remote.finish.set()
        assert await staying == DIGEST
        return remote.log

    assert asyncio.run(main()) == ["begun", "done"]


def test_the_last_one_to_leave_stops_the_transfer(store: Store) -> None:
    async def main() -> list[str]:
        transfers, remote = Transfers(), SteppedRemote()
        remote.may_clean_up.set()
        follower = Follower(transfers, remote, store)
        task = follower.start()
        await follower.seen.wait()
        await leave(task)
        transfers.check()
        return remote.log

    assert asyncio.run(main()) == ["begun", "cancelled"]


def test_a_newcomer_waits_for_a_stopping_transfer_and_begins_its_own(store: Store) -> None:
    """Both would write the same unfinished file."""

    async def main() -> list[str]:
        transfers, remote = Transfers(), SteppedRemote()
        leaver = Follower(transfers, remote, store)
        task = leaver.start()
        await leaver.seen.wait()
        task.cancel()
        await remote.cancelled.wait()
        newcomer = Follower(transfers, remote, store).start()
        await asyncio.wait({newcomer}, timeout=0.05)
        assert remote.log == ["begun", "cancelled"]
        remote.finish.set()
        remote.may_clean_up.set()
        assert await newcomer == DIGEST
        return remote.log

    assert asyncio.run(main()) == ["begun", "cancelled", "begun", "done"]


def test_a_failure_reaches_everybody_and_the_next_one_tries_anew(store: Store) -> None:
    async def main() -> list[str]:
        transfers, remote = Transfers(), SteppedRemote(error=RemoteError("broken"))
        tasks = [Follower(transfers, remote, store).start() for _ in range(2)]
        remote.finish.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [str(result) for result in results] == ["broken", "broken"]
        remote.error = None
        assert await Follower(transfers, remote, store).run() == DIGEST
        return remote.log

    assert asyncio.run(main()) == ["begun", "begun", "done"]


def test_a_failure_that_nobody_waits_for_any_more_is_silent(store: Store) -> None:
    """An error that is never looked at would be logged by asyncio, with a traceback, when it is collected."""
    complaints: list[object] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        transfers, remote = Transfers(), SteppedRemote(error=RemoteError("broken"))
        async with transfers.join(remote, store.blobs) as transfer:
            remote.finish.set()
            await asyncio.wait({transfer.task})
        del transfer
        gc.collect()

    asyncio.run(main())

    assert complaints == []


def test_verifying_comes_once_and_after_a_full_line(store: Store) -> None:
    async def main() -> list[Progress]:
        follower = Follower(Transfers(), SteppedRemote(lines=(pulling(SOURCE, 40), verifying())), store)
        task = follower.start()
        await follower.seen.wait()
        follower.remote.finish.set()
        await task
        return follower.lines

    assert asyncio.run(main()) == [pulling(SOURCE, 100), verifying()]


def test_every_step_is_told_and_mere_words_only_once(store: Store) -> None:
    steps = (pulling(SOURCE, 40), converting(), converting(), verifying())

    async def main() -> list[Progress]:
        follower = Follower(Transfers(), SteppedRemote(lines=steps), store)
        task = follower.start()
        await follower.seen.wait()
        await asyncio.wait({task}, timeout=0.2)
        follower.remote.finish.set()
        await task
        return follower.lines

    assert asyncio.run(main()) == [pulling(SOURCE, 100), converting(), verifying()]


def test_a_transfer_that_ends_at_once_still_shows_its_line(store: Store) -> None:
    async def main() -> list[Progress]:
        follower = Follower(Transfers(), SteppedRemote(lines=(pulling(SOURCE, 100),)), store)
        follower.remote.finish.set()
        await follower.run()
        return follower.lines

    assert asyncio.run(main()) == [pulling(SOURCE, 100)]
