"""Runs a model in a child process on this machine, speaking `wire/runner.py` over its pipes."""

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence

import msgspec

from ollamapy.child import Child
from ollamapy.engines.base import OnDeath
from ollamapy.engines.failures import as_error, death, load_failure, tells_of_memory
from ollamapy.errors import LoadFailed, OutOfMemory, RunnerDied
from ollamapy.wire.runner import (
    Cancel,
    Detokenize,
    Embed,
    Embedding,
    Event,
    Finished,
    Generate,
    Load,
    LoadError,
    Loading,
    Output,
    Ready,
    Refusal,
    Stats,
    Text,
    Tokenize,
    Tokens,
    encode,
    event_decoder,
)

_SAVE_SECONDS = 10.0
"""How long a runner may take to end: it saves what it has computed."""
_QUIET_SECONDS = 1.0
"""A runner that has spoken within this time is believed to be well."""
_PING_SECONDS = 10.0
_READ_BYTES_PER_SECOND = 100_000
"""The least that a runner reads. The thread that answers a ping tokenizes what came before it: 1 MB/s and more."""

log = logging.getLogger(__name__)


async def start(request: Load, on_death: OnDeath, stall_seconds: float) -> "LocalRunner":
    """An Engine: loads `request` in a new child. Raises LoadFailed, ModelFileError."""
    runner = LocalRunner(on_death)
    try:
        await runner.load(request, stall_seconds)
    except BaseException:
        await asyncio.shield(runner.stop())
        raise
    return runner


