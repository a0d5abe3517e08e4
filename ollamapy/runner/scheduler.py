"""Decides what goes into the next step. Plain values in and out: no clock, no engine, no log.

A step is filled in this order:
1. every running sequence that lacks one token gets it (decode first: streams never wait for a prefill),
2. prompts that are under way go on, oldest first, as far as the prefill budget reaches,
3. waiting sequences are admitted while a slot is free and the pool has cells for their whole prompt.
When the pool has too few cells for (1), the youngest running sequence is preempted: it gives its cells back and
waits at the head of the queue. The oldest always goes on, so nobody starves.
When the engine itself ran out of cells (`give_way`), nobody is admitted until a running sequence has ended: the
books would let the youngest in again at once.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from ollamapy.runner.sequence import Sequence, Stage


@dataclass(frozen=True, slots=True)
class Planned:
    """`count` tokens of `sequence`, from its first uncomputed one."""

    sequence: Sequence
    count: int

    @property
    def is_last(self) -> bool:
        """True when no known token stays uncomputed, so that the next can be sampled."""
        return self.count == self.sequence.num_pending


@dataclass(slots=True)
class Step:
    """What to do next: free the cells of `preempted`, then compute `planned`."""

    planned: list[Planned] = field(default_factory=list)
    preempted: list[tuple[Sequence, int]] = field(default_factory=list)
    """Sequences with the slot that they gave back."""

    @property
    def num_prefill(self) -> int:
        """Tokens of chunks longer than one."""
        return sum(p.count for p in self.planned if p.count > 1)


class Scheduler:
    """Owns the queue, the running set and the slots. `pool_tokens` cells are shared by all running sequences."""

    def __init__(self, *, pool_tokens: int, num_slots: int, max_batch: int) -> None:
        assert 1 <= num_slots <= max_batch, "every slot needs a place in the batch"
        self.pool_tokens = pool_tokens
        self.max_batch = max_batch
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        self._free_slots = list(range(num_slots - 1, -1, -1))
        self._num_slots = num_slots
        self._is_tight = False

    @property
    def is_idle(self) -> bool:
        return not self.waiting and not self.running

    @property
    def num_decoding(self) -> int:
        """Running sequences that are past their prompt."""
        return sum(1 for s in self.running if s.num_output and s.num_pending == 1)

    def submit(self, sequence: Sequence) -> None:
        self.waiting.append(sequence)

    def find(self, request_id: int) -> Sequence | None:
        return next((s for s in self._all() if s.id == request_id), None)

    def remove(self, sequence: Sequence) -> int:
        """Takes a sequence out, done or cancelled; answers the slot whose cells are to be freed, or -1."""
        if sequence.stage is Stage.WAITING:
            self.waiting.remove(sequence)
        elif sequence.stage is Stage.RUNNING:
            self.running.remove(sequence)
            self._free_slots.append(sequence.slot)
            self._is_tight = False
        sequence.stage = Stage.DONE
        slot, sequence.slot = sequence.slot, -1
        return slot

    def next_step(self, prefill_budget: int) -> Step:
        """The next step. `prefill_budget` bounds the prompt tokens in it; decoding is bounded by the batch alone."""
        step = Step()
        self._make_room(step)
        budget = min(prefill_budget, self.max_batch - sum(s.num_pending == 1 for s in self.running))
        for sequence in self.running:
            if sequence.num_pending == 1:
                step.planned.append(Planned(sequence, 1))
            elif budget > 0:
                count = min(budget, sequence.num_pending)
                budget -= count
                step.planned.append(Planned(sequence, count))
        if not (step.preempted or self._is_tight):
            self._admit(step, budget)
        return step

    def give_way(self) -> tuple[Sequence, int] | None:
        """The engine has fewer cells than the books say: preempts the youngest and admits nobody for a while."""
        self._is_tight = len(self.running) > 1
        return self._preempt_youngest()

    def _preempt_youngest(self) -> tuple[Sequence, int] | None:
        """Takes the youngest running sequence off the pool unless it is the only one; answers it and its slot."""
        if len(self.running) < 2:
            return None
        sequence = self.running.pop()
        slot, sequence.slot = sequence.slot, -1
        self._free_slots.append(slot)
        sequence.stage, sequence.num_computed = Stage.WAITING, 0
        self.waiting.appendleft(sequence)
        return sequence, slot

    def check(self) -> None:
        """Raises AssertionError if the books do not balance."""
        slots = [s.slot for s in self.running]
        assert sorted(slots + self._free_slots) == list(range(self._num_slots)), "a slot is lost or shared"
        assert all(s.stage is Stage.RUNNING for s in self.running)
        assert all(s.stage is Stage.WAITING and s.slot == -1 for s in self.waiting)
        assert self._num_used() <= self.pool_tokens, "more cells in use than the pool has"

    def __repr__(self) -> str:
        cells = f"{self._num_used()}/{self.pool_tokens} cells"
        return f"<Scheduler {len(self.running)} running, {len(self.waiting)} waiting, {cells}>"

    def _all(self) -> Iterator[Sequence]:
        yield from self.running
        yield from self.waiting

    def _num_used(self) -> int:
        """Cells that running sequences hold, or will hold when all their known tokens are computed."""
        return sum(len(s.tokens) for s in self.running)

    def _make_room(self, step: Step) -> None:
        while self._num_used() > self.pool_tokens:
            preempted = self._preempt_youngest()
            if preempted is None:
                return
            step.preempted.append(preempted)

    def _admit(self, step: Step, budget: int) -> None:
        while self.waiting and self._free_slots and budget > 0:
            sequence = self.waiting[0]
            if self.running and self._num_used() + len(sequence.tokens) + len(self.running) + 1 > self.pool_tokens:
                return
            self.waiting.popleft()
            sequence.stage, sequence.slot = Stage.RUNNING, self._free_slots.pop()
            self.running.append(sequence)
            count = min(budget, sequence.num_pending)
            budget -= count
            step.planned.append(Planned(sequence, count))
