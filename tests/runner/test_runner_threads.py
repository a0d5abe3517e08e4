"""Threads are given up on a busy machine and taken back on an idle one. Times are recorded ones, rounded."""

from pathlib import Path

from ollamapy.runner.threads import IdleCores, ThreadControl

IDLE_STEP = (0.0075, 0.0146)
"""Wall and processor seconds of a step with two threads on two idle cores."""
BUSY_STEP = (0.063, 0.080)
"""The same beside one other busy process."""
SINGLE_STEP = (0.0112, 0.0110)
"""One thread, busy machine or not."""


def run(control: ThreadControl, steps: int, step: tuple[float, float], idle: float | None, start: float) -> float:
    """Shows the control so many equal steps, beginning at `start`; answers when they end."""
    for _ in range(steps):
        start += step[0]
        control.observe(start, *step, idle)
    return start


def test_an_idle_machine_keeps_all_threads() -> None:
    control = ThreadControl(2)
    run(control, 500, IDLE_STEP, 0.0, 0.0)

    assert control.num_threads == 2


def test_a_busy_machine_costs_a_thread_within_a_few_steps() -> None:
    control = ThreadControl(2)
    run(control, 6, BUSY_STEP, 0.0, 0.0)

    assert control.num_threads == 1


def test_a_single_terrible_step_is_enough() -> None:
    control = ThreadControl(2)
    control.observe(2.0, 1.95, 0.5, None)

    assert control.num_threads == 1


def test_the_last_thread_stays() -> None:
    control = ThreadControl(2)
    run(control, 100, (1.0, 0.1), 0.0, 0.0)

    assert control.num_threads == 1


def test_no_thread_is_tried_while_no_core_is_idle() -> None:
    control = ThreadControl(2)
    now = run(control, 6, BUSY_STEP, 0.0, 0.0)
    run(control, 10_000, SINGLE_STEP, 0.1, now)

    assert control.num_threads == 1


def test_threads_come_back_when_the_machine_is_idle_again() -> None:
    control = ThreadControl(2)
    now = run(control, 6, BUSY_STEP, 0.0, 0.0)
    assert control.num_threads == 1
    for _ in range(200):
        now = run(control, 1, IDLE_STEP if control.num_threads == 2 else SINGLE_STEP, 1.0, now)

    assert control.num_threads == 2


def test_trials_that_fail_come_less_and_less_often_where_nobody_knows_what_is_idle() -> None:
    control = ThreadControl(2)
    now, trials = 0.0, 0
    while now < 120:
        step = BUSY_STEP if control.num_threads == 2 else SINGLE_STEP
        before = control.num_threads
        now = run(control, 1, step, None, now)
        trials += control.num_threads > before

    assert control.num_threads == 1
    assert 3 <= trials <= 9


def test_idle_cores_are_counted_from_the_kernels_clocks(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 0 0 1000 0 0 0 0 0 0\ncpu0 1 2\ncpu1 1 2\nintr 5\n")
    meter = IdleCores(stat)
    assert meter.read(0.0) is None
    stat.write_text("cpu  150 0 0 1050 0 0 0 0 0 0\ncpu0 1 2\ncpu1 1 2\nintr 5\n")

    assert meter.read(0.4) is None
    assert meter.read(1.0) == 1.0


def test_a_machine_that_does_not_say_is_no_error(tmp_path: Path) -> None:
    assert IdleCores(tmp_path / "missing").read(0.0) is None
