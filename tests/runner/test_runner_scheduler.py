"""What goes into a step: decided by counting alone, so the tests are values."""

from typing import Any

import pytest
from fakes.sequences import sequence
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ollamapy.runner.pace import Pace
from ollamapy.runner.prefix import PrefixTree
from ollamapy.runner.scheduler import Scheduler, Step, num_prefill
from ollamapy.runner.sequence import Sequence, Stage


def scheduler(
    *prompts: int, pool_tokens: int = 1000, num_parallel: int = 8, max_batch: int = 512, **fields: Any
) -> Scheduler:
    """A scheduler with a waiting sequence for each prompt length, numbered from 1."""
    cache = PrefixTree(num_parallel + 8)
    new = Scheduler(pool_tokens=pool_tokens, num_parallel=num_parallel, max_batch=max_batch, cache=cache, **fields)
    for request_id, num_prompt in enumerate(prompts, 1):
        new.submit(sequence(request_id, num_prompt=num_prompt, num_ctx=pool_tokens))
    return new


def counts(step: Step) -> list[tuple[int, int]]:
    """The plan as (request, tokens)."""
    return [(planned.sequence.id, planned.count) for planned in step.planned]


def preempted(step: Step) -> list[int]:
    """Who had to go."""
    return ids(step.preempted)


def ids(sequences: list[Sequence]) -> list[int]:
    return [sequence.id for sequence in sequences]


def carry_out(books: Scheduler, step: Step) -> None:
    """Does what the loop does after a batch: computed tokens are counted, whole sequences get one more."""
    for planned in step.planned:
        is_last = planned.is_last
        books.computed(planned)
        if is_last:
            planned.sequence.append(65, b"A")


def test_a_prompt_that_fits_the_budget_is_computed_in_one_step() -> None:
    books = scheduler(100)

    step = books.next_step(512)

    assert counts(step) == [(1, 100)]
    assert step.planned[0].is_last
    assert sum(map(num_prefill, step.batches)) == 100


def test_a_long_prompt_goes_in_chunks_of_the_budget() -> None:
    books = scheduler(100)
    seen = []

    for _ in range(3):
        step = books.next_step(32)
        seen += [(planned.count, planned.is_last) for planned in step.planned]
        carry_out(books, step)

    assert seen == [(32, False), (32, False), (36, True)], "a small rest goes along"


@pytest.mark.parametrize(("budget", "count"), [(67, 100), (66, 66)])
def test_the_rest_that_goes_along_beside_streams_is_half_a_budget(budget: int, count: int) -> None:
    books = scheduler(10, 100)
    carry_out(books, books.next_step(5))

    assert counts(books.next_step(budget)) == [(1, 1), (2, count)]


def test_decoding_comes_first_and_the_rest_of_the_budget_goes_to_prompts() -> None:
    books = scheduler(10, 10, 100)
    carry_out(books, books.next_step(20))
    assert books.num_decoding == 2

    step = books.next_step(32)

    assert counts(step) == [(1, 1), (2, 1), (3, 32)]
    assert sum(map(num_prefill, step.batches)) == 32


@pytest.mark.parametrize(
    ("budget", "mixes", "batches"),
    [(100, True, [[1, 1, 100]]), (100, False, [[1, 1], [100]]), (32, False, [[1, 1, 32]])],
    ids=["together", "apart", "together, because they are few"],
)
def test_streams_and_long_prompts_are_computed_as_the_engine_wants_it(
    budget: int, mixes: bool, batches: list[list[int]]
) -> None:
    books = scheduler(10, 10, 100, mixes=mixes)
    carry_out(books, books.next_step(20))

    step = books.next_step(budget)

    assert [[planned.count for planned in batch] for batch in step.batches] == batches


def test_the_latest_prefix_stays_until_another_prompt_takes_its_place() -> None:
    books = scheduler(200, idle_cells=40)
    carry_out(books, books.next_step(512))
    books.remove(books.running[0])
    assert books.cache.num_cells == 200

    books.submit(sequence(2, num_prompt=63))
    books.next_step(512)
    assert books.cache.num_cells == 200, "a short one is not worth the copy"

    books.submit(sequence(3, num_prompt=64))
    books.next_step(512)
    assert books.cache.num_cells == 40


