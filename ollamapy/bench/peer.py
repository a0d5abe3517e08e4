"""The servers to compare with: one that runs somewhere, or llama-server started here and tuned for each point.

llama-server divides its cells among a fixed number of slots, and which number is best depends on the work: each
setting of `settings` is tried once, and the fastest runs against us.
"""

import asyncio
import importlib.util
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec

from ollamapy.bench.llama_server import Start, Started
from ollamapy.bench.load import Target
from ollamapy.bench.plan import Workload
from ollamapy.child import Child
from ollamapy.cores import num_cores
from ollamapy.errors import Error, InvalidInput, Unsupported

NAME = "llama-server"
DEFAULT_SLOTS = 4
"""What llama-server takes when nothing is said, and then the slots share one pool."""
START_SECONDS = 120.0
STOP_SECONDS = 10.0

Score = Callable[[Target], Awaitable[float]]
"""Output tokens per second of one run against a target."""


@dataclass(frozen=True, slots=True)
class Setting:
    """`llama-server -np num_slots`; 0 slots is what it does when nothing is said."""

    num_slots: int

    @property
    def label(self) -> str:
        return f"{NAME} -np {self.num_slots}" if self.num_slots else f"{NAME} default"

    def start(self, path: str, context_tokens: int) -> Start:
        """How to start it, so that each client's chat of `context_tokens` fits its slot."""
        if self.num_slots:
            return Start(path, self.num_slots, self.num_slots * context_tokens, num_cores())
        return Start(path, DEFAULT_SLOTS, max(8192, DEFAULT_SLOTS * context_tokens), num_cores(), is_unified=True)


def settings(num_clients: int) -> tuple[Setting, ...]:
    """What is tried for so many clients: powers of two up to one slot each, and the default."""
    slots = {2**power for power in range(num_clients.bit_length()) if 2**power <= num_clients} | {num_clients}
    return (Setting(0), *(Setting(count) for count in sorted(slots)))


@dataclass(frozen=True, slots=True)
class Fixed:
    """A server that runs already."""

    target: Target

    @asynccontextmanager
    async def best(self, num_clients: int, workload: Workload, score: Score) -> AsyncIterator[Target]:
        yield self.target


@dataclass(frozen=True, slots=True)
class LlamaServer:
    """llama-server on the file at `path`; `num_slots` None finds the best for each number of clients."""

    path: str
    num_slots: int | None = None

    @asynccontextmanager
    async def best(self, num_clients: int, workload: Workload, score: Score) -> AsyncIterator[Target]:
        """The fastest setting for this work, running until the block ends."""
        tried = settings(num_clients) if self.num_slots is None else (Setting(self.num_slots),)
        rates = {setting: await self._score(setting, workload, score) for setting in tried} if tried[1:] else {}
        async with self.running(max(rates, key=lambda each: rates[each], default=tried[0]), workload) as target:
            yield target

    async def _score(self, setting: Setting, workload: Workload, score: Score) -> float:
        async with self.running(setting, workload) as target:
            return await score(target)

    @asynccontextmanager
    async def running(self, setting: Setting, workload: Workload) -> AsyncIterator[Target]:
        """One setting, running until the block ends. Raises Error with what it printed last."""
        async with serving(setting.start(self.path, workload.context_tokens)) as (started, pid):
            yield Target(setting.label, started.url, "openai", NAME, pid, started.build)


Peer = Fixed | LlamaServer


@asynccontextmanager
async def serving(start: Start) -> AsyncIterator[tuple[Started, int]]:
    """A llama-server in a child, with its process id, until the block ends."""
    if importlib.util.find_spec("xllamacpp") is None:
        raise Unsupported(f"{NAME} is not installed here", hint="pip install 'ollamapy[bench]'")
    lines: asyncio.Queue[bytes] = asyncio.Queue()
    child = await Child.start("ollamapy.bench.llama_server", lines.put_nowait, name=NAME)
    try:
        child.send(msgspec.json.encode(start))
        yield await _started(child, lines), child.pid
    finally:
        await asyncio.shield(child.stop(STOP_SECONDS))


async def _started(child: Child, lines: "asyncio.Queue[bytes]") -> Started:
    said, ended = asyncio.ensure_future(lines.get()), asyncio.ensure_future(child.wait())
    done, _ = await asyncio.wait({said, ended}, timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    said.cancel()
    ended.cancel()
    if said not in done:
        why = (await child.wait()).reason if ended in done else f"it was not ready within {START_SECONDS:.0f} s"
        raise Error(f"{NAME} did not start: {why}")
    started = msgspec.json.decode(said.result(), type=Started)
    if started.error:
        raise Error(f"{NAME} did not start: {started.error}")
    return started


def parse(text: str, path: str) -> LlamaServer | None:
    """What `llama-server` or `llama-server:SLOTS` names, on the file at `path`; None for other words: an address."""
    name, _, slots = text.partition(":")
    if name != NAME:
        return None
    if slots and not (slots.isdecimal() and 1 <= int(slots) <= 256):
        raise InvalidInput(f"--against {NAME}:SLOTS wants 1 to 256 slots, not {slots!r}")
    return LlamaServer(path, int(slots) if slots else None)
