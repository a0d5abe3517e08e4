"""Shows on stderr how far long work has come: moving lines and bars on a terminal, else each new status once.

The bar's text is pure (`Meter`); rich only repaints the lines. Nothing here writes to stdout.
"""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from ollamapy.cli.render import width
from ollamapy.units import format_bytes
from ollamapy.wire.native import Progress

if TYPE_CHECKING:
    from rich.live import Live

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
FRAMES_PER_SECOND = 10
RATE_WINDOW_SECONDS = 10.0


def follow(lines: Iterable[Progress]) -> None:
    """Shows the lines of a pull or a create as they come."""
    with display() as shown:
        for line in lines:
            shown.update(line)


@contextmanager
def display() -> Iterator["Plain | Moving"]:
    """Where progress goes for the length of the block."""
    if not sys.stderr.isatty():
        yield Plain(sys.stderr)
        return
    shown = Moving()
    with _live(shown.render):
        try:
            yield shown
        finally:
            shown.is_over = True


@contextmanager
def waiting() -> Iterator["Wait"]:
    """A nameless spinner, on a terminal, until the block ends or its `done` is called."""
    if not sys.stderr.isatty():
        yield Wait(None)
        return
    with _live(lambda columns: [frame(time.monotonic())], transient=True) as live:
        yield Wait(live)


@dataclass(slots=True)
class Wait:
    """A spinner that can be taken away."""

    live: "Live | None"

    def done(self) -> None:
        if self.live:
            self.live.stop()
            self.live = None


def frame(now: float) -> str:
    """The spinner's picture at this time."""
    return FRAMES[int(now * FRAMES_PER_SECOND) % len(FRAMES)]


@dataclass(slots=True)
class Plain:
    """Each new status as one line, for logs and pipes."""

    stream: TextIO
    seen: set[str] = field(default_factory=set)

    def update(self, line: Progress) -> None:
        self.status(line.status)

    def status(self, text: str, detail: str = "") -> None:
        """`detail` changes often and is left out here."""
        if text not in self.seen:
            self.seen.add(text)
            print(text, file=self.stream, flush=True)


@dataclass(slots=True)
class Moving:
    """The lines on a terminal, in the order in which they came; the last status turns."""

    lines: dict[str, "Meter | str"] = field(default_factory=dict)
    is_over: bool = False

    def update(self, line: Progress) -> None:
        if not line.total and not line.digest:
            self.status(line.status)
        elif line.completed:
            meter = self.lines.get(line.status)
            if not isinstance(meter, Meter):
                meter = self.lines[line.status] = Meter(line.status)
            meter.update(time.monotonic(), line.completed, line.total)

    def status(self, text: str, detail: str = "") -> None:
        self.lines[text] = f"{text} {detail}".rstrip()

    def render(self, columns: int) -> list[str]:
        """The lines as they look now."""
        now = time.monotonic()
        shown = [line.text(now, columns) if isinstance(line, Meter) else line for line in self.lines.values()]
        last = next(reversed(self.lines.values()), None)
        if isinstance(last, str) and not self.is_over:
            shown[-1] = f"{last} {frame(now)}"
        return shown


@dataclass(slots=True)
class Meter:
    """How many bytes of how many have come, and how fast they came lately."""

    name: str
    total: int = 0
    samples: deque[tuple[float, int]] = field(default_factory=deque)

    def update(self, now: float, completed: int, total: int) -> None:
        self.total = max(total, completed)
        self.samples.append((now, completed))
        while len(self.samples) > 2 and self.samples[0][0] < now - RATE_WINDOW_SECONDS:
            self.samples.popleft()

    @property
    def completed(self) -> int:
        return self.samples[-1][1]

    def rate(self, now: float) -> float:
        """Bytes per second over the last seconds; what was there at the start does not count."""
        start, before = self.samples[0]
        return (self.completed - before) / (now - start) if now > start else 0.0

    def text(self, now: float, columns: int) -> str:
        """`<name>: <percent> ▕███   ▏ <completed>/<total>  <rate>/s  <left>`, as wide as the terminal."""
        share = self.completed / self.total
        head = f"{self.name}: {100 * share:3.0f}%"
        tail = self._tail(self.rate(now))
        room = max(0, columns - width(head) - len(tail) - 5)
        full = int(room * share)
        return f"{head} ▕{'█' * full}{' ' * (room - full)}▏ {tail}"

    def _tail(self, rate: float) -> str:
        if self.completed == self.total:
            return f"{format_bytes(self.total):>6}{'':25}"
        sizes = f"{format_bytes(self.completed):>6}/{format_bytes(self.total):>6}"
        if rate <= 0:
            return f"{sizes:31}"
        seconds_left = (self.total - self.completed) / rate
        return f"{sizes}  {format_bytes(int(rate)):>6}/s  {format_left(seconds_left):>6}"


def format_left(seconds: float) -> str:
    """A time to go: `59s`, `1m5s`, `1h3m`, `99h+`."""
    left = int(seconds)
    if left >= 100 * 3600:
        return "99h+"
    if left >= 3600:
        return f"{left // 3600}h{left % 3600 // 60}m"
    return f"{left // 60}m{left % 60}s" if left >= 60 else f"{left}s"


@contextmanager
def _live(render: Callable[[int], list[str]], transient: bool = False) -> Iterator["Live"]:
    """Repaints what `render` answers, ten times a second, until the block ends."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(file=sys.stderr, highlight=False)

    def paint() -> "Text":
        return Text("\n".join(render(console.width)), no_wrap=True, overflow="crop")

    with Live(
        get_renderable=paint,
        console=console,
        refresh_per_second=FRAMES_PER_SECOND,
        transient=transient,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as live:
        yield live