def test_what_ended_leaves_no_more_cells_than_hardly_slow_a_step() -> None:
    books = scheduler(30, 30, 30, idle_cells=40)
    while not books.is_idle:
        carry_out(books, books.next_step(512))
        for ended in [one for one in books.running if one.num_output]:
            books.remove(ended)

    assert books.cache.num_cells == 40


def test_decoding_goes_on_when_the_budget_is_used_up() -> None:
    books = scheduler(10, 200)
    carry_out(books, books.next_step(10))
    carry_out(books, books.next_step(32))

    assert counts(books.next_step(32)) == [(1, 1), (2, 32)]


@pytest.mark.parametrize(
    ("prompts", "planned"),
    [
        ((300,), [(1, 300)]),
        ((300, 50), [(1, 300)]),
        ((100, 100, 100), [(1, 100), (2, 28)]),
        ((40, 40, 40, 40), [(1, 40), (2, 40), (3, 40), (4, 40)]),
    ],
)
def test_several_prompts_share_a_step_while_the_first_hardly_waits_for_the_others(
    prompts: tuple[int, ...], planned: list[tuple[int, int]]
) -> None:
    books = scheduler(*prompts)

    assert counts(books.next_step(512, packed_budget=128)) == planned


def test_a_prompt_under_way_goes_before_a_newcomer() -> None:
    books = scheduler(70, 50)
    carry_out(books, books.next_step(32))
    assert ids(books.running) == [1]
    books.find(1).num_computed = 60  # type: ignore[union-attr]

    assert counts(books.next_step(32)) == [(1, 10), (2, 50)]


def test_a_batch_is_never_larger_than_the_engine_takes() -> None:
    books = scheduler(2, 2, 100, max_batch=8)
    carry_out(books, books.next_step(4))

    assert counts(books.next_step(512)) == [(1, 1), (2, 1), (3, 6)]


def test_a_batch_full_of_decoding_sequences_leaves_the_newcomer_waiting() -> None:
    books = scheduler(1, 1, 1, 1, max_batch=4, num_parallel=4)
    carry_out(books, books.next_step(4))
    books.submit(sequence(5))

    assert counts(books.next_step(4)) == [(1, 1), (2, 1), (3, 1), (4, 1)]


def test_no_more_run_than_there_are_slots() -> None:
    books = scheduler(5, 5, 5, num_parallel=2)

    assert counts(books.next_step(512)) == [(1, 5), (2, 5)]
    assert ids(list(books.waiting)) == [3]


def test_a_newcomer_waits_until_the_pool_has_cells_for_its_prompt_and_a_token_for_each() -> None:
    fits, waits = scheduler(40, 58, pool_tokens=100), scheduler(40, 59, pool_tokens=100)

    assert counts(fits.next_step(512)) == [(1, 40), (2, 58)]
    assert counts(waits.next_step(512)) == [(1, 40)]


def test_a_large_newcomer_is_not_overtaken_by_a_small_one() -> None:
    """Else a stream of small requests would keep a large one waiting for ever."""
    books = scheduler(40, 90, 5, pool_tokens=100)

    assert counts(books.next_step(512)) == [(1, 40)]
    assert ids(list(books.waiting)) == [2, 3]


def test_a_sequence_alone_gets_in_even_when_it_fills_the_pool() -> None:
    assert counts(scheduler(99, pool_tokens=100).next_step(512)) == [(1, 99)]


def test_the_youngest_gives_way_when_the_pool_is_full() -> None:
    books = scheduler(4, 4, 4, pool_tokens=16)
    carry_out(books, books.next_step(512))
    assert ids(books.running) == [1, 2, 3]
    carry_out(books, books.next_step(512))
    youngest = books.find(3)

    step = books.next_step(512)

    assert preempted(step) == [3]
    assert counts(step) == [(1, 1), (2, 1)]
    assert youngest is not None
    assert (youngest.stage, youngest.slot, youngest.num_computed, len(youngest.tokens)) == (Stage.WAITING, -1, 0, 6)
    books.check()


