"""How fast bytes may come: the decision by values, then that a task, and what it starts, keeps to it."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamapy.remotes import pace
from ollamapy.remotes.pace import Limiter, loosest


def test_without_a_limit_nobody_waits() -> None:
    assert Limiter().delay(now=5.0, count=1 << 40) == 0.0


def test_what_was_read_is_waited_for() -> None:
    limiter = Limiter(rate=100)

    assert limiter.delay(now=10.0, count=50) == 0.5
    assert limiter.delay(now=10.5, count=200) == 2.0


def test_several_who_read_at_once_share_the_limit() -> None:
    limiter = Limiter(rate=100)

    assert [limiter.delay(now=10.0, count=100) for _ in range(3)] == [1.0, 2.0, 3.0]


def test_time_in_which_nothing_came_is_not_saved_up() -> None:
    limiter = Limiter(rate=100)
    limiter.delay(now=10.0, count=100)

    assert limiter.delay(now=1000.0, count=100) == 1.0


def test_another_limit_forgets_what_came_before() -> None:
    limiter = Limiter(rate=1)
    limiter.delay(now=10.0, count=1000)

    limiter.set(1000)

    assert limiter.delay(now=10.0, count=1000) == 1.0


@given(st.lists(st.tuples(st.integers(1, 1 << 20), st.floats(0, 0.01)), min_size=1), st.integers(1, 1 << 30))
def test_whoever_waits_as_told_is_never_faster_than_the_limit(reads: list[tuple[int, float]], rate: int) -> None:
    limiter, now = Limiter(rate), 1000.0
    for count, seconds in reads:
        now += seconds
        now += limiter.delay(now, count)

    assert now - 1000.0 >= sum(count for count, _ in reads) / rate * (1 - 1e-6) - 1e-6


@pytest.mark.parametrize(("rates", "answer"), [([], 0), ([5], 5), ([5, 7], 7), ([5, 0], 0)])
def test_of_several_limits_for_the_same_bytes_the_loosest_counts(rates: list[int], answer: int) -> None:
    assert loosest(rates) == answer


def test_what_is_held_in_memory_is_a_seconds_worth() -> None:
    def most_of(*rates: int) -> int:
        token = pace.limits.set(tuple(map(Limiter, rates)))
        try:
            return pace.buffer_bytes(1 << 20)
        finally:
            pace.limits.reset(token)

    assert [most_of(), most_of(0, 0), most_of(0, 200_000), most_of(1)] == [1 << 20, 1 << 20, 200_000, 64 << 10]


def test_tasks_and_threads_of_a_task_share_its_limit_and_others_do_not() -> None:
    async def task() -> object:
        return pace.limits.get()

    async def main() -> list[object]:
        token = pace.limits.set(mine)
        found = [pace.limits.get(), await asyncio.to_thread(pace.limits.get), await asyncio.create_task(task())]
        pace.limits.reset(token)
        return [*found, pace.limits.get()]

    mine = (Limiter(rate=1000),)
    assert asyncio.run(main()) == [mine, mine, mine, ()]


def test_the_strictest_of_the_limits_that_hold_is_kept() -> None:
    assert pace.owed(1000, (Limiter(rate=1000), Limiter(), Limiter(rate=500))) == 2.0


def test_reading_too_fast_takes_the_time_that_it_should_have_taken() -> None:
    async def main() -> float:
        pace.limits.set((Limiter(rate=10_000),))
        start = time.monotonic()
        for _ in range(10):
            await pace.keep(100)
        return time.monotonic() - start

    assert asyncio.run(main()) >= 0.05
