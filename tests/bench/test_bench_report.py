"""Results as people read them, and which of them are of the same work."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from ollamapy.bench import history, report
from ollamapy.bench.answers import Answer
from ollamapy.bench.measures import Peak, Run
from ollamapy.bench.plan import Workload
from ollamapy.bench.result import Machine, Point, Result, users


def point(
    label: str, clients: int, *, first: float = 0.1, gap: float = 0.05, tokens: int = 64, error: str = ""
) -> Point:
    """One run in which all clients get the same."""
    arrivals = tuple(first + gap * index for index in range(tokens))
    answer = Answer(arrivals[-1], arrivals, "", 128, 32, tokens, "length", error)
    good = replace(answer, error="")
    chats = ((answer,), *[(good,)] * (clients - 1))
    return Point.of(label, clients, [Run(arrivals[-1], chats, Peak(60_000_000, 300_000_000), 0.02)], 64)


def result(*points: Point, when: str = "2026-01-02T03:04:05Z", model: str = "starter") -> Result:
    machine = Machine("EPYC", 2, "Linux", 0.25)
    return Result(when, "0.1.0", model, "http://h", machine, Workload(), points)


def test_a_row_says_everything_about_a_point() -> None:
    assert report.row(point("ollamapy", 4)) == (
        "4",
        "ollamapy",
        "78.8",
        "100ms/100ms",
        "50ms/50ms",
        "3.25s/3.25s",
        "1.23",
        "1.23",
        "25%",
        "60 MB + 300 MB",
    )


def test_memory_that_cannot_be_seen_is_not_zero() -> None:
    unseen = msgspec.structs.replace(point("x", 1).summary, peak=Peak())

    assert report.memory(unseen) == "?"
    assert report.memory(msgspec.structs.replace(unseen, peak=Peak(90_000_000))) == "90 MB"


def test_users_are_those_served_before_some_went_short() -> None:
    points = [point("x", 1), point("x", 2), point("x", 4, first=0.9), point("x", 8)]

    assert users(points) == 2
    assert users(points[:2]) == 2
    assert users(points[2:3]) == 0


def test_the_last_sentence_counts_the_users_of_both() -> None:
    slots = [point("llama-server -np 1", 1), point("llama-server -np 4", 4, gap=0.2)]
    found = result(point("ollamapy", 1), slots[0], point("ollamapy", 4), slots[1])

    assert report.sentences(found)[-1] == (
        "ollamapy serves 4 users and maybe more at once with the first token under 500 ms and 10 tokens/s each; "
        "llama-server 1 user."
    )


def test_a_server_that_serves_nobody_well_is_said_to() -> None:
    assert "x serves not even 1 user at once" in report.sentences(result(point("x", 1, first=2.0)))[-1]
    assert "x serves fewer than 4 users at once" in report.sentences(result(point("x", 4, first=2.0)))[-1]


def test_pairs_are_compared_in_a_sentence() -> None:
    found = result(point("ollamapy", 1, first=0.1, gap=0.05), point("llama-server -np 1", 1, first=0.2, gap=0.1))

    (said,) = [line for line in report.sentences(found) if "times the output" in line]
    assert said == "1 client: 2.00 times the output of llama-server -np 1, 0.50 times its time to the first token."


def test_points_of_one_server_alone_are_no_pairs() -> None:
    assert result(point("a", 1), point("a", 4)).pairs() == []


def test_two_servers_give_a_pair_for_each_number_of_clients() -> None:
    points = point("a", 1), point("b", 1), point("a", 4), point("b", 4)

    assert result(*points).pairs() == [(points[0], points[1]), (points[2], points[3])]


def test_the_same_number_of_clients_given_twice_makes_pairs_all_the_same() -> None:
    points = point("a", 4), point("b", 4), point("a", 4), point("b", 4)

    assert result(*points).pairs() == [(points[0], points[1]), (points[2], points[3])]


def test_failures_and_short_answers_are_said() -> None:
    said = report.sentences(result(point("x", 2, error="no slot"), point("x", 4, tokens=10)))

    assert "x with 2 clients: 1 of 2 requests failed, the first with: no slot" in said
    assert "x with 4 clients: 4 of 4 answers ended before they had all their tokens." in said


def test_the_burden_of_measuring_is_said() -> None:
    assert "Measuring took up to 2% of one of 2 cores; the load average before it was 0.2." in report.sentences(
        result(point("x", 1))
    )


@pytest.mark.parametrize(("seconds", "text"), [(0.0084, "8.4ms"), (0.4123, "412ms"), (3.21, "3.21s"), (75.0, "75s")])
def test_times_have_three_digits(seconds: float, text: str) -> None:
    assert report.time(seconds) == text


def test_results_of_the_same_work_are_compared(tmp_path: Path) -> None:
    old, other = result(point("x", 1, gap=0.1), when="2026-01-01T00:00:00Z"), result(point("x", 1), model="other")
    now = result(point("x", 1, gap=0.05))
    for each in (old, other, now):
        history.keep(tmp_path, each)
    (tmp_path / "broken.json").write_text("{")

    before = history.before(tmp_path, now)

    assert before == [old]
    assert report.history(now, before)[1] == ("2026-01-01 00:00", "0.1.0", "1", "10.0", "100ms", "1.97 times")


def test_a_number_of_clients_that_was_not_measured_now_is_left_out() -> None:
    assert report.history(result(point("x", 1)), [result(point("x", 4))])[1:] == []


def test_the_folder_of_results_is_made(tmp_path: Path) -> None:
    kept = history.keep(tmp_path / "a" / "b", result(point("x", 1)))

    assert msgspec.json.decode(kept.read_bytes(), type=Result) == result(point("x", 1))
    assert list(kept.parent.iterdir()) == [kept]
