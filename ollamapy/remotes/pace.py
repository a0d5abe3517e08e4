"""How fast bytes may come. A fetch that reads from a network tells every piece, and waits when it is ahead.

Owns the limits that hold for the current task: a transfer sets them for everything that works for it, threads among it.
The decision, `Limiter.delay`, takes the time as an argument.
"""

import asyncio
import time
from contextvars import ContextVar
from dataclasses import dataclass

_LEAST_PAUSE_SECONDS = 0.05
"""A shorter pause is put off until it has grown: a sleep is not more exact than a few milliseconds."""
_LEAST_BUFFER_BYTES = 64 << 10


@dataclass(slots=True)
class Limiter:
    """So many bytes a second for all who share it together; 0 is no limit."""

    rate: int = 0
    _free_at: float = 0.0
    """When all bytes so far will have had their time."""

    def set(self, rate: int) -> None:
        """Another limit from now on. What came under the old one is forgotten."""
        if rate != self.rate:
            self.rate, self._free_at = rate, 0.0

    def delay(self, now: float, count: int) -> float:
        """Seconds for which whoever has read `count` bytes more should read nothing."""
        if not self.rate:
            return 0.0
        self._free_at = max(self._free_at, now) + count / self.rate
        return self._free_at - now


def loosest(rates: list[int]) -> int:
    """The limit of bytes that several want, each with a limit of their own: nobody is slowed down by another."""
    return 0 if 0 in rates else max(rates, default=0)


limits: ContextVar[tuple[Limiter, ...]] = ContextVar("limits", default=())
"""What holds for the current task."""


def is_limited() -> bool:
    """True when bytes come slowly because they should."""
    return any(limiter.rate for limiter in limits.get())


async def keep(count: int) -> None:
    """Waits as long as reading `count` bytes should have taken."""
    seconds = owed(count, limits.get())
    if seconds >= _LEAST_PAUSE_SECONDS:
        await asyncio.sleep(seconds)


def owed(count: int, limiters: tuple[Limiter, ...]) -> float:
    """The seconds for which these limits want a wait, for a thread that waits by itself."""
    now = time.monotonic()
    return max((limiter.delay(now, count) for limiter in limiters), default=0.0)


def buffer_bytes(most: int) -> int:
    """What may be held in memory before it is written: a second's worth, so that slow progress is seen and kept."""
    rates = [limiter.rate for limiter in limits.get() if limiter.rate]
    return min(most, max(_LEAST_BUFFER_BYTES, min(rates))) if rates else most