def test_the_preempted_comes_back_before_those_who_never_ran() -> None:
    books = scheduler(4, 4, 4, pool_tokens=16)
    carry_out(books, books.next_step(512))
    carry_out(books, books.next_step(512))
    books.submit(sequence(4, num_prompt=1))
    carry_out(books, books.next_step(512))
    assert ids(list(books.waiting)) == [3, 4]

    books.remove(books.running[0])

    assert counts(books.next_step(512)) == [(2, 1), (3, 6)]


def test_the_preempted_computes_all_its_tokens_again() -> None:
    books = scheduler(4, 4, pool_tokens=12)
    for _ in range(4):
        carry_out(books, books.next_step(512))
    second = books.find(2)
    assert second is not None
    assert (second.stage, second.num_pending) == (Stage.WAITING, 7)
    books.remove(books.running[0])

    carry_out(books, books.next_step(512))

    assert (second.num_computed, second.num_pending, second.num_output) == (7, 1, 4)


def test_several_go_at_once_and_keep_their_order() -> None:
    books = scheduler(4, 4, 4, 4, pool_tokens=20)
    carry_out(books, books.next_step(512))
    assert len(books.running) == 4
    books.running[0].tokens += [0] * 6

    step = books.next_step(512)

    assert preempted(step) == [4, 3]
    assert ids(list(books.waiting)) == [3, 4]


def test_nobody_is_admitted_in_the_step_that_sent_one_away() -> None:
    """The slot of the preempted must be empty before another sequence gets it."""
    books = scheduler(4, 8, pool_tokens=16)
    carry_out(books, books.next_step(512))
    carry_out(books, books.next_step(512))
    carry_out(books, books.next_step(512))
    books.submit(sequence(3, num_prompt=1))

    step = books.next_step(512)

    assert preempted(step) == [2]
    assert counts(step) == [(1, 1)]


def test_the_lowest_priority_gives_way_first() -> None:
    books = scheduler(pool_tokens=16)
    for request_id, priority in ((1, 0), (2, -1), (3, 0)):
        books.submit(sequence(request_id, num_prompt=4, num_ctx=16, priority=priority))
    carry_out(books, books.next_step(512))
    carry_out(books, books.next_step(512))

    assert preempted(books.next_step(512)) == [2]


def test_the_only_sequence_is_never_preempted() -> None:
    books = scheduler(4, pool_tokens=8)
    for _ in range(6):
        carry_out(books, books.next_step(512))

    assert ids(books.running) == [1]
    assert preempted(books.next_step(512)) == []


def test_after_the_engine_ran_out_nobody_comes_in_until_somebody_has_ended() -> None:
    """The books say that there is room: without the pause the youngest would go in and out for ever."""
    books = scheduler(4, 4, 4)
    carry_out(books, books.next_step(512))

    assert books.give_way()

    assert ids(list(books.waiting)) == [3]
    assert counts(books.next_step(512)) == [(1, 1), (2, 1)]
    books.remove(books.running[1])
    assert counts(books.next_step(512)) == [(1, 1), (3, 5)]


def test_a_sequence_alone_cannot_give_way() -> None:
    books = scheduler(4, num_parallel=1)
    carry_out(books, books.next_step(512))

    assert not books.give_way()
    assert ids(books.running) == [1]


def test_a_waiting_sequence_is_removed_without_a_slot() -> None:
    books = scheduler(4, 4, num_parallel=1)
    books.next_step(512)
    second = books.find(2)
    assert second is not None

    books.remove(second)

    assert second.stage is Stage.DONE
    assert books.find(2) is None
    books.check()


def test_a_running_sequence_gives_its_slot_to_the_next() -> None:
    books = scheduler(4, 4, num_parallel=1)
    books.next_step(512)

    books.remove(books.running[0])

    assert counts(books.next_step(512)) == [(2, 4)]


def test_a_sequence_can_be_removed_in_the_middle_of_its_prompt() -> None:
    books = scheduler(100, 5)
    carry_out(books, books.next_step(32))

    books.remove(books.running[0])

    assert counts(books.next_step(32)) == [(2, 5)]


