"""Draws a benchmark as a PNG: output and time to the first token over the number of clients. The door of matplotlib."""

from pathlib import Path

from ollamapy.bench.result import Result
from ollamapy.errors import Unsupported


def check() -> None:
    """Raises Unsupported when matplotlib is not installed, before anything is measured for nothing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise Unsupported("--plot needs matplotlib", hint="pip install 'ollamapy[bench]'") from error


def draw(result: Result, path: Path) -> None:
    """Writes the file. Raises OSError."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    rates, firsts = figure.subplots(1, 2)
    lines: dict[str, list[tuple[int, float, float]]] = {}
    for point in result.points:
        family = point.label.split(" ")[0]
        found = point.summary
        lines.setdefault(family, []).append((point.num_clients, found.output_rate, 1000 * found.first_p50))
    for label, points in lines.items():
        counts, tokens, milliseconds = zip(*sorted(points), strict=True)
        rates.plot(counts, tokens, marker="o", label=label)
        firsts.plot(counts, milliseconds, marker="o", label=label)
    for axes, title in ((rates, "output tokens/s"), (firsts, "time to the first token, p50, ms")):
        axes.set_title(title)
        axes.set_xlabel("clients")
        axes.set_ylim(0, 1.1 * axes.get_ylim()[1])
        axes.set_xticks(sorted({point.num_clients for point in result.points}))
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(f"{result.model}, {result.machine.processor}, {result.machine.num_cores} cores")
    figure.savefig(path, format="png", dpi=120)
