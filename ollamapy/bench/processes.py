"""What the processes of a server weigh, and which they are. Reads Linux's /proc; elsewhere nothing is known.

A server is found by the port on which it listens; its children are its runners.
"""

import asyncio
import contextlib
import os
import platform
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from ollamapy.bench.measures import Peak

PROC = Path("/proc")
SAMPLE_SECONDS = 0.2
_LISTEN = "0A"


def listener(port: int) -> int:
    """The process that listens on a TCP port of this machine; 0 when there is none to be seen."""
    sockets = {f"socket:[{inode}]" for inode in _listening(port)}
    for folder in PROC.glob("[0-9]*/fd") if sockets else ():
        with contextlib.suppress(OSError):
            if any(os.readlink(handle) in sockets for handle in folder.iterdir()):
                return int(folder.parent.name)
    return 0


def _listening(port: int) -> list[str]:
    """The inodes of the sockets that listen on `port`."""
    found = []
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            rows = [line.split() for line in (PROC / "net" / name).read_text().splitlines()[1:]]
            found += [row[9] for row in rows if row[3] == _LISTEN and int(row[1].rpartition(":")[2], 16) == port]
    return found


def children(pid: int) -> list[int]:
    """All descendants of a process."""
    parents = {int(folder.name): _parent(folder) for folder in PROC.glob("[0-9]*")}
    found, front = [], [pid]
    while front:
        front = [child for child, parent in parents.items() if parent in front]
        found += front
    return found


def _parent(folder: Path) -> int:
    try:
        return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError):
        return 0


def resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 when it is gone."""
    try:
        return int((PROC / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


@dataclass(slots=True)
class Watch:
    """The most memory that a server and its children have held since the watch began."""

    pid: int
    daemon_bytes: int = 0
    children_bytes: int = 0

    @property
    def peak(self) -> Peak:
        return Peak(self.daemon_bytes, self.children_bytes)

    def look(self, offspring: list[int]) -> None:
        self.daemon_bytes = max(self.daemon_bytes, resident_bytes(self.pid))
        self.children_bytes = max(self.children_bytes, sum(map(resident_bytes, offspring)))


@contextlib.asynccontextmanager
async def watching(pid: int) -> AsyncIterator[Watch]:
    """Watches a server's memory until the block ends; pid 0 is nobody."""
    watch = Watch(pid)
    task = asyncio.create_task(_sample(watch)) if pid else None
    try:
        yield watch
    finally:
        if task:
            task.cancel()
            watch.look(children(pid))


async def _sample(watch: Watch) -> None:
    offspring = children(watch.pid)
    while True:
        watch.look(offspring)
        await asyncio.sleep(SAMPLE_SECONDS)


def load_average() -> float:
    """How many processes wanted a core in the last minute; 0 where it is not known."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def processor_name() -> str:
    """The processor's name, as far as the system tells."""
    with contextlib.suppress(OSError):
        for line in (PROC / "cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