def test_removing_twice_does_nothing() -> None:
    books = scheduler(4)
    books.next_step(512)
    first = books.running[0]
    books.remove(first)
    books.remove(first)

    books.check()


def test_an_empty_scheduler_is_idle_and_plans_nothing() -> None:
    books = scheduler()

    assert books.is_idle
    assert books.next_step(512) == Step([], [])


def test_a_waiting_sequence_is_work() -> None:
    assert not scheduler(4).is_idle


def test_the_state_is_told_in_a_line() -> None:
    books = scheduler(4, 4, 4, num_parallel=2)
    books.next_step(512)

    assert repr(books) == "<Scheduler 2 running, 1 waiting, 8/1000 cells>"


def test_every_slot_must_have_a_place_in_the_batch() -> None:
    with pytest.raises(AssertionError, match="a place in the batch"):
        scheduler(num_parallel=9, max_batch=8)


def test_check_sees_a_lost_slot() -> None:
    books = scheduler(4)
    books.next_step(512)
    books.running.clear()

    with pytest.raises(AssertionError, match="a slot is lost"):
        books.check()


def test_check_sees_too_many_cells() -> None:
    books = scheduler(4, pool_tokens=8)
    books.next_step(512)
    books.running[0].num_computed += 9

    with pytest.raises(AssertionError, match="more cells in use"):
        books.check()


class AnyTraffic(RuleBasedStateMachine):
    """Any order of arrivals, endings, cancels and engine trouble, with the promises looked at in each step."""

    POOL, SLOTS, BATCH = 40, 4, 12

    def __init__(self) -> None:
        super().__init__()
        cache = PrefixTree(self.SLOTS + 1)
        self.books = Scheduler(pool_tokens=self.POOL, num_parallel=self.SLOTS, max_batch=self.BATCH, cache=cache)
        self.next_id = 1

    @rule(num_prompt=st.integers(1, POOL - 1), first_token=st.sampled_from([None, None, 0]))
    def submit(self, num_prompt: int, first_token: int | None) -> None:
        one = sequence(self.next_id, num_prompt=num_prompt, num_ctx=self.POOL, first_token=first_token)
        self.books.submit(one)
        self.next_id += 1

    @rule(budget=st.integers(1, 20))
    def step(self, budget: int) -> None:
        before = list(self.books.running)
        streaming = [s for s in before if s.num_pending == 1]

        step = self.books.next_step(budget)

        gone = step.preempted
        plan = {planned.sequence.id: planned.count for planned in step.planned}
        assert [s for s in before if s in self.books.running] == before[: len(before) - len(gone)], "not the youngest"
        assert all(plan[s.id] == 1 for s in streaming if s not in gone), "a stream has to wait"
        assert sum(plan.values()) <= self.BATCH
        assert sum(p.count for p in step.planned if p.sequence not in streaming) <= 2 * budget
        assert bool(plan) != self.books.is_idle, "work is left and nothing is done"
        assert not (before and before[0].id not in plan), "the oldest has to wait"
        carry_out(self.books, step)
        for running in [s for s in self.books.running if s.is_full]:
            self.books.remove(running)

    @precondition(lambda self: self.books.running)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        self.books.remove(data.draw(st.sampled_from(self.books.running)))

    @precondition(lambda self: self.books.waiting)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.books.remove(data.draw(st.sampled_from(list(self.books.waiting))))

    @precondition(lambda self: len(self.books.running) > 1)
    @rule()
    def run_out(self) -> None:
        assert self.books.give_way()

    @invariant()
    def the_books_balance(self) -> None:
        self.books.cache.take_moves()
        self.books.check()
        assert all(0 <= s.num_computed <= len(s.tokens) for s in self.books.running)

    @invariant()
    def the_order_of_arrival_is_kept(self) -> None:
        """Of all that have nothing to wait for."""
        order = ids([s for s in [*self.books.running, *self.books.waiting] if s.tokens[0]])
        assert order == sorted(order)

    def teardown(self) -> None:
        """Everything that is left comes to an end by itself."""
        for _ in range(self.POOL * (self.next_id + 1)):
            if self.books.is_idle:
                break
            self.step(8)
        assert self.books.is_idle
        self.books.check()


