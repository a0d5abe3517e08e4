"""How far a build is, read from what pip, CMake and ninja print, and when to say so. No clock, no output."""

import re
from dataclasses import dataclass

from talk import clock

_NINJA = re.compile(r"^\s*\[(\d+)/(\d+)\] ", re.M)
_MAKE = re.compile(r"^\s*\[ *(\d+)%\] ", re.M)
_PHASES = (
    ("Downloading ", "downloading"),
    ("Installing build dependencies: started", "fetching build tools"),
    ("*** Configuring CMake", "configuring"),
    ("*** Making wheel", "packing"),
)


@dataclass(slots=True)
class Progress:
    """The state of a build after the text it printed so far."""

    percent: int | None = None
    phase: str = ""
    _rest: str = ""

    def feed(self, text: str) -> None:
        """Takes the next piece of output; lines may be cut anywhere."""
        lines, _, self._rest = (self._rest + text).rpartition("\n")
        if match := _last(_NINJA, lines):
            self.percent, self.phase = 100 * int(match[1]) // max(1, int(match[2])), f"{match[1]} of {match[2]}"
        elif match := _last(_MAKE, lines):
            self.percent, self.phase = int(match[1]), ""
        for line in lines.splitlines():
            for sign, phase in _PHASES:
                if sign in line and (self.percent is None or phase == "packing"):
                    self.phase = phase

    def __str__(self) -> str:
        return ", ".join(
            [*([] if self.percent is None else [f"{self.percent} %"]), *([self.phase] if self.phase else [])]
        )


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    return next(reversed(list(pattern.finditer(text))), None)


@dataclass(slots=True)
class Ticker:
    """Decides when output that is not a terminal gets another line: every 10 %, and at least every 15 s of news."""

    _percent: int = 0
    _seconds: float = 0.0
    _said: str = ""

    def line(self, progress: Progress, seconds: float) -> str | None:
        """The line to print `seconds` after the start, or None."""
        text = str(progress)
        percent = progress.percent or 0
        if text in {"", self._said} or (percent < self._percent + 10 and seconds < self._seconds + 15):
            return None
        self._percent, self._seconds, self._said = percent - percent % 10, seconds, text
        return f"  {clock(seconds)}  {text}"