class LocalRunner:
    """A Runner in a child process. Owns the child and the queues of the requests that it serves."""

    ready: Ready

    def __init__(self, on_death: OnDeath) -> None:
        self._on_death = on_death
        self._ids = itertools.count(1)
        self._queues: dict[int, asyncio.Queue[Event | RunnerDied]] = {}
        self._sizes: dict[int, int] = {}
        self._heard = time.monotonic()
        self._loading: asyncio.Queue[Event | RunnerDied] = asyncio.Queue()
        self._child: Child | None = None
        self._death: RunnerDied | None = None
        self._is_stopping = False
        self._watcher: asyncio.Task[None] | None = None
        self.stats = Stats(0, 0, 0.0, 0.0)

    @property
    def is_alive(self) -> bool:
        return self._child is not None and self._death is None and not self._is_stopping

    @property
    def pid(self) -> int:
        return self._child.pid if self._child else 0

    async def load(self, request: Load, stall_seconds: float) -> None:
        """Starts the child and waits until the model is loaded. Raises LoadFailed, ModelFileError."""
        self._child = await Child.start("ollamapy.runner", self._on_line, name=f"runner {request.path[-20:]}")
        self._watcher = asyncio.create_task(self._watch(self._child))
        self._child.send(encode(request))
        while True:
            match await self._next_sign(stall_seconds):
                case Ready() as ready:
                    self.ready = ready
                    return
                case LoadError() as failed:
                    assert self._child is not None
                    raise load_failure(failed, await self._child.stop())
                case RunnerDied() as died:
                    kind = OutOfMemory if tells_of_memory(died.hint) else LoadFailed
                    raise kind(f"model runner ended while loading: {died.hint}") from died
                case _:
                    pass

    async def _next_sign(self, stall_seconds: float) -> Event | RunnerDied:
        timeout = None if stall_seconds == float("inf") else stall_seconds
        try:
            return await asyncio.wait_for(self._loading.get(), timeout)
        except TimeoutError:
            text = f"timed out waiting for llama-server to start: no progress for {stall_seconds:g} s"
            raise LoadFailed(text) from None

    async def generate(self, request: Generate) -> AsyncGenerator[Output | Finished, None]:
        """The answer to `request`, which gets an id of this runner's."""
        request_id = next(self._ids)
        queue = self._open(request_id)
        is_done = False
        try:
            self._send(msgspec.structs.replace(request, id=request_id))
            while not is_done:
                event = await queue.get()
                if isinstance(event, Output | Finished):
                    is_done = isinstance(event, Finished)
                    yield event
                else:
                    is_done = True
                    raise as_error(event)
        finally:
            self._close(request_id)
            if not is_done:
                self._send(Cancel(request_id))

    async def embed(self, request: Embed) -> Embedding:
        """The vectors of `request`, which gets an id of this runner's."""
        answer = await self._ask(lambda request_id: msgspec.structs.replace(request, id=request_id))
        assert isinstance(answer, Embedding)
        return answer

    async def tokenize(self, text: str, add_special: bool = True) -> Sequence[int]:
        """The token ids of `text`."""
        answer = await self._ask(lambda request_id: Tokenize(request_id, text, add_special))
        assert isinstance(answer, Tokens)
        return answer.tokens

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of `tokens`, special tokens written out."""
        answer = await self._ask(lambda request_id: Detokenize(request_id, tuple(tokens)))
        assert isinstance(answer, Text)
        return answer.text

    async def check(self) -> None:
        """Ends a child that hangs, as if it had died; one that has spoken lately is not asked."""
        if time.monotonic() - self._heard < _QUIET_SECONDS:
            return
        with contextlib.suppress(RunnerDied):
            while self.is_alive and not await self._answers(patience_seconds(sum(self._sizes.values()))):
                pass

    async def _answers(self, patience: float) -> bool:
        """Whether the child answers in time; one that says nothing at all until then is killed. Raises RunnerDied."""
        asked = time.monotonic()
        try:
            await asyncio.wait_for(self.detokenize(()), patience)
        except TimeoutError:
            if self._heard < asked and self._child and self._watcher:
                log.warning("runner hangs and is killed pid=%d silent_seconds=%.0f", self.pid, patience)
                self._child.kill()
                await asyncio.shield(self._watcher)
            return False
        return True

    async def stop(self) -> None:
        """Ends the child; whoever still waits for it gets RunnerDied."""
        self._is_stopping = True
        if self._child:
            await self._child.stop(_SAVE_SECONDS)
        if self._watcher:
            await self._watcher

    async def _ask(self, make: Callable[[int], Embed | Tokenize | Detokenize]) -> Event:
        request_id = next(self._ids)
        queue = self._open(request_id)
        try:
            self._send(make(request_id))
            event = await queue.get()
        except asyncio.CancelledError:
            self._send(Cancel(request_id))
            raise
        finally:
            self._close(request_id)
        if isinstance(event, RunnerDied | Refusal):
            raise as_error(event)
        return event

    def _open(self, request_id: int) -> "asyncio.Queue[Event | RunnerDied]":
        if self._death:
            raise self._death
        queue: asyncio.Queue[Event | RunnerDied] = asyncio.Queue()
        self._queues[request_id] = queue
        return queue

    def _close(self, request_id: int) -> None:
        self._queues.pop(request_id, None)
        self._sizes.pop(request_id, None)

    def _send(self, message: Generate | Embed | Cancel | Tokenize | Detokenize) -> None:
        assert self._child is not None
        line = encode(message)
        if message.id in self._queues:
            self._sizes[message.id] = len(line)
        self._child.send(line)

    def _on_line(self, line: bytes) -> None:
        self._heard = time.monotonic()
        event = event_decoder.decode(line)
        match event:
            case Loading() | Ready() | LoadError():
                self._loading.put_nowait(event)
            case Stats():
                self.stats = _sum(self.stats, event)
            case _:
                queue = self._queues.get(event.id)
                if queue:
                    queue.put_nowait(event)

    async def _watch(self, child: Child) -> None:
        exit_ = await child.wait()
        self._death = death(exit_)
        self._loading.put_nowait(self._death)
        for queue in self._queues.values():
            queue.put_nowait(self._death)
        if not self._is_stopping:
            log.warning("runner died pid=%d reason=%s", child.pid, exit_.reason)
            for line in exit_.stderr[-10:]:
                log.warning("runner stderr pid=%d line=%s", child.pid, line)
            self._on_death(self)

    def __repr__(self) -> str:
        state = "alive" if self.is_alive else "ended"
        return f"<LocalRunner {state} pid {self.pid}, {len(self._queues)} requests>"


def patience_seconds(num_bytes: int) -> float:
    """How long to wait for a sign of life from a runner that may still be reading requests of so many bytes."""
    return _PING_SECONDS + num_bytes / _READ_BYTES_PER_SECOND


def _sum(a: Stats, b: Stats) -> Stats:
    return Stats(
        a.num_steps + b.num_steps,
        a.num_tokens + b.num_tokens,
        a.decode_seconds + b.decode_seconds,
        a.host_seconds + b.host_seconds,
    )
