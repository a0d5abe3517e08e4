"""A finished benchmark as a value: what is kept on disk, compared and shown. Pure."""

from collections.abc import Sequence

import msgspec

from ollamapy.bench import measures
from ollamapy.bench.measures import Run, Summary
from ollamapy.bench.plan import Workload


class Point(msgspec.Struct, frozen=True):
    """One target with one number of clients. The tuples are of the runs, in their order, for ratios in pairs."""

    label: str
    num_clients: int
    summary: Summary
    output_rates: tuple[float, ...]
    first_means: tuple[float, ...]
    build: str = ""
    """What the server says that it is."""

    @classmethod
    def of(cls, label: str, num_clients: int, runs: Sequence[Run], output_tokens: int, build: str = "") -> "Point":
        return cls(
            label,
            num_clients,
            measures.summarise(runs, output_tokens),
            tuple(map(measures.output_rate, runs)),
            tuple(map(measures.first_mean, runs)),
            build,
        )


class Machine(msgspec.Struct, frozen=True):
    """Where it ran. `load_before` is the load average of the last minute before the first run."""

    processor: str
    num_cores: int
    system: str
    load_before: float = 0.0


class Result(msgspec.Struct, frozen=True):
    """A benchmark. `when` is RFC 3339. For each number of clients comes the server's point, then its peer's."""

    when: str
    version: str
    model: str
    url: str
    machine: Machine
    work: Workload
    points: tuple[Point, ...]

    def is_like(self, other: "Result") -> bool:
        """True when both measured the same work of the same model, on the same kind of machine."""
        mine = (self.model, self.work, self.machine.processor, self.machine.num_cores)
        return mine == (other.model, other.work, other.machine.processor, other.machine.num_cores)

    def pairs(self) -> list[tuple[Point, Point]]:
        """Ours with its peer's, for each number of clients that has both."""
        return [
            (ours, theirs)
            for ours, theirs in zip(self.points, self.points[1:], strict=False)
            if ours.num_clients == theirs.num_clients and ours.label == self.points[0].label != theirs.label
        ]


def users(points: Sequence[Point]) -> int:
    """How many users one target serves at once within the target: the most that were tried before some went short."""
    served = 0
    for point in sorted(points, key=lambda point: point.num_clients):
        if point.summary.satisfied_share < measures.SATISFIED_SHARE:
            break
        served = point.num_clients
    return served


def clients(count: int) -> str:
    """`1 client`, `4 clients`."""
    return f"{count} client" if count == 1 else f"{count} clients"
