"""Which connection takes which part next, and how much of it. Only decides: values in, values out.

A part goes to the connection that will have finished it first by the rates that were measured, busy ones counted with
what they still have to do. So a slow source gets a part only while the fast ones are busy for longer than it needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

LEASE_SECONDS = 4.0
"""How long a source may keep a part before it is decided anew, by its measured rate."""
MIN_LEASE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Lane:
    """A connection: its bytes a second, 0 when nobody knows, and the bytes that it is still at, 0 when it is free."""

    rate: float
    left: int = 0


def assign(sizes: Sequence[int], lanes: Sequence[Lane]) -> list[tuple[int, int]]:
    """Which of the parts with `sizes` bytes left go to which free lanes now, as pairs of indexes.

    A lane of unknown rate counts as the fastest, so that it is tried. At least one part goes when all lanes are free.
    """
    best = max((lane.rate for lane in lanes), default=0.0) or 1.0
    rates = [lane.rate or best for lane in lanes]
    ready = [lane.left / rate for lane, rate in zip(lanes, rates, strict=True)]
    given = []
    for part, size in enumerate(sizes):
        lane = min(range(len(lanes)), key=lambda n: ready[n] + size / rates[n])
        if not ready[lane]:
            given.append((part, lane))
        ready[lane] += max(size, 1) / rates[lane]
    return given


def lease_bytes(rate: float) -> int:
    """How many bytes a source of this rate is asked for at a time while others could help."""
    return max(MIN_LEASE_BYTES, int(rate * LEASE_SECONDS))
