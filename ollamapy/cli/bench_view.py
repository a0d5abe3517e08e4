"""Shows on stderr how a benchmark goes: a table that grows on a terminal, else a line for each thing that begins."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ollamapy.bench import report
from ollamapy.bench.load import Load
from ollamapy.bench.result import Point
from ollamapy.cli import progress

if TYPE_CHECKING:
    from rich.table import Table

REPAINTS_PER_SECOND = 2
"""Painting takes time from the server that is measured."""


class View:
    """A Watcher of one benchmark."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._stage = ""
        self._points: list[Point] = []
        self._is_live = sys.stderr.isatty()

    def began(self, text: str) -> None:
        self._stage = text
        if not self._is_live:
            print(text, file=sys.stderr, flush=True)

    def ended(self, point: Point) -> None:
        self._points.append(point)

    @contextmanager
    def shown(self) -> Iterator["View"]:
        """Repaints until the block ends, and leaves nothing behind: the result's table comes after it."""
        if not self._is_live:
            yield self
            return
        from rich.console import Console
        from rich.live import Live

        console = Console(file=sys.stderr, highlight=False)
        with Live(
            get_renderable=self.render,
            console=console,
            refresh_per_second=REPAINTS_PER_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        ):
            yield self

    def render(self) -> "Table":
        from rich.table import Table

        head, *rows = report.table(self._points)
        table = Table(*head, box=None, pad_edge=False, caption=self._now(), caption_justify="left")
        for row in rows:
            table.add_row(*row)
        return table

    def _now(self) -> str:
        meter = self._load.meter
        seconds = time.perf_counter() - meter.began if meter.num_running else 0.0
        rate = meter.num_pieces / seconds if seconds > 0 else 0.0
        flow = f"{meter.num_running} running, {meter.num_pieces} tokens, {rate:.0f}/s" if meter.num_running else ""
        return f"{self._stage}  {flow} {progress.frame(time.monotonic())}"
