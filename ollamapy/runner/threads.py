"""How many threads a step uses: `ThreadControl` decides by what steps cost, `IdleCores` sees what is free.

llama.cpp's threads wait for each other by spinning. On a machine that does something else as well, one thread that is
not scheduled holds up all the others, and a small step takes many times as long; with one thread less it hardly
suffers. A large step suffers less, and two threads that are held up may still be faster than one. So nothing is
concluded from the load: another number of threads is tried for a few steps, and the cheaper one stays.
"""

from dataclasses import dataclass, field
from pathlib import Path

_LEAST_SHARE = 0.8
"""Of the processor time that the threads could use, on average. Below it fewer threads may be faster."""
_BAD_SHARE = 0.5
"""A single step below this says the same."""
_WEIGHT = 0.25
_SETTLE_STEPS = 4
"""Steps after a change before their average is judged."""
_TRIAL_STEPS = 4
"""Steps of a trial that can be compared with earlier ones."""
_LONGEST_TRIAL = 16
"""Steps after which a trial ends that nothing could be compared with."""
_GAIN = 0.95
"""A trial must cost less than this share of what the same work cost before."""
_RUIN = 4.0
"""A step that costs so many times more ends a trial at once."""
_FIRST_WAIT_SECONDS = 1.0
_LAST_WAIT_SECONDS = 30.0
_IDLE_CORES = 0.7
"""With so much of a core free, more threads are tried without a long wait."""
_METER_SECONDS = 0.5


@dataclass(slots=True)
class _Trial:
    """Another number of threads, tried instead of `origin`; `spent` and `expected` are seconds for the same steps."""

    origin: int
    num_steps: int = 0
    num_compared: int = 0
    spent: float = 0.0
    expected: float = 0.0
    costs: dict[int, float] = field(default_factory=dict)


@dataclass(slots=True)
class ThreadControl:
    """Tries fewer threads while steps get too small a share of the processors, and more after a wait.

    Pure: `now`, `wall_seconds` and `cpu_seconds` (of the whole process, over one step), the tokens of the step and
    `idle_cores` (None where nobody knows) come from the caller. Steps are compared with steps of about their size.
    """

    max_threads: int
    num_threads: int = 0
    _share: float = 1.0
    _num_steps: int = 0
    _costs: dict[int, float] = field(default_factory=dict)
    """Seconds per token by the size of the step, with the present threads."""
    _trial: _Trial | None = None
    _waits: dict[int, float] = field(default_factory=lambda: {-1: 0.0, 1: _FIRST_WAIT_SECONDS})
    """Seconds between two trials of fewer and of more threads: doubled by each one that fails."""
    _last: dict[int, float] = field(default_factory=lambda: {-1: 0.0, 1: 0.0})

    def __post_init__(self) -> None:
        self.num_threads = self.max_threads

    def observe(
        self, now: float, wall_seconds: float, cpu_seconds: float, num_tokens: int, idle_cores: float | None
    ) -> int:
        """The threads for the next step.

        1. During a trial: go on until enough steps can be compared, then keep the cheaper number.
        2. Too small a share of the processors, in one step or on average, and the wait is over: try fewer.
        3. Below the maximum, and the wait is over: try more; a core that is idle makes the wait short.
        """
        size, cost = num_tokens.bit_length(), wall_seconds / max(num_tokens, 1)
        if self._trial:
            self._follow(self._trial, now, wall_seconds, size, cost)
            return self.num_threads
        _learn(self._costs, size, cost)
        self._watch(wall_seconds, cpu_seconds)
        if self._is_held_up(wall_seconds, cpu_seconds) and self.num_threads > 1 and self._is_due(-1, now, None):
            self._begin(-1)
        elif self.num_threads < self.max_threads and self._is_due(+1, now, idle_cores):
            self._begin(+1)
        return self.num_threads

    def _watch(self, wall_seconds: float, cpu_seconds: float) -> None:
        self._share += _WEIGHT * (self._share_of(wall_seconds, cpu_seconds) - self._share)
        self._num_steps += 1

    def _share_of(self, wall_seconds: float, cpu_seconds: float) -> float:
        return min(cpu_seconds / (wall_seconds * self.num_threads), 1.0) if wall_seconds > 0 else 1.0

    def _is_held_up(self, wall_seconds: float, cpu_seconds: float) -> bool:
        is_low = self._num_steps >= _SETTLE_STEPS and self._share < _LEAST_SHARE
        return is_low or self._share_of(wall_seconds, cpu_seconds) < _BAD_SHARE

    def _is_due(self, direction: int, now: float, idle_cores: float | None) -> bool:
        has_room = idle_cores is not None and idle_cores >= _IDLE_CORES
        wait = min(self._waits[direction], _FIRST_WAIT_SECONDS) if has_room else self._waits[direction]
        return now >= self._last[direction] + wait

    def _begin(self, direction: int) -> None:
        self._trial = _Trial(origin=self.num_threads)
        by = direction * max(self.num_threads // 8, 1)
        self.num_threads = min(max(self.num_threads + by, 1), self.max_threads)

    def _follow(self, trial: _Trial, now: float, wall_seconds: float, size: int, cost: float) -> None:
        trial.num_steps += 1
        _learn(trial.costs, size, cost)
        before = self._costs.get(size)
        is_ruin = before is not None and cost > _RUIN * before
        if before is not None and cost > 0:
            trial.num_compared += 1
            trial.spent += wall_seconds
            trial.expected += wall_seconds * before / cost
        if is_ruin or trial.num_compared >= _TRIAL_STEPS or trial.num_steps >= _LONGEST_TRIAL:
            self._end(trial, now, has_won=not is_ruin and trial.spent < _GAIN * trial.expected)

    def _end(self, trial: _Trial, now: float, *, has_won: bool) -> None:
        """Keeps the new number, or goes back. What failed waits longer; what won makes its opposite wait a little."""
        direction = 1 if self.num_threads > trial.origin else -1
        if has_won:
            self._costs = trial.costs
            self._waits[direction] = 0.0 if direction < 0 else _FIRST_WAIT_SECONDS
            self._last[-direction] = now
        else:
            self.num_threads = trial.origin
            doubled = max(2 * self._waits[direction], _FIRST_WAIT_SECONDS)
            self._waits[direction] = min(doubled, _LAST_WAIT_SECONDS)
            self._last[direction] = now
        self._trial = None
        self._share, self._num_steps = 1.0, 0

    def __repr__(self) -> str:
        return f"<ThreadControl {self.num_threads} of {self.max_threads}, share {self._share:.2f}>"


def _learn(costs: dict[int, float], size: int, cost: float) -> None:
    costs[size] = costs[size] + _WEIGHT * (cost - costs[size]) if size in costs else cost


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
