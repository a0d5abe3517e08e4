"""Carries out what `PoolState` decides: starts and stops runners, hands out leases, keeps the clock.

Owns every runner of the daemon. All of it runs on the event loop between awaits, so there are no locks.
"""

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from ollamapy.engines.base import Engine, Runner
from ollamapy.errors import Cancelled, Error, LoadFailed, ModelFileError, RunnerDied
from ollamapy.names import ModelName
from ollamapy.pool.state import Action, Demand, Fail, Grant, Phase, PoolState, Start, Stop
from ollamapy.settings import Settings
from ollamapy.wire.manifest import Config
from ollamapy.wire.runner import Load

DEFAULT_MAX_LOADED = 3

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Label:
    """Under which model a runner is shown: the one whose request caused the load."""

    name: ModelName
    manifest_digest: str
    config: Config

    def __str__(self) -> str:
        return self.name.short


@dataclass(frozen=True, slots=True)
class Loaded:
    """A runner as `/api/ps` shows it. `expires_at` is Unix time, infinity for ever."""

    label: Label
    size_bytes: int
    vram_bytes: int
    num_ctx: int
    expires_at: float


class Pool:
    """The runners of this daemon."""

    def __init__(self, settings: Settings, engines: Mapping[str, Engine]) -> None:
        self._settings = settings
        self._engines = engines
        self._state = PoolState(
            max_loaded=settings.max_loaded_models or DEFAULT_MAX_LOADED,
            max_queue=settings.max_queue,
            default_keep_alive=settings.keep_alive,
        )
        self._tickets = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[str]] = {}
        self._labels: dict[int, Label] = {}
        self._runners: dict[str, tuple[Runner, Label]] = {}
        self._starting: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._is_closing = False

    @contextlib.asynccontextmanager
    async def lease(self, demand: Demand, label: Label) -> AsyncIterator[Runner]:
        """The right to use the runner that `demand` names until the block ends.

        Waits for a load or for the queue; a runner that hangs is replaced. Raises LoadFailed, ModelFileError, Busy;
        Cancelled when the daemon stops.
        """
        if demand.key in self._runners:
            await self._runners[demand.key][0].check()
        if self._is_closing:
            raise Cancelled("the server is shutting down")
        ticket = next(self._tickets)
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[ticket], self._labels[ticket] = future, label
        try:
            self._act(self._state.on_request(ticket, demand, time.time()))
            yield self._runner(await future)
        finally:
            self._waiting.pop(ticket, None)
            self._labels.pop(ticket, None)
            self._act(self._state.on_release(ticket, time.time()))

    def _runner(self, key: str) -> Runner:
        if key not in self._runners:  # it died between the grant and now
            raise RunnerDied("model runner has unexpectedly stopped")
        return self._runners[key][0]

    def loaded(self) -> list[Loaded]:
        """The runners that are ready, longest remaining time first."""
        now = time.time()
        found = []
        for key, (runner, label) in self._runners.items():
            entry = self._state.entries.get(key)
            if entry and entry.phase is not Phase.STARTING:
                expires_at = now + entry.keep_alive if entry.expires_at is None else entry.expires_at
                ready = runner.ready
                found.append(Loaded(label, ready.size_bytes, ready.vram_bytes, ready.num_ctx, expires_at))
        return sorted(found, key=lambda loaded: -loaded.expires_at)

    @property
    def num_running(self) -> int:
        """Requests that hold a lease."""
        return sum(len(entry.tickets) for entry in self._state.entries.values())

    @property
    def num_waiting(self) -> int:
        """Requests that wait for a load or for their turn."""
        return len(self._state.queue)

    def expire(self, path: str) -> None:
        """Unloads the runners of these weights as soon as their running requests have ended; none is fine too."""
        for key in self._state.keys_of(path):
            self._act(self._state.on_expire(key, time.time()))

    def ready_load(self, path: str) -> Load | None:
        """A load whose lease is granted at once, because a runner of these weights is there; None without one."""
        return self._state.ready_load(path)

    async def close(self) -> None:
        """Stops everything; who waits gets Cancelled, who runs RunnerDied."""
        self._is_closing = True
        if self._timer:
            self._timer.cancel()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(Cancelled("the server is shutting down"))
                future.exception()  # the waiter may be gone
        for task in self._starting.values():
            task.cancel()
        await asyncio.gather(*self._starting.values(), return_exceptions=True)
        await asyncio.gather(*(runner.stop() for runner, _ in self._runners.values()), return_exceptions=True)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def __repr__(self) -> str:
        return f"<Pool {self._state!r}>"

    # Carrying out

    def _act(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Start(key, load):
                    self._start(key, load)
                case Stop(key):
                    self._stop(key)
                case Grant(ticket, key):
                    self._settle(ticket, key)
                case Fail(ticket, error):
                    self._settle(ticket, error)
        self._arm_timer()

    def _settle(self, ticket: int, outcome: str | Error) -> None:
        future = self._waiting.get(ticket)
        if future is None or future.done():
            return
        if isinstance(outcome, str):
            future.set_result(outcome)
        else:
            future.set_exception(outcome)

    def _start(self, key: str, load: Load) -> None:
        label = self._labels[self._state.queue[0][0]]
        task = asyncio.create_task(self._load(key, load, label), name=f"load {key}")
        self._starting[key] = task
        task.add_done_callback(lambda task: self._on_load_ended(key, task))

    def _on_load_ended(self, key: str, task: "asyncio.Task[None]") -> None:
        if self._starting.get(key) is task:
            del self._starting[key]
        if task.cancelled():
            log.info("load cancelled path=%s", key)
            self._act(self._state.on_stopped(key, time.time()))

    async def _load(self, key: str, load: Load, label: Label) -> None:
        started = time.monotonic()
        log.info(
            "loading model=%s engine=%s num_ctx=%d pool_tokens=%d", label, load.engine, load.num_ctx, load.pool_tokens
        )
        try:
            engine = self._engines[load.engine]
            runner = await engine(load, lambda _: self._on_death(key), self._settings.load_timeout)
        except Error as error:
            log.warning("load failed model=%s error=%s", label, error.message)
            told = error.of_model(str(label)) if isinstance(error, ModelFileError) else error
            self._act(self._state.on_start_failed(key, told, time.time()))
            return
        except Exception as error:  # whatever it was, the request that waits must hear of it
            log.exception("load failed model=%s", label)
            failed = LoadFailed(f"unable to load model: {error}")
            self._act(self._state.on_start_failed(key, failed, time.time()))
            return
        self._runners[key] = (runner, label)
        log.info(
            "loaded model=%s seconds=%.2f pool_tokens=%d", label, time.monotonic() - started, runner.ready.pool_tokens
        )
        if runner.ready.warning:
            log.warning("model not used whole model=%s reason=%s", label, runner.ready.warning)
        self._act(self._state.on_started(key, runner.ready.pool_tokens, time.time()))

    def _stop(self, key: str) -> None:
        if key in self._runners:
            self._spawn(self._unload(key))
        else:
            self._starting[key].cancel()

    async def _unload(self, key: str) -> None:
        runner, label = self._runners[key]
        await runner.stop()
        self._forget(key, runner)
        log.info("unloaded model=%s", label)

    def _on_death(self, key: str) -> None:
        if key in self._runners:
            runner, label = self._runners[key]
            log.warning("runner lost model=%s", label)
            self._forget(key, runner)

    def _forget(self, key: str, runner: Runner) -> None:
        """A runner is gone: once, however it ended."""
        if key in self._runners and self._runners[key][0] is runner:
            del self._runners[key]
            self._act(self._state.on_stopped(key, time.time()))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _arm_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        deadline = self._state.next_deadline
        if deadline is not None and not self._is_closing:
            delay = max(deadline - time.time(), 0.0)
            self._timer = asyncio.get_running_loop().call_later(delay, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._act(self._state.on_tick(time.time()))
