"""Conducts a benchmark: warm-up, lengths learnt, then runs of every target in turn, point by point. Prints nothing."""

import itertools
import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Protocol

from ollamapy.bench import plan
from ollamapy.bench.load import Load, Target
from ollamapy.bench.measures import Run, output_rate
from ollamapy.bench.peer import Peer
from ollamapy.bench.plan import Scale, Script, Workload
from ollamapy.bench.result import Point, clients

NUM_RUNS = 3
MIN_REQUESTS = 4
"""Few clients run more often, so that their percentiles are of something."""
CALIBRATION_WORDS = (20, 80)


class Watcher(Protocol):
    """Who looks on. `began` names what runs now, `ended` brings a finished point."""

    def began(self, text: str) -> None: ...

    def ended(self, point: Point) -> None: ...


@dataclass(slots=True)
class Bench:
    """One workload on one server, and on another one in turn with it if there is one."""

    load: Load
    target: Target
    workload: Workload
    watcher: Watcher
    peer: Peer | None = None
    scale: Scale = field(default_factory=lambda: Scale.of((0, 0), (0, 0)))
    _name: str = field(default_factory=lambda: secrets.token_hex(8))
    _run_numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    async def measure(self, levels: Sequence[int]) -> list[Point]:
        """The points of every target, by numbers of clients. Raises Unreachable, and Error for a server that fails."""
        self.watcher.began(f"warming up {self.target.label}")
        self.scale = await self.calibrate()
        points = []
        for num_clients in levels:
            for point in await self._level(num_clients):
                self.watcher.ended(point)
                points.append(point)
        return points

    async def calibrate(self) -> Scale:
        """Loads the model, and learns from two short prompts how many tokens words have."""
        await self.load.ask(self.target, [plan.task(1, "warm-up")], 1)
        counts = []
        for num_words in CALIBRATION_WORDS:
            answer = await self.load.ask(self.target, [plan.task(num_words, "warm-up")], 1)
            counts.append((num_words, answer.num_prompt))
        return Scale.of(*counts)

    async def _level(self, num_clients: int) -> list[Point]:
        async with AsyncExitStack() as stack:
            targets = [self.target]
            if self.peer:
                best = self.peer.best(num_clients, self.workload, lambda target: self._score(target, num_clients))
                targets.append(await stack.enter_async_context(best))
            for target in targets:
                await self._warm_up(target, num_clients)
            return await self._paired(targets, num_clients)

    async def _paired(self, targets: Sequence[Target], num_clients: int) -> list[Point]:
        """Runs of all targets in turn, each pair of runs with the same texts."""
        runs: list[list[Run]] = [[] for _ in targets]
        for number in range(num_runs(num_clients)):
            script = self._script()
            for index in plan.order(len(targets), number):
                label = targets[index].label
                self.watcher.began(f"{clients(num_clients)}, run {number + 1} of {num_runs(num_clients)}, {label}")
                runs[index].append(await self.load.run(targets[index], script, num_clients))
        return [
            Point.of(target.label, num_clients, done, self.workload.output_tokens, target.build)
            for target, done in zip(targets, runs, strict=True)
        ]

    async def _score(self, target: Target, num_clients: int) -> float:
        self.watcher.began(f"{clients(num_clients)}, trying {target.label}")
        await self._warm_up(target, num_clients)
        return output_rate(await self.load.run(target, self._script(), num_clients))

    async def _warm_up(self, target: Target, num_clients: int) -> None:
        await self.load.ask(target, [plan.task(1, "warm-up")], 1)
        if self.workload.is_warm:
            await self.load.run(target, self._script(), num_clients)

    def _script(self) -> Script:
        """Texts that no run has had before."""
        return Script(self.workload, self.scale, self._name, next(self._run_numbers))


def num_runs(num_clients: int) -> int:
    """How often a point is measured."""
    return max(NUM_RUNS, -(-MIN_REQUESTS // num_clients))
