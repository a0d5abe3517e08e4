"""Blocking work in threads that never outlives the coroutine that asked for it.

Owns nothing. Must never return or raise while its thread still runs: the caller may delete files right after.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

from ollamapy.errors import Cancelled

T = TypeVar("T")


class Stop:
    """Tells a thread that nobody waits for its work any more."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Asks the thread to end."""
        self._event.set()

    def check(self) -> None:
        """Raises Cancelled once the thread should end. Long loops call it every round."""
        if self._event.is_set():
            raise Cancelled("the transfer was cancelled")


async def in_thread(work: Callable[[Stop], T]) -> T:
    """What `work` returns, run in a thread. On cancellation `work` is told to stop, and waited for."""
    stop = Stop()
    task = asyncio.ensure_future(asyncio.to_thread(work, stop))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.set()
        await _ended(task)
        raise


async def _ended(task: "asyncio.Future[T]") -> None:
    """Waits until `task` is over, also through further cancellations; its result does not matter any more."""
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({task})
    if not task.cancelled():
        task.exception()
