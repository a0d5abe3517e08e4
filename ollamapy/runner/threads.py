"""How many threads a step uses: `ThreadControl` decides by what steps cost, `IdleCores` sees what is free.

llama.cpp's threads wait for each other by spinning. On a machine that does something else as well, one thread that is
not scheduled holds up all the others, and a step takes many times as long; with one thread less it hardly suffers. A
step that got less processor time than its threads could use was held up.
"""

from dataclasses import dataclass
from pathlib import Path

_LEAST_SHARE = 0.8
"""Of the processor time that the threads could use, on average. Below it somebody else is using the cores."""
_BAD_SHARE = 0.5
"""A single step below this says the same."""
_WEIGHT = 0.25
_SETTLE_STEPS = 4
"""Steps after a change before their average is judged."""
_PROVEN_STEPS = 16
_FIRST_WAIT_SECONDS = 1.0
_LAST_WAIT_SECONDS = 30.0
_IDLE_CORES = 0.7
"""So much of a core must be free before one more thread is tried, where the machine says."""
_METER_SECONDS = 0.5


@dataclass(slots=True)
class ThreadControl:
    """Gives threads up while the machine is contended, and tries again later: at once when that held, else less often.

    Pure: `now`, `wall_seconds` and `cpu_seconds` (of the whole process, over one step) and `idle_cores` (None where
    nobody knows) come from the caller.
    """

    max_threads: int
    num_threads: int = 0
    _share: float = 1.0
    _num_steps: int = 0
    _next_trial: float = 0.0
    _wait_seconds: float = _FIRST_WAIT_SECONDS
    _is_trial: bool = False

    def __post_init__(self) -> None:
        self.num_threads = self.max_threads

    def observe(self, now: float, wall_seconds: float, cpu_seconds: float, idle_cores: float | None) -> int:
        """The threads for the next step.

        1. Too small a share of the processors, in one step or on average: one thread less, if there is one. After a
           trial that ended so, the next one waits twice as long.
        2. A trial that held for a while is the new normal.
        3. Below the maximum, with the wait over and a core idle: one thread more, as a trial.
        """
        share = min(cpu_seconds / (wall_seconds * self.num_threads), 1.0) if wall_seconds > 0 else 1.0
        self._share += _WEIGHT * (share - self._share)
        self._num_steps += 1
        is_held_up = share < _BAD_SHARE or (self._num_steps >= _SETTLE_STEPS and self._share < _LEAST_SHARE)
        if is_held_up and self.num_threads > 1:
            self._wait_seconds = (
                min(2 * self._wait_seconds, _LAST_WAIT_SECONDS) if self._is_trial else _FIRST_WAIT_SECONDS
            )
            self._next_trial = now + self._wait_seconds
            self._change(-1, is_trial=False)
        elif self._is_trial and self._num_steps >= _PROVEN_STEPS:
            self._is_trial, self._wait_seconds = False, _FIRST_WAIT_SECONDS
        elif self._may_try(now, idle_cores):
            self._change(+1, is_trial=True)
        return self.num_threads

    def _may_try(self, now: float, idle_cores: float | None) -> bool:
        has_room = idle_cores is None or idle_cores >= _IDLE_CORES
        return self.num_threads < self.max_threads and not self._is_trial and has_room and now >= self._next_trial

    def _change(self, by: int, *, is_trial: bool) -> None:
        self.num_threads += by
        self._is_trial = is_trial
        self._share, self._num_steps = 1.0, 0

    def __repr__(self) -> str:
        return f"<ThreadControl {self.num_threads} of {self.max_threads}, share {self._share:.2f}>"


class IdleCores:
    """How many cores had nothing to do lately, by Linux's own count; None elsewhere, and until it is known."""

    def __init__(self, source: Path = Path("/proc/stat")) -> None:
        self._source = source
        self._last: tuple[float, int, int] | None = None
        self._idle: float | None = None

    def read(self, now: float) -> float | None:
        """Looks at most twice a second."""
        if self._last is None or now - self._last[0] >= _METER_SECONDS:
            self._look(now)
        return self._idle

    def _look(self, now: float) -> None:
        try:
            lines = self._source.read_text().splitlines()
        except OSError:
            self._last = (now, 0, 0)
            return
        times = [int(field) for field in lines[0].split()[1:9]]
        num_cores = sum(line.startswith("cpu") for line in lines) - 1
        idle, total = times[3] + times[4], sum(times)
        if self._last is not None and total > self._last[2]:
            self._idle = num_cores * (idle - self._last[1]) / (total - self._last[2])
        self._last = (now, idle, total)
