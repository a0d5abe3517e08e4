"""What the installer says: short lines on stderr, and the one exception that ends it. It decides nothing."""

import sys
from pathlib import Path


class Stop(Exception):
    """Ends the installer: one or a few sentences for the person, and the exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class StepFailed(Stop):
    """A command failed by itself; what it changed, it has taken back."""


def say(text: str) -> None:
    """One line for the person. stdout is left to the program that runs after the installation."""
    print(text, file=sys.stderr, flush=True)


def short(path: Path) -> str:
    """The path as a person writes it: below the home folder with a tilde."""
    try:
        return f"~/{path.relative_to(Path.home())}"
    except (ValueError, RuntimeError):
        return str(path)


def clock(seconds: float) -> str:
    """`0:07`, `12:30`."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
