"""Several sources fetch parts of one blob together; one that fails while another is left is asked no more.

Owns the running requests: who is asked for which bytes, for how long, and how often again. Which part goes where is
decided by `spread`; what comes is handed to a target, which keeps it.

1. the sources of the lowest rank that are left work; the next rank begins when all of them were dropped
2. while others are left, a source gets a part for a lease, and is dropped for a second failure, or for dripping
3. the last one gets all the patience: whole parts, MAX_TRIES, and what it refuses then is the error
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ollamapy.errors import RemoteError
from ollamapy.remotes import pace
from ollamapy.remotes.oci.parts import NUM_PARTS, Part
from ollamapy.remotes.oci.session import Lost, Stalled, Status
from ollamapy.remotes.oci.source import Source
from ollamapy.remotes.oci.spread import Lane, assign, lease_bytes
from ollamapy.remotes.oci.tries import MAX_TRIES, Sleep, pause

DIRECT_URL_SECONDS = 30.0
_HASTY_SECONDS = 3.0
"""How long a place is waited for when there is another one."""
_LEASE_LIMIT_SECONDS = 10.0
_MIN_RATE = 64 << 10
"""Bytes a second below which a source holds up more than it brings."""
_BUFFER_BYTES = 1 << 20
_MAX_PIECES = 500  # a system call takes 1024

log = logging.getLogger(__name__)

Prepare = Callable[[Source, float, Sleep], Awaitable[None]]


class NoRanges(Exception):
    """The server sent the whole blob when a part of it was asked for."""


class Target(Protocol):
    """Where the bytes go."""

    async def take(self, part: Part, pieces: list[bytes], source: Source, /) -> None:
        """Keeps the bytes that follow what the part has, and counts them."""

    def restart(self) -> None:
        """The bytes come from the first one again."""


@dataclass(frozen=True, slots=True)
class _Lease:
    """A part that a source is at, up to `goal` of its bytes."""

    part: Part
    source: Source
    goal: int
    before: int
    since: float


@dataclass(slots=True)
class Crew:
    """The sources of one blob."""

    sources: Sequence[Source]
    sleep: Sleep = asyncio.sleep
    _error: RemoteError = field(default_factory=lambda: RemoteError("nobody has the blob"))

    async def ready(self, prepare: Prepare, among: Collection[Source] | None = None) -> list[Source]:
        """The sources to ask now, after `prepare`. Raises the RemoteError of the last one when none is left."""
        while living := self._living(among):
            rank = min(source.rank for source in living)
            chosen = [source for source in living if source.rank == rank]
            is_alone = len(living) == 1
            await asyncio.gather(*(self._prepare(source, prepare, is_alone=is_alone) for source in chosen))
            if chosen := [source for source in chosen if not source.is_dropped]:
                return chosen
        raise self._error

    def _living(self, among: Collection[Source] | None = None) -> list[Source]:
        return [source for source in (self.sources if among is None else among) if not source.is_dropped]

    async def _prepare(self, source: Source, prepare: Prepare, *, is_alone: bool) -> None:
        try:
            async with asyncio.timeout(None if is_alone else _LEASE_LIMIT_SECONDS):
                await prepare(source, DIRECT_URL_SECONDS if is_alone else _HASTY_SECONDS, self.sleep)
        except RemoteError as error:
            self._drop(source, error)
        except TimeoutError:
            self._drop(source, RemoteError(f"{source.host} does not answer"))

    def _drop(self, source: Source, error: RemoteError) -> None:
        self._error = error
        source.drop(error)

    async def fetch(self, parts: Sequence[Part], target: Target, among: Collection[Source] | None = None) -> None:
        """Until every part is whole. Raises RemoteError, StoreError; NoRanges of the last source."""
        running: dict[asyncio.Task[None], _Lease] = {}
        try:
            while running or not all(part.is_done for part in parts):
                busy = {lease.part.n for lease in running.values()}
                if idle := [part for part in parts if not part.is_done and part.n not in busy]:
                    chosen = await self.ready(Source.locate, among)
                    for lease in self._leases(idle, chosen, running.values(), among):
                        running[asyncio.create_task(self._fetch(lease, target, among))] = lease
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    self._settle(running.pop(task), task, among)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _leases(
        self,
        idle: Sequence[Part],
        chosen: Sequence[Source],
        running: Collection[_Lease],
        among: Collection[Source] | None,
    ) -> list[_Lease]:
        """What begins now. The connections of the sources stand in turn, so that parts spread over equals."""
        lanes: list[tuple[int, Source, Lane]] = []
        for source in chosen:
            left = [lease.goal - lease.part.completed for lease in running if lease.source is source]
            left += [0] * (max(1, NUM_PARTS // len(chosen)) - len(left))
            lanes += [(n, source, Lane(source.rate, size)) for n, size in enumerate(left)]
        lanes.sort(key=lambda lane: lane[0])
        given = assign([part.size - part.completed for part in idle], [lane for _, _, lane in lanes])
        is_alone = len(self._living(among)) == 1
        return [self._lease(idle[part], lanes[lane][1], is_alone=is_alone) for part, lane in given]

    def _lease(self, part: Part, source: Source, *, is_alone: bool) -> _Lease:
        goal = part.size if is_alone else min(part.size, part.completed + lease_bytes(source.rate))
        return _Lease(part, source, goal, part.completed, time.monotonic())

    def _settle(self, lease: _Lease, task: "asyncio.Task[None]", among: Collection[Source] | None) -> None:
        """Learns from a lease that is over. Raises what no other source can help."""
        error = task.exception()
        source = lease.source
        seconds = time.monotonic() - lease.since
        source.measure(lease.part.completed - lease.before, seconds)
        if isinstance(error, TimeoutError):
            if (lease.part.completed - lease.before) / seconds < _MIN_RATE and not pace.is_limited():
                self._drop(source, RemoteError(f"{source.host} sends less than {_MIN_RATE} bytes a second"))
        elif isinstance(error, NoRanges) and len(self._living(among)) > 1:
            self._drop(source, RemoteError(f"{source.host} does not give parts"))
        elif isinstance(error, RemoteError):
            self._drop(source, error)
        elif error:
            raise error

    async def _fetch(self, lease: _Lease, target: Target, among: Collection[Source] | None) -> None:
        """A part to the goal. A stall in its bytes does not use up a try; an attempt that brought much gives them back.

        Raises RemoteError, StoreError, NoRanges; TimeoutError when that takes too long while others are left.
        """
        part, source, failures = lease.part, lease.source, 0
        while part.completed < lease.goal and not source.is_dropped:
            before = part.completed
            is_alone = len(self._living(among)) == 1
            limit = None if is_alone else max(0.0, lease.since + _LEASE_LIMIT_SECONDS - time.monotonic())
            try:
                async with asyncio.timeout(limit):
                    await self._attempt(lease, target, may_be_whole=is_alone)
            except (Lost, Status) as error:
                if not source.may_pass(error):
                    raise
                if isinstance(error, Stalled) and is_alone and part.completed > before:
                    log.info("part stalled, asking again n=%d reason=%r", part.n, str(error))
                    continue
                failures = 1 + (0 if part.completed - before > _BUFFER_BYTES else failures)
                await self._wait(source, part, failures, error, MAX_TRIES if is_alone else 2)

    async def _wait(self, source: Source, part: Part, failures: int, error: RemoteError, tries: int) -> None:
        """Until the next try. Raises RemoteError when that was the last."""
        if failures >= tries:
            hint = "pull again to go on where it broke off"
            raise RemoteError(f"max retries exceeded: {error.message}", hint=hint) from error
        seconds = pause(failures, error)
        log.info("part failed n=%d failures=%d pause_seconds=%.1f reason=%r", part.n, failures, seconds, str(error))
        await self.sleep(seconds)
        if isinstance(error, Status):
            await source.locate(DIRECT_URL_SECONDS, self.sleep, again=True)

    async def _attempt(self, lease: _Lease, target: Target, *, may_be_whole: bool) -> None:
        """One request for the rest of a lease. Raises Lost when it ends too early."""
        part, source = lease.part, lease.source
        start = part.offset + part.completed
        async with source.open(start, part.offset + lease.goal) as (response, is_whole):
            if is_whole:
                if not may_be_whole or part.size != source.size:
                    raise NoRanges
                part.completed = start = 0
                target.restart()
            missing = part.offset + lease.goal - start
            buffer_bytes = pace.buffer_bytes(_BUFFER_BYTES)
            pieces: list[bytes] = []
            size = 0
            try:
                async for chunk in response.aiter_raw():
                    pieces.append(chunk[:missing])
                    size += len(pieces[-1])
                    missing -= len(pieces[-1])
                    if not missing:
                        return
                    if size >= buffer_bytes or len(pieces) >= _MAX_PIECES:
                        full, pieces, size = pieces, [], 0
                        await target.take(part, full, source)
                    await pace.keep(len(chunk))
            finally:
                if pieces:
                    await target.take(part, pieces, source)
        raise Lost(f"the connection ended {missing} bytes too early")
