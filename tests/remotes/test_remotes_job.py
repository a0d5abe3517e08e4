"""What a job is at each moment, by values alone."""

import pytest

from ollamapy.errors import InvalidInput, RemoteError
from ollamapy.remotes.job import KEEP_SECONDS, MAX_ENDED, Job, Tally, outlived
from ollamapy.wire.native import Progress


def line(completed: int, total: int = 100, digest: str = "a") -> Progress:
    return Progress(f"pulling {digest}", digest, total, completed)


def test_a_tally_adds_up_the_blobs() -> None:
    tally = Tally()
    tally.expect({"a": 100, "b": 50})
    tally.add(line(40), now=1.0)
    tally.add(Progress("verifying sha256 digest"), now=2.0)

    assert (tally.completed, tally.total) == (40, 150)


def test_a_blob_that_nobody_expected_counts_too() -> None:
    tally = Tally()
    tally.add(Progress("pulling model.gguf", total=10, completed=3), now=1.0)

    assert (tally.completed, tally.total) == (3, 10)


def test_what_was_here_before_is_no_speed() -> None:
    tally = Tally()
    tally.add(line(0), now=1.0)
    tally.add(line(60), now=1.0)
    tally.add(line(80), now=2.0)

    assert tally.speed(now=3.0) == 10


def test_a_blob_that_was_there_is_no_speed() -> None:
    tally = Tally()
    tally.add(line(0), now=1.0)
    tally.add(line(100), now=1.1)

    assert tally.speed(now=2.0) == 0


def test_a_speed_is_that_of_the_last_seconds() -> None:
    tally = Tally()
    tally.add(line(1, 10_000), now=0.0)
    tally.add(line(1001, 10_000), now=1.0)
    tally.add(line(1001, 10_000), now=50.0)
    tally.add(line(1101, 10_000), now=60.0)

    assert tally.speed(now=60.0) == 10
    assert tally.speed(now=100.0) == 0


def test_nothing_has_no_speed() -> None:
    assert Tally().speed(now=5.0) == 0


def test_a_job_is_paused_and_resumed_as_often_as_anybody_wants() -> None:
    job = Job(1, "m")
    job.pause()
    job.pause()
    assert (job.status, job.is_paused) == ("paused", True)

    job.resume()
    job.resume()
    assert (job.status, job.is_paused) == ("running", False)


def test_the_time_of_a_pause_does_not_count_for_the_speed() -> None:
    job = Job(1, "m")
    job.tell(line(10), now=1.0)
    job.tell(line(20), now=2.0)
    job.pause()
    job.resume()
    job.tell(line(40), now=9.0)
    job.tell(line(60), now=10.0)

    assert job.listed(now=10.0).bytes_per_second == 20


@pytest.mark.parametrize("status", ["done", "failed", "cancelled"])
def test_a_job_that_is_over_stays_as_it_is(status: str) -> None:
    job = Job(7, "m")
    job.end(status, now=5.0)

    for change in (job.pause, job.resume):
        with pytest.raises(InvalidInput, match=f"job 7 is over: it is {status}"):
            change()
    assert job.status == status


def test_lines_of_one_step_give_way_to_the_newest_until_they_are_read() -> None:
    job = Job(1, "m")
    for told in (line(1), line(2), line(3, digest="b")):
        job.tell(told, now=1.0)

    assert job.take() == [line(2), line(3, digest="b")]
    assert job.take() == []
    job.tell(line(4, digest="b"), now=1.0)
    assert job.take() == [line(4, digest="b")]


def test_what_is_listed_is_how_the_job_is() -> None:
    job = Job(3, "m", limit_rate=7, started=1.0)
    job.tell(line(10), now=1.0)
    job.tell(line(30), now=2.0)

    shown = job.listed(now=2.0)
    assert (shown.id, shown.model, shown.status, shown.completed, shown.total) == (3, "m", "running", 30, 100)
    assert (shown.bytes_per_second, shown.limit_rate, shown.error, shown.ended_at) == (20, 7, "", "")
    job.pause()
    assert job.listed(now=2.0).bytes_per_second == 0
    job.end("failed", now=9.0, error=RemoteError("broken", hint="mend it"))
    assert (job.listed(3.0).error, job.listed(3.0).hint, job.listed(3.0).ended_at != "") == ("broken", "mend it", True)


def test_jobs_that_are_over_are_forgotten_when_they_are_old_or_too_many() -> None:
    jobs = [Job(n, "m") for n in range(MAX_ENDED + 3)]
    for job in jobs[1:]:
        job.end("done", now=1000.0 + job.id)

    assert [job.id for job in outlived(jobs, now=1100.0)] == [2, 1]
    assert len(outlived(jobs, now=1100.0 + 2 * KEEP_SECONDS)) == len(jobs) - 1
