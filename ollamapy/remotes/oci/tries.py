"""When to try again and how long to wait before: the same for what comes and what goes."""

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ollamapy.errors import RemoteError
from ollamapy.remotes.oci.session import Lost, Status

MAX_TRIES = 6
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that may pass."""
_MAX_WAIT_SECONDS = 60.0

Sleep = Callable[[float], Awaitable[None]]

T = TypeVar("T")


def pause(failures: int, error: RemoteError) -> float:
    """Seconds before the next try: 1, 2, 4 … 32, give or take a quarter; what the server asks for when it says."""
    wanted = error.retry_after if isinstance(error, Status) else None
    if wanted is not None:
        return min(wanted, _MAX_WAIT_SECONDS)
    return float(2.0 ** (failures - 1) * random.uniform(0.75, 1.25))


async def patiently(ask: Callable[[], Awaitable[T]], seconds: float, sleep: Sleep) -> T:
    """What `ask` answers, asked again for `seconds` of waiting while the fault may pass. Raises Lost, Status."""
    waited, tries = 0.0, 0
    while True:
        try:
            return await ask()
        except (Lost, Status) as error:
            tries += 1
            wanted = min(tries * tries * 0.01, 10.0) * random.uniform(0.5, 1.5)
            if isinstance(error, Status):
                if error.number not in TRANSIENT:
                    raise
                wanted = error.retry_after or wanted
            waited += wanted
            if waited > seconds:
                raise
            await sleep(wanted)


def first(group: BaseExceptionGroup) -> BaseException:
    """The first error inside a group of groups."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
