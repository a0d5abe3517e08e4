"""Says what a benchmark found: the rows of its table and the sentences below it. Pure: results in, text out."""

from collections.abc import Sequence

from ollamapy.bench import measures
from ollamapy.bench.measures import Summary
from ollamapy.bench.result import Point, Result, clients, users
from ollamapy.units import format_bytes

HEAD = (
    "clients",
    "server",
    "tokens/s",
    "TTFT p50/p99",
    "between p50/p99",
    "whole p50/p99",
    "requests/s",
    "goodput/s",
    "reused",
    "memory",
)
TARGET = (
    f"the first token under {1000 * measures.FIRST_SECONDS:.0f} ms and {measures.TOKENS_PER_SECOND:.0f} tokens/s each"
)


def row(point: Point) -> tuple[str, ...]:
    """A line of the table."""
    found = point.summary
    return (
        str(point.num_clients),
        point.label,
        f"{found.output_rate:.1f}",
        _pair(found.first_p50, found.first_p99),
        _pair(found.gap_p50, found.gap_p99),
        _pair(found.seconds_p50, found.seconds_p99),
        f"{found.requests_rate:.2f}",
        f"{found.goodput:.2f}",
        f"{100 * found.cached_share:.0f}%",
        memory(found),
    )


def memory(found: Summary) -> str:
    """Daemon and runners, or the one process; `?` where it cannot be seen."""
    peak = found.peak
    if not peak.total_bytes:
        return "?"
    daemon = format_bytes(peak.daemon_bytes)
    return f"{daemon} + {format_bytes(peak.children_bytes)}" if peak.children_bytes else daemon


def table(points: Sequence[Point]) -> list[tuple[str, ...]]:
    return [HEAD, *map(row, points)]


def sentences(result: Result) -> list[str]:
    """What stands below the table; the last one says how many users are served."""
    work = result.work
    lengths = [f"{point.summary.prompt_tokens:.0f}+{point.summary.output_tokens:.0f}" for point in result.points]
    said = [
        f"{result.model}: {work.prompt_tokens} prompt and {work.output_tokens} output tokens asked for"
        + (f", {work.shared_prefix} more shared by all" if work.shared_prefix else "")
        + (f", {work.turns} turns" if work.turns > 1 else "")
        + f"; measured per request: {', '.join(dict.fromkeys(lengths))}.",
        *map(_versus, result.pairs()),
        *(line for point in result.points for line in warnings(point)),
        *(f"{label} is that of {build}." for label, build in _builds(result).items()),
        _burden(result),
        _users(result),
    ]
    return [line for line in said if line]


def _versus(pair: tuple[Point, Point]) -> str:
    ours, theirs = pair
    speed, first = ratios(ours, theirs)
    return (
        f"{clients(ours.num_clients)}: {speed:.2f} times the output of {theirs.label}, "
        f"{first:.2f} times its time to the first token."
    )


def ratios(ours: Point, theirs: Point) -> tuple[float, float]:
    """Output tokens per second and mean time to the first token, ours over theirs: medians of runs made in pairs."""
    return (
        measures.ratio(ours.output_rates, theirs.output_rates),
        measures.ratio(ours.first_means, theirs.first_means),
    )


def warnings(point: Point) -> list[str]:
    """What a reader of the numbers must know."""
    found, who = point.summary, f"{point.label} with {clients(point.num_clients)}"
    said = []
    if found.num_failed:
        said.append(f"{who}: {found.num_failed} of {found.num_requests} requests failed, the first with: {found.error}")
    if found.num_short:
        said.append(f"{who}: {found.num_short} of {found.num_requests} answers ended before they had all their tokens.")
    return said


def _builds(result: Result) -> dict[str, str]:
    return {_family(point.label): point.build for point in result.points if point.build}


def _burden(result: Result) -> str:
    """What stood beside the server on the machine."""
    share = max((point.summary.own_share for point in result.points), default=0.0)
    return (
        f"Measuring took up to {100 * share:.0f}% of one of {result.machine.num_cores} cores; "
        f"the load average before it was {result.machine.load_before:.1f}."
    )


def _users(result: Result) -> str:
    labels = list(dict.fromkeys(_family(point.label) for point in result.points))
    first, *others = ((label, [point for point in result.points if _family(point.label) == label]) for label in labels)
    said = f"{first[0]} serves {_count(first[1])} at once with {TARGET}"
    return said + "".join(f"; {label} {_count(points)}" for label, points in others) + "."


def _family(label: str) -> str:
    """The settings of one peer are one server."""
    return label.split(" ")[0]


def _count(points: Sequence[Point]) -> str:
    count, most = users(points), max(point.num_clients for point in points)
    if count == 0:
        least = min(point.num_clients for point in points)
        return "not even 1 user" if least == 1 else f"fewer than {least} users"
    noun = "user" if count == 1 else "users"
    return f"{count} {noun} and maybe more" if count == most else f"{count} {noun}"


def history(now: Result, before: Sequence[Result]) -> list[tuple[str, ...]]:
    """Earlier results of the same work beside this one, oldest first: output of the first target, and the change."""
    rows: list[tuple[str, ...]] = [("when", "version", "clients", "tokens/s", "TTFT p50", "now")]
    for old in before:
        for point in _first_target(old):
            fresh = next((each for each in _first_target(now) if each.num_clients == point.num_clients), None)
            if fresh:
                change = fresh.summary.output_rate / point.summary.output_rate if point.summary.output_rate else 0.0
                rows.append(
                    (
                        old.when[:16].replace("T", " "),
                        old.version,
                        str(point.num_clients),
                        f"{point.summary.output_rate:.1f}",
                        time(point.summary.first_p50),
                        f"{change:.2f} times",
                    )
                )
    return rows


def _first_target(result: Result) -> list[Point]:
    return [point for point in result.points if point.label == result.points[0].label]


def time(seconds: float) -> str:
    """Three digits: `8.4ms`, `412ms`, `3.21s`."""
    if seconds >= 1:
        return f"{seconds:.3g}s"
    return f"{1000 * seconds:.3g}ms"


def _pair(middle: float, high: float) -> str:
    return f"{time(middle)}/{time(high)}"
