"""Runs summed up, by values."""

import pytest

from ollamapy.bench.answers import Answer
from ollamapy.bench.measures import Peak, Run, first_mean, is_satisfied, output_rate, percentile, ratio, summarise


def answer(first: float, gap: float, count: int = 5, *, prompt: int = 10, cached: int = 0, error: str = "") -> Answer:
    """One whose tokens come `gap` apart."""
    arrivals = tuple(first + gap * index for index in range(count))
    return Answer(arrivals[-1], arrivals, "x" * count, prompt, cached, count, "length", error)


def test_percentiles_are_interpolated() -> None:
    assert percentile([3, 1, 2], 50) == 2
    assert percentile([1, 2], 50) == 1.5
    assert percentile(range(101), 99) == 99
    assert percentile([7], 99) == 7
    assert percentile([], 50) == 0


def test_a_summary_counts_what_came() -> None:
    run = Run(2.0, ((answer(0.1, 0.05, cached=5),), (answer(0.3, 0.05),)), Peak(100, 200), 0.03)

    found = summarise([run], 5)

    assert (found.num_requests, found.num_failed, found.num_short) == (2, 0, 0)
    assert found.output_rate == 5.0
    assert found.requests_rate == 1.0
    assert found.cached_share == 0.25
    assert found.first_p50 == pytest.approx(0.2)
    assert found.first_mean == pytest.approx(0.2)
    assert found.gap_p50 == pytest.approx(0.05)
    assert found.seconds_p50 == pytest.approx(0.4)
    assert found.goodput == 1.0
    assert found.peak.total_bytes == 300
    assert found.own_share == 0.03


def test_rates_are_medians_of_the_runs() -> None:
    runs = [Run(seconds, ((answer(0.1, 0.05),),)) for seconds in (1.0, 2.0, 50.0)]

    assert summarise(runs, 5).output_rate == 2.5


def test_a_request_that_failed_counts_as_failed_and_as_nothing_else() -> None:
    run = Run(1.0, ((answer(0.1, 0.05),), (answer(0.2, 0.1, error="gone"),)))

    found = summarise([run], 5)

    assert (found.num_failed, found.error) == (1, "gone")
    assert found.output_rate == 5.0
    assert found.first_p50 == 0.1
    assert found.satisfied_share == 0.5


def test_an_answer_without_text_is_a_failure() -> None:
    found = summarise([Run(1.0, ((Answer(1.0, (), reason="stop"),),))], 5)

    assert (found.num_failed, found.error) == (1, "no text came")


def test_answers_that_ended_early_are_counted() -> None:
    assert summarise([Run(1.0, ((answer(0.1, 0.1, 3),), (answer(0.1, 0.1, 5),)))], 5).num_short == 1


def test_the_last_turns_are_summed_up_apart() -> None:
    run = Run(1.0, ((answer(0.9, 0.1), answer(0.1, 0.1)), (answer(0.9, 0.1), answer(0.3, 0.1))))

    assert summarise([run], 5).last_turn_first_p50 == pytest.approx(0.2)


def test_the_summary_of_nothing_is_zeros() -> None:
    assert summarise([], 5).output_rate == 0.0


@pytest.mark.parametrize(
    ("served", "satisfied"),
    [
        (answer(0.5, 0.1), True),
        (answer(0.51, 0.1), False),
        (answer(0.1, 0.11), False),
        (answer(0.1, 0.1, 1), True),
        (answer(0.1, 0.1, error="gone"), False),
        (Answer(1.0, ()), False),
    ],
)
def test_the_target_is_a_first_token_in_time_and_a_steady_flow(served: Answer, satisfied: bool) -> None:
    assert is_satisfied(served) == satisfied


def test_ratios_are_medians_of_pairs() -> None:
    assert ratio([2, 9, 4], [1, 3, 4]) == 2
    assert ratio([1], [0]) == 0
    assert ratio([], []) == 0


def test_a_run_has_a_rate_and_a_mean_first_time() -> None:
    run = Run(2.0, ((answer(0.1, 0.05),), (answer(0.3, 0.05),), (Answer(1.0, (), error="gone"),)))

    assert output_rate(run) == 5.0
    assert first_mean(run) == pytest.approx(0.2)
