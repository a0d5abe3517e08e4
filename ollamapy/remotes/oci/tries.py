"""When to try again and how long to wait before: the same for what comes and what goes. Only decides."""

import random
from collections.abc import Awaitable, Callable

from ollamapy.errors import RemoteError
from ollamapy.remotes.oci.session import Status

MAX_TRIES = 6
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that may pass."""
_MAX_WAIT_SECONDS = 60.0

Sleep = Callable[[float], Awaitable[None]]


def pause(failures: int, error: RemoteError) -> float:
    """Seconds before the next try: 1, 2, 4 … 32, give or take a quarter; what the server asks for when it says."""
    wanted = error.retry_after if isinstance(error, Status) else None
    if wanted is not None:
        return min(wanted, _MAX_WAIT_SECONDS)
    return float(2.0 ** (failures - 1) * random.uniform(0.75, 1.25))


def first(group: BaseExceptionGroup) -> BaseException:
    """The first error inside a group of groups."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
