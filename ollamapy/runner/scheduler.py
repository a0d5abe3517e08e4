"""Decides what goes into the next step. Plain values in and out: no clock, no engine, no log.

A step is filled in this order:
1. every running sequence that lacks one token gets it (decode first: streams never wait for a prefill),
2. prompts that are under way go on, oldest first, as far as the prefill budget reaches,
3. waiting sequences are admitted, in the order of `waiting.py`, while they may run and the pool has cells for what of
   their prompt is not there yet. One whose prompt begins like a prompt that is being computed waits until that part is
   there.
4. the few sequences of a step without prompts get guesses at their next tokens (`speculate.py`).
When the pool has too few cells, prefixes that nobody uses go first. When that is not enough for (1), a running
sequence is preempted, the youngest of the lowest priority: it becomes such a prefix and waits at the head of the
queue. The oldest always goes on, so nobody starves.
When the engine itself ran out of cells (`give_way`), nobody is admitted until a running sequence has ended: the
books would let the youngest in again at once.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ollamapy.runner.prefix import PrefixTree, num_shared
from ollamapy.runner.sequence import Sequence, Stage
from ollamapy.runner.speculate import MOST_ROWS, MOST_SEQUENCES
from ollamapy.runner.waiting import WaitingList
from ollamapy.runner.whole import WholePrefixes

_LEAST_EVICTED = 64
"""Cells that go at a time at least: the end of a prefix is worth little without its middle."""
_LEAST_SHARED = 8
"""Tokens in common for which a sequence waits."""


@dataclass(frozen=True, slots=True)
class Planned:
    """`count` tokens of `sequence`, from its first uncomputed one, and guesses at those after them."""

    sequence: Sequence
    count: int
    guessed: tuple[int, ...] = ()

    @property
    def is_last(self) -> bool:
        """True when no known token stays uncomputed, so that the next can be sampled."""
        return self.count == self.sequence.num_pending

    @property
    def num_tokens(self) -> int:
        """Cells that it takes."""
        return self.count + len(self.guessed)


_LEAST_APART = 64
"""Tokens from which on prompts and streams are computed one after the other, where the engine wants it so."""


@dataclass(slots=True)
class Step:
    """What to compute next, after the moves of the cache."""

    planned: list[Planned] = field(default_factory=list)
    preempted: list[Sequence] = field(default_factory=list)
    pictured: Planned | None = None
    """A part of a picture, which is computed after them: a batch holds tokens or rows of vectors."""
    mixes: bool = True
    """Prompts and streams may always share a batch."""

    @property
    def batches(self) -> list[list[Planned]]:
        """What is computed one after the other: streams first, so that they wait for nobody."""
        parts = [self.planned]
        if not self.mixes and sum(p.num_tokens for p in self.planned) >= _LEAST_APART:
            parts = [[p for p in self.planned if p.count == 1], [p for p in self.planned if p.count > 1]]
        return [part for part in (*parts, [self.pictured] if self.pictured else []) if part]


def num_prefill(batch: list[Planned]) -> int:
    """Tokens of chunks longer than one."""
    return sum(p.count for p in batch if p.count > 1)


Cache = PrefixTree | WholePrefixes
Reach = Callable[[str, list[int], int, int], int]
"""How much of the first `end` tokens (scope, tokens, end, length) can be had from below when `length` are there."""
Guess = Callable[[list[Sequence], int], list[tuple[int, ...]]]
"""Guesses at the next tokens of each of the sequences of a step, so many at most."""


class Scheduler:
    """Owns the queue and the running set. `pool_tokens` cells are shared by all running sequences and the cache.

    Of prefixes that nobody uses about `idle_cells` stay in the pool, and the latest until another prompt takes its
    place; without it, as many as there is room for.
    `mixes` is False where a batch of streams and prompts costs more than the two by themselves.
    """

    def __init__(
        self,
        *,
        pool_tokens: int,
        num_parallel: int,
        max_batch: int,
        cache: Cache,
        reach: Reach | None = None,
        guess: Guess | None = None,
        idle_cells: int | None = None,
        mixes: bool = True,
    ) -> None:
        assert 1 <= num_parallel <= cache.num_slots, "every running sequence needs a slot"
        assert num_parallel <= max_batch, "every running sequence needs a place in the batch"
        self.pool_tokens = pool_tokens
        self.num_parallel = num_parallel
        self.max_batch = max_batch
        self.cache = cache
        self.reach = reach or (lambda scope, tokens, end, length: length)
        self.guess = guess or (lambda sequences, limit: [sequence.guess(limit) for sequence in sequences])
        self.idle_cells = pool_tokens if idle_cells is None else idle_cells
        self.mixes = mixes
        self.waiting = WaitingList()
        self.running: list[Sequence] = []
        self._is_tight = False
        self._slack = 0
        """Tokens by which a step may exceed its budget, so that nothing of a prompt is left."""
        self._room = 0
        """Tokens for which a step has rows left."""
        self._packed = 0
        """Tokens of prompts that a step may have when it has more than one of them."""

    @property
    def is_idle(self) -> bool:
        return not self.waiting and not self.running

    @property
    def num_decoding(self) -> int:
        """Running sequences that are past their prompt."""
        return sum(1 for s in self.running if s.num_output and s.num_pending == 1)

    @property
    def num_prompts(self) -> int:
        """Prompts that wait or are being computed."""
        return len(self.waiting) + sum(1 for s in self.running if s.num_pending > 1)

    def submit(self, sequence: Sequence) -> None:
        self.waiting.arrive(sequence)

    def find(self, request_id: int) -> Sequence | None:
        return next((s for s in self._all() if s.id == request_id), None)

    def remove(self, sequence: Sequence, *, keep: bool = True) -> None:
        """Takes a sequence out, done or cancelled. What it has computed stays in the cache if `keep` says so."""
        if sequence.stage is Stage.DONE:
            return
        self.waiting.leave(sequence)
        if sequence.stage is Stage.WAITING:
            self.waiting.discard(sequence)
        elif sequence.stage is Stage.RUNNING:
            self.running.remove(sequence)
            self._close(sequence, keep=keep)
            self.cache.trim(self.idle_cells, num_spared=1)
            self._is_tight = False
        sequence.stage = Stage.DONE

    def computed(self, planned: Planned) -> None:
        """A part of a step is done. Others can share a prompt as far as it is there."""
        sequence = planned.sequence
        sequence.num_computed += planned.count
        self.waiting.charge(sequence, planned.count)
        if planned.count > 1:
            self._tell_cache(sequence)
        if isinstance(self.cache, WholePrefixes) and sequence.num_pending == 1 and not sequence.num_output:
            self._tell_cache(sequence)
            self.cache.checkpoint(sequence.slot)

    def guessed_right(self, sequence: Sequence) -> None:
        """The token that a sequence has just got was computed already, as a guess."""
        sequence.num_computed += 1
        self.waiting.charge(sequence, 1)

    def shift(self, sequence: Sequence, start: int, end: int, *, is_own: bool) -> None:
        """The tokens [start, end) of a running sequence are gone.

        With `is_own` the cells behind them were moved; else they are gone too and are computed again.
        """
        del sequence.tokens[start:end]
        left = sequence.num_computed - (end - start)
        sequence.num_computed = left if is_own else self.cache.length(sequence.slot)
        sequence.is_shifted |= is_own

    def next_step(self, prefill_budget: int, packed_budget: int | None = None) -> Step:
        """The next step. `prefill_budget` bounds the prompt tokens in it, and `packed_budget` those of several prompts,
        the first of which would end sooner alone; decoding is bounded by the batch."""
        step = Step(mixes=self.mixes)
        self._make_room(step)
        num_streams = sum(s.num_pending == 1 for s in self.running)
        budget = min(prefill_budget, self.max_batch - num_streams)
        slack = prefill_budget // 2 if num_streams else prefill_budget
        self._slack = min(slack, _LEAST_APART)
        self._room = self.max_batch - num_streams
        self._packed = budget if packed_budget is None else packed_budget
        for sequence in self.running:
            if sequence.num_pending == 1 and not sequence.picture:
                step.planned.append(Planned(sequence, 1))
            elif budget > 0:
                budget = self._plan(step, sequence, budget)
        if not (step.preempted or self._is_tight):
            self._admit(step, budget)
        if len(step.planned) <= MOST_SEQUENCES and all(p.count == 1 and p.is_last for p in step.planned):
            self._guess(step)
        return step

    def give_way(self) -> bool:
        """The engine has fewer cells than the books say: frees what nobody uses, else preempts the youngest and admits
        nobody for a while. False when there is nothing to give."""
        if self.cache.evict(self.pool_tokens):
            return True
        self._is_tight = len(self.running) > 1
        has_given = self._preempt() is not None
        self.cache.evict(self.pool_tokens)
        return has_given

    def _preempt(self) -> Sequence | None:
        """Sends a running sequence back to the queue: the youngest of the lowest priority, never the oldest."""
        if len(self.running) < 2:
            return None
        sequence = min(self.running[:0:-1], key=lambda one: one.request.priority)
        self.running.remove(sequence)
        self._close(sequence, keep=True)
        sequence.stage = Stage.WAITING
        self.waiting.send_back(sequence)
        return sequence

    def _tell_cache(self, sequence: Sequence) -> None:
        """Cells that were moved belong to no prefix any more."""
        if not sequence.is_shifted:
            self.cache.extend(sequence.slot, sequence.tokens, sequence.num_computed)

    def _close(self, sequence: Sequence, *, keep: bool) -> None:
        if keep:
            self._tell_cache(sequence)
        self.cache.close(sequence.slot, keep=keep)
        sequence.slot, sequence.num_computed, sequence.is_shifted = -1, 0, False

    def check(self) -> None:
        """Raises AssertionError if the books do not balance."""
        self.cache.check()
        slots = {s.slot for s in self.running}
        assert len(slots) == len(self.running) <= self.num_parallel, "a slot is shared"
        assert slots == set(self.cache.running()), "a slot is lost"
        assert all(s.stage is Stage.RUNNING for s in self.running)
        assert all(s.stage is Stage.WAITING and s.slot == -1 for s in self.waiting)
        num_own = sum(s.num_computed - self.cache.length(s.slot) for s in self.running)
        assert self.cache.num_cells + num_own <= self.pool_tokens, "more cells in use than the pool has"

    def __repr__(self) -> str:
        cells = f"{self._num_used()}/{self.pool_tokens} cells"
        return f"<Scheduler {len(self.running)} running, {len(self.waiting)} waiting, {cells}>"

    def _all(self) -> Iterator[Sequence]:
        yield from self.running
        yield from self.waiting

    def _num_used(self) -> int:
        """Cells of the cache, and those that running sequences have or will have for their known tokens."""
        return self.cache.num_cells + sum(len(s.tokens) - self.cache.length(s.slot) for s in self.running)

    def _make_room(self, step: Step) -> None:
        while (num_missing := self._num_used() - self.pool_tokens) > 0:
            if self.cache.evict(max(num_missing, _LEAST_EVICTED)):
                continue
            preempted = self._preempt()
            if preempted is None:
                return
            step.preempted.append(preempted)

    def _admit(self, step: Step, budget: int) -> None:
        for sequence in self.waiting if self._may_admit(budget) else ():
            if not self._may_admit(budget):
                return
            if self._awaits_prefill(sequence):
                continue
            if not self._fits(sequence):
                return
            self._start(sequence)
            budget = self._plan(step, sequence, budget)

    def _plan(self, step: Step, sequence: Sequence, budget: int) -> int:
        """Adds the next part of a prompt to the step; answers the budget for others. One picture goes at a time."""
        count = self._count(sequence, budget)
        if not sequence.picture:
            step.planned.append(Planned(sequence, count))
        elif not step.pictured:
            step.pictured = Planned(sequence, count)
        else:
            return budget
        self._packed -= count
        self._room -= count
        return min(budget - count, self._packed)

    def _guess(self, step: Step) -> None:
        """Adds guesses to a step that has room for them, in cells that no sequence needs."""
        num_rows = min(MOST_ROWS, self.max_batch) // max(len(step.planned), 1) - 1
        guesses = self.guess([planned.sequence for planned in step.planned], num_rows)
        for index, (planned, guessed) in enumerate(zip(step.planned, guesses, strict=True)):
            num_free = self.pool_tokens - self._num_used() - sum(len(p.guessed) for p in step.planned)
            if num_free < len(guessed):
                num_free += self.cache.evict(max(len(guessed) - num_free, _LEAST_EVICTED))
            step.planned[index] = Planned(planned.sequence, planned.count, guessed[: max(num_free, 0)])

    def _may_admit(self, budget: int) -> bool:
        return len(self.running) < self.num_parallel and budget > 0

    def _count(self, sequence: Sequence, budget: int) -> int:
        """Tokens of a prompt for one step, all of text or of one picture.

        A small rest goes along: by itself it would cost much more than its share. Where a state cannot be cut back,
        one is kept before the last token.
        """
        if sequence.picture and not sequence.picture.is_causal:
            return sequence.num_alike
        num_last = int(isinstance(self.cache, WholePrefixes) and sequence.num_pending > 1)
        rest = min(sequence.num_alike, sequence.num_pending - num_last)
        return rest if rest <= min(budget + self._slack, self._room) else budget

    def _fits(self, sequence: Sequence) -> bool:
        """True when the pool has cells for the rest of its tokens, and one for every other that runs."""
        if not self.running:
            return True
        num_new = len(sequence.tokens) + len(self.running) + 1
        num_new -= self.cache.num_pinned(sequence.request.scope, sequence.tokens, len(sequence.tokens) - 1)
        return self._num_used() - self.cache.num_evictable + num_new <= self.pool_tokens

    def _start(self, sequence: Sequence) -> None:
        """Lets a waiting sequence run with what the cache has of its tokens; the last is always computed again."""
        self.waiting.take(sequence)
        sequence.stage = Stage.RUNNING
        sequence.slot = self.cache.open(sequence.request.scope, sequence.tokens, len(sequence.tokens) - 1)
        self.running.append(sequence)
        if len(sequence.tokens) - self.cache.length(sequence.slot) >= _LEAST_APART:
            self.cache.trim(self.idle_cells)
        num_missing = self._num_used() + len(self.running) - self.pool_tokens
        if num_missing > 0:
            self.cache.evict(max(num_missing, _LEAST_EVICTED))
        self._restore(sequence)
        sequence.num_computed = self.cache.length(sequence.slot)
        if sequence.num_cached is None:
            sequence.num_cached = sequence.num_computed

    def _restore(self, sequence: Sequence) -> None:
        """Takes what the tiers below have more of its tokens than the pool."""
        slot, scope, tokens = sequence.slot, sequence.request.scope, sequence.tokens
        end = self.reach(scope, tokens, len(tokens) - 1, self.cache.length(slot))
        if end > self.cache.length(slot):
            self.cache.restore(slot, tokens, end)

    def _awaits_prefill(self, sequence: Sequence) -> bool:
        """True while a running prompt gets to where the two part, if that is further than the cache reaches."""
        other, length = sequence.awaited or (sequence, 0)
        if other.stage is not Stage.RUNNING or other.num_computed >= length:
            sequence.awaited = self._longest_prefill(sequence)
        return sequence.awaited is not None

    def _longest_prefill(self, sequence: Sequence) -> tuple[Sequence, int] | None:
        """The running prompt with the longest beginning in common that is still to be computed, and its length."""
        scope, tokens = sequence.request.scope, sequence.tokens
        prefills = [s for s in self.running if s.num_pending > 1 and s.request.scope == scope]
        if not prefills or isinstance(self.cache, WholePrefixes):
            return None
        least = self.cache.match(scope, tokens, len(tokens) - 1) + _LEAST_SHARED
        found = [(s, num_shared(s.tokens, tokens, 0, len(tokens) - 1)) for s in prefills]
        found = [(s, length) for s, length in found if length > max(s.num_computed, least)]
        return max(found, key=lambda pair: pair[1], default=None)
