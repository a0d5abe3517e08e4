"""The numbers of a benchmark: runs summed up, users counted. Pure: answers in, numbers out."""

from collections.abc import Iterable, Sequence
from statistics import fmean, median

import msgspec

from ollamapy.bench.answers import Answer

FIRST_SECONDS = 0.5
TOKENS_PER_SECOND = 10.0
SATISFIED_SHARE = 0.95
"""So many of the users must be served within the target, for a number of users to count as served."""


class Peak(msgspec.Struct, frozen=True):
    """Most resident memory seen, bytes; 0 where it cannot be seen."""

    daemon_bytes: int = 0
    children_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        return self.daemon_bytes + self.children_bytes


class Run(msgspec.Struct, frozen=True):
    """One run of one target: all clients at once, from the first request sent to the last answer ended."""

    seconds: float
    answers: tuple[tuple[Answer, ...], ...]
    """Of each client, turn by turn."""
    peak: Peak = Peak()
    own_share: float = 0.0
    """Processor time of the measuring process itself, as a share of one core."""


class Summary(msgspec.Struct, frozen=True):
    """What runs of one target with one number of clients amount to. Times are seconds, rates per second.

    Rates are medians over the runs; percentiles are over all requests of all runs.
    """

    num_requests: int
    num_failed: int
    num_short: int
    """Answers that ended before they had the tokens asked for."""
    prompt_tokens: float
    output_tokens: float
    """Means per request."""
    cached_share: float
    """Prompt tokens that the server did not compute, of all."""
    first_p50: float
    first_p99: float
    first_mean: float
    last_turn_first_p50: float
    gap_p50: float
    gap_p99: float
    seconds_p50: float
    seconds_p99: float
    requests_rate: float
    output_rate: float
    goodput: float
    """Requests per second that met the target."""
    satisfied_share: float
    """Requests that met the target, of all."""
    peak: Peak
    own_share: float
    error: str = ""
    """What the first request that failed was told."""


def summarise(runs: Sequence[Run], output_tokens: int) -> Summary:
    """The numbers of some runs in which answers of `output_tokens` tokens were asked for."""
    answers = [answer for run in runs for turns in run.answers for answer in turns]
    good = [answer for answer in answers if _is_good(answer)]
    firsts = [answer.arrivals[0] for answer in good]
    last_turns = [turns[-1] for run in runs for turns in run.answers if turns and _is_good(turns[-1])]
    gaps = [gap for answer in good for gap in answer.gaps]
    num_prompt = sum(answer.num_prompt for answer in good)
    errors = [answer.error or "no text came" for answer in answers if not _is_good(answer)]
    return Summary(
        num_requests=len(answers),
        num_failed=len(errors),
        num_short=sum(answer.num_output < output_tokens for answer in good),
        prompt_tokens=_mean(answer.num_prompt for answer in good),
        output_tokens=_mean(answer.num_output for answer in good),
        cached_share=sum(answer.num_cached for answer in good) / num_prompt if num_prompt else 0.0,
        first_p50=percentile(firsts, 50),
        first_p99=percentile(firsts, 99),
        first_mean=_mean(firsts),
        last_turn_first_p50=percentile([answer.arrivals[0] for answer in last_turns], 50),
        gap_p50=percentile(gaps, 50),
        gap_p99=percentile(gaps, 99),
        seconds_p50=percentile([answer.seconds for answer in good], 50),
        seconds_p99=percentile([answer.seconds for answer in good], 99),
        requests_rate=_median(sum(map(_is_good, _of(run))) / run.seconds for run in runs),
        output_rate=_median(output_rate(run) for run in runs),
        goodput=_median(sum(map(is_satisfied, _of(run))) / run.seconds for run in runs),
        satisfied_share=sum(map(is_satisfied, answers)) / len(answers) if answers else 0.0,
        peak=Peak(
            max((run.peak.daemon_bytes for run in runs), default=0),
            max((run.peak.children_bytes for run in runs), default=0),
        ),
        own_share=max((run.own_share for run in runs), default=0.0),
        error=errors[0] if errors else "",
    )


def output_rate(run: Run) -> float:
    """Output tokens per second of all clients together."""
    return sum(answer.num_output for answer in _of(run) if not answer.error) / run.seconds


def first_mean(run: Run) -> float:
    """Mean time to the first token."""
    return _mean(answer.arrivals[0] for answer in _of(run) if answer.arrivals)


def is_satisfied(answer: Answer) -> bool:
    """True when the first token came in time and the others at the speed wanted."""
    is_in_time = _is_good(answer) and answer.arrivals[0] <= FIRST_SECONDS
    return is_in_time and answer.tokens_per_second >= TOKENS_PER_SECOND


def percentile(values: Iterable[float], percent: float) -> float:
    """Interpolated between neighbours; 0 when there are no values."""
    ordered = sorted(values)
    if not ordered:
        return 0.0
    place = (len(ordered) - 1) * percent / 100
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios of runs made in pairs; 0 when there is nothing to compare."""
    return _median(mine / other for mine, other in zip(ours, theirs, strict=True) if other)


def _of(run: Run) -> list[Answer]:
    return [answer for turns in run.answers for answer in turns]


def _is_good(answer: Answer) -> bool:
    return not answer.error and bool(answer.arrivals)


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return fmean(found) if found else 0.0


def _median(values: Iterable[float]) -> float:
    found = list(values)
    return median(found) if found else 0.0