TestAnyTraffic = AnyTraffic.TestCase


def test_the_first_budget_is_a_guess_that_grows_with_what_was_seen() -> None:
    pace = Pace(max_batch=512)
    assert pace.budget(0) == 128

    for _ in range(20):
        pace.observe(128, 0.1)

    assert pace.budget(0) == 512
    assert pace.budget(1) == 192


def test_the_first_prompt_that_is_seen_tells_most() -> None:
    pace = Pace(max_batch=512)

    pace.observe(128, 0.5)

    assert pace.budget(0) == 512


def test_a_slow_machine_gets_small_chunks_that_never_vanish() -> None:
    pace = Pace(max_batch=512)
    for _ in range(20):
        pace.observe(128, 60.0)

    assert pace.budget(0) == 32
    assert pace.budget(3) == 32


@pytest.mark.parametrize(
    ("rate", "stream_seconds", "longest"),
    [(300.0, 0.0075, 0.3), (860.0, 0.0045, 0.3), (300.0, 0.07, 0.3), (150.0, 0.2, 0.6)],
    ids=["Q4_1", "Q4_0", "16 streams", "a busy machine"],
)
def test_a_long_prompt_holds_streams_up_for_a_bounded_time(rate: float, stream_seconds: float, longest: float) -> None:
    """Prompt tokens and stream steps cost what was recorded; 2,000 tokens arrive."""
    pace, left, steps = Pace(max_batch=512), 2000, []
    for _ in range(20):
        pace.observe(0, stream_seconds)

    while left > 0:
        count = min(pace.budget(1), left)
        seconds = stream_seconds + count / rate
        pace.observe(count, seconds)
        steps.append(seconds)
        left -= count

    assert max(steps[2:]) < longest, "the first ones are planned before anything is known"
    assert max(steps) < 2 * longest
    assert sum(steps) < 2.5 * 2000 / rate, "the prompt gets half of the time at least"


def test_one_slow_step_of_a_stream_makes_no_long_ones() -> None:
    pace = Pace(max_batch=512)
    pace.observe(0, 60.0)

    assert pace.budget(1) <= pace.budget(0)


def test_chunks_too_small_to_measure_change_nothing() -> None:
    pace = Pace(max_batch=512)
    pace.observe(8, 60.0)
    pace.observe(128, 0.0)

    assert pace.budget(0) == 128


def test_a_stream_shrinks_the_chunks_of_others() -> None:
    pace = seen(256.0)

    assert pace.budget(1) < pace.budget(0)


def test_a_budget_is_at_most_a_batch() -> None:
    assert Pace(max_batch=8).budget(0) == 8


def test_a_crowd_of_prompts_comes_before_the_streams_but_never_stalls_them_for_long() -> None:
    pace = seen(256.0)

    budgets = [pace.budget(1, num_prompts) for num_prompts in (0, 1, 2, 4, 16, 100)]

    assert budgets == [32, 32, 32, 64, 256, 256]
    assert (pace.packed_budget(1), pace.packed_budget(0)) == (512, 128)
    assert budgets[-1] < pace.budget(0, 100)


def test_chunks_below_a_tile_are_made_while_they_are_nearly_as_good() -> None:
    """At the end of a long prompt 32 tokens may take as long as 64."""
    pace = seen(240.0)
    pace.observe(32, 32 / 200)
    assert pace.budget(1) == 32

    for _ in range(8):
        pace.observe(32, 32 / 100)

    assert pace.budget(1) == 64
    assert pace.budget(0) == 448, "what small chunks cost says nothing about large ones"


def seen(tokens_per_second: float) -> Pace:
    """The pace of a machine that computed a prompt."""
    pace = Pace(max_batch=512)
    pace.observe(512, 512 / tokens_per_second)
    return pace


def test_prompts_are_counted_while_they_wait_and_while_they_are_computed() -> None:
    books = scheduler(20, 20, num_parallel=1)
    assert books.num_prompts == 2

    carry_out(books, books.next_step(8))
    assert books.num_prompts == 2

    carry_out(books, books.next_step(11))
    assert books.num_prompts == 1
