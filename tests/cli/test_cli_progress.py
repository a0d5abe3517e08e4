"""Bars, and the plain lines that stand for them."""

import io

import pytest

from ollamapy.cli.progress import FRAMES, Meter, Moving, Plain, format_left, frame
from ollamapy.wire.native import Progress


def meter(*samples: tuple[float, int], total: int = 4_000_000_000) -> Meter:
    shown = Meter("pulling a80c4f17acd5")
    for now, completed in samples:
        shown.update(now, completed, total)
    return shown


def test_a_bar_fills_the_terminal() -> None:
    text = meter((0.0, 0), (10.0, 1_000_000_000)).text(10.0, 100)

    assert text == ("pulling a80c4f17acd5:  25% ▕" + "█" * 9 + " " * 29 + "▏   1 GB/  4 GB  100 MB/s     30s")
    assert len(text) == 99


def test_a_finished_bar_shows_the_total_alone() -> None:
    text = meter((0.0, 0), (10.0, 4_000_000_000)).text(10.0, 80)

    assert text.startswith("pulling a80c4f17acd5: 100% ▕█")
    assert text.rstrip().endswith("█▏   4 GB")


def test_a_narrow_terminal_gets_the_numbers_without_a_bar() -> None:
    assert "▕▏" in meter((0.0, 1)).text(0.0, 20)


def test_what_was_there_at_the_start_is_no_speed() -> None:
    """A pull that goes on where an earlier one stopped begins with gigabytes."""
    assert meter((0.0, 3_000_000_000)).rate(1.0) == 0
    assert meter((0.0, 3_000_000_000), (2.0, 3_000_000_100)).rate(2.0) == 50


def test_speed_forgets_what_is_long_ago_and_falls_when_nothing_comes() -> None:
    steady = meter((0.0, 0), (5.0, 1000), (20.0, 1000), (30.0, 1100))

    assert steady.rate(30.0) == 10
    assert meter((0.0, 0), (1.0, 100)).rate(10.0) == 10


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0s"), (59.9, "59s"), (65, "1m5s"), (3780, "1h3m"), (359_999, "99h59m"), (360_000, "99h+")],
)
def test_time_left(seconds: float, text: str) -> None:
    assert format_left(seconds) == text


def test_the_last_status_turns_until_it_is_over() -> None:
    shown = Moving()
    shown.update(Progress(status="pulling manifest"))
    shown.update(Progress(status="writing manifest"))

    first, last = shown.render(80)
    assert first == "pulling manifest"
    assert last[:-1] == "writing manifest "
    assert last[-1] in FRAMES

    shown.is_over = True
    assert shown.render(80) == ["pulling manifest", "writing manifest"]


def test_a_bar_appears_with_its_first_byte_and_keeps_its_line() -> None:
    shown = Moving()
    shown.update(Progress(status="pulling a", digest="sha256:a", total=10))
    assert shown.render(80) == []

    for completed in (1, 5, 10):
        shown.update(Progress(status="pulling a", digest="sha256:a", total=10, completed=completed))
    shown.update(Progress(status="success"))
    bar, status = shown.render(80)
    assert bar.startswith("pulling a: 100% ")
    assert status.startswith("success")


def test_a_status_may_change_its_end() -> None:
    shown = Moving()
    shown.status("copying file sha256:a", "5%")
    shown.status("copying file sha256:a", "100%")
    shown.is_over = True

    assert shown.render(80) == ["copying file sha256:a 100%"]


def test_elsewhere_each_new_status_is_one_plain_line() -> None:
    stream = io.StringIO()
    plain = Plain(stream)
    for completed in (0, 5, 10):
        plain.update(Progress(status="pulling a", digest="sha256:a", total=10, completed=completed))
    plain.status("copying", "5%")
    plain.status("copying", "6%")
    plain.update(Progress(status="success"))

    assert stream.getvalue() == "pulling a\ncopying\nsuccess\n"


def test_the_spinner_turns_ten_times_a_second() -> None:
    assert [frame(tenths / 10 + 0.01) for tenths in range(10)] == list(FRAMES)
