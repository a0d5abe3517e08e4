"""Threads are given up on a busy machine and taken back on an idle one. Times are recorded ones, rounded."""

from pathlib import Path

from ollamapy.runner.threads import IdleCores, ThreadControl

IDLE_STEP = (0.0075, 0.0146)
"""Wall and processor seconds of a step with two threads on two idle cores."""
BUSY_STEP = (0.063, 0.080)
"""The same beside one other busy process."""
SINGLE_STEP = (0.0112, 0.0110)
"""One thread, busy machine or not."""


LARGE_STEPS = {2: (0.110, 0.150), 1: (0.180, 0.178)}
"""Steps of 16 sequences beside a process that takes half a core: held up, and still faster with both threads."""
Steps = dict[int, tuple[float, float]]
IDLE: Steps = {2: IDLE_STEP, 1: SINGLE_STEP}
BUSY: Steps = {2: BUSY_STEP, 1: SINGLE_STEP}


def run(
    control: ThreadControl, seconds: float, steps: Steps, idle: float | None, start: float = 0.0, tokens: int = 1
) -> tuple[float, list[int]]:
    """Shows the control what steps cost on a machine for so long; answers when that ends, and every step's threads."""
    used, now = [], start
    while now < start + seconds:
        now += steps[control.num_threads][0]
        used.append(control.num_threads)
        control.observe(now, *steps[control.num_threads], tokens, idle)
    return now, used


def test_an_idle_machine_keeps_all_threads() -> None:
    assert set(run(ThreadControl(2), 30.0, IDLE, 0.0)[1]) == {2}


def test_a_busy_machine_costs_a_thread_within_a_few_steps() -> None:
    control = ThreadControl(2)
    _, used = run(control, 0.5, BUSY, 0.0)

    assert used.count(2) <= 5
    assert control.num_threads == 1


def test_large_steps_keep_the_threads_that_make_them_faster_however_held_up_they_are() -> None:
    _, used = run(ThreadControl(2), 60.0, LARGE_STEPS, 0.1, tokens=16)

    assert used.count(2) / len(used) > 0.85


def test_a_single_terrible_step_costs_a_few_steps_with_one_thread_and_no_more() -> None:
    control = ThreadControl(2)
    now, _ = run(control, 1.0, IDLE, 1.0)
    control.observe(now + 1.95, 1.95, 0.5, 1, 1.0)
    _, used = run(control, 10.0, IDLE, 1.0, start=now + 1.95)

    assert control.num_threads == 2
    assert used.count(1) < 0.25 * len(used)


def test_the_last_thread_stays() -> None:
    control = ThreadControl(2)
    run(control, 60.0, {2: (1.0, 0.1), 1: (0.2, 0.02)}, 0.0)

    assert control.num_threads == 1


def test_trials_on_a_busy_machine_cost_little() -> None:
    """Seldom, and each ends with its first step that costs several times more."""
    now, used = run(ThreadControl(2), 120.0, BUSY, 0.0)

    assert used.count(2) * BUSY_STEP[0] < 0.02 * now


def test_threads_come_back_when_the_machine_is_idle_again() -> None:
    control = ThreadControl(2)
    now, _ = run(control, 60.0, BUSY, 0.0)
    assert control.num_threads == 1
    run(control, 2.0, IDLE, 1.0, start=now)

    assert control.num_threads == 2


def test_threads_come_back_where_nobody_knows_what_is_idle() -> None:
    control = ThreadControl(2)
    now, _ = run(control, 60.0, BUSY, None)
    assert control.num_threads == 1
    run(control, 35.0, IDLE, None, start=now)

    assert control.num_threads == 2


def test_a_trial_with_nothing_to_compare_ends_as_it_began() -> None:
    control = ThreadControl(2)
    control.observe(0.1, 0.1, 0.01, 1, 0.0)
    assert control.num_threads == 1
    for size in range(16):
        control.observe(1.0 + size, 0.1, 0.1, 2 << size, 0.0)

    assert control.num_threads == 2


def test_many_threads_go_in_larger_strides() -> None:
    control = ThreadControl(64)
    control.observe(0.1, 1.0, 3.0, 1, 0.0)

    assert control.num_threads == 56


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
