"""How a blob is cut into parts, and what of them is here: pure numbers, and Ollama's files for them.

    <blob>-partial       the blob's bytes so far, sparse, of full size
    <blob>-partial-<n>   one part: {"N":0,"Offset":0,"Size":100000000,"Completed":0}

Either program goes on from the files of the other.
"""

import contextlib
import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import msgspec

from ollamapy.remotes.disk import disk_faults

NUM_PARTS = 16
MIN_PART_BYTES = 100_000_000
MAX_PART_BYTES = 1_000_000_000
_MAX_STATES = 100_000
_MAX_STATE_BYTES = 1000


class Part(msgspec.Struct, rename="pascal"):
    """Bytes [offset, offset + size) of a blob, the first `completed` of which are here."""

    n: int
    offset: int
    size: int
    completed: int = 0

    @property
    def end(self) -> int:
        return self.offset + self.size

    @property
    def is_done(self) -> bool:
        return self.completed >= self.size


def plan(size: int, min_bytes: int = MIN_PART_BYTES) -> list[Part]:
    """The parts of a blob of `size` bytes, of `min_bytes` at least; an empty blob has none."""
    step = min(max(size // NUM_PARTS, min_bytes), MAX_PART_BYTES)
    return [Part(n, offset, min(step, size - offset)) for n, offset in enumerate(range(0, size, step))]


def whole(size: int) -> list[Part]:
    """One part, for a server that gives no ranges."""
    return [Part(0, 0, size)] if size else []


def total(parts: Sequence[Part]) -> int:
    return sum(part.size for part in parts)


def completed(parts: Sequence[Part]) -> int:
    return sum(part.completed for part in parts)


def frontier(parts: Sequence[Part]) -> int:
    """How many bytes are here without a gap."""
    at = 0
    for part in parts:
        at = part.offset + part.completed
        if not part.is_done:
            break
    return at


def load(partial: Path) -> list[Part]:
    """The parts that were begun, in order; none when the files do not describe a blob without gaps."""
    paths = list(islice(partial.parent.glob(f"{partial.name}-*"), _MAX_STATES))
    parts = sorted((part for path in paths if (part := _read(path))), key=lambda part: part.n)
    at = 0
    for n, part in enumerate(parts):
        is_sound = part.n == n and part.offset == at and part.size > 0 and 0 <= part.completed <= part.size
        if not is_sound:
            return []
        at = part.end
    if not parts or len(parts) != len(paths):
        return []
    try:
        return parts if partial.stat().st_size == at else _without_data(parts)
    except OSError:
        return _without_data(parts)


def _without_data(parts: list[Part]) -> list[Part]:
    """A plan whose data is gone or cut: nothing of it counts."""
    return [Part(part.n, part.offset, part.size) for part in parts]


def begin(partial: Path, parts: Sequence[Part]) -> None:
    """Writes down all parts before the first byte comes, so that a later load finds them all. Raises StoreError."""
    discard(partial, data=False)
    for part in parts:
        save(partial, part)


def save(partial: Path, part: Part) -> None:
    """Writes down how far a part is. Raises StoreError.

    In one write over the old text, which was shorter: a process that is killed here leaves the one or the other.
    """
    path = _state_path(partial, part.n)
    text = msgspec.json.encode(part)
    with disk_faults(path):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.pwrite(fd, text, 0)
            os.ftruncate(fd, len(text))
        finally:
            os.close(fd)


def discard(partial: Path, *, data: bool) -> None:
    """Removes the states, and with `data` the bytes too. Raises StoreError."""
    with disk_faults(partial):
        for path in partial.parent.glob(f"{partial.name}-*"):
            path.unlink(missing_ok=True)
        if data:
            partial.unlink(missing_ok=True)


def _state_path(partial: Path, n: int) -> Path:
    return partial.with_name(f"{partial.name}-{n}")


def _read(path: Path) -> Part | None:
    with contextlib.suppress(OSError, msgspec.DecodeError), path.open("rb") as file:
        return msgspec.json.decode(file.read(_MAX_STATE_BYTES), type=Part)
    return None
