"""Pulls in progress, as the routes tell them: what one is, and how far it is. Shapes only."""

from typing import Literal

import msgspec

JobStatus = Literal["running", "paused", "done", "failed", "cancelled"]


class ListedJob(msgspec.Struct, frozen=True):
    """A pull, `id` being its number in this daemon. Sizes are bytes; `total` counts what is known of so far."""

    id: int
    kind: Literal["pull"]
    model: str
    status: JobStatus
    completed: int
    total: int
    bytes_per_second: int
    limit_rate: int
    """What the pull may bring a second; 0 is no limit."""
    started_at: str
    ended_at: str = ""
    error: str = ""
    hint: str = ""


class JobList(msgspec.Struct, frozen=True):
    """Every pull that runs or is paused, and the last ones that ended; oldest first."""

    jobs: tuple[ListedJob, ...]
