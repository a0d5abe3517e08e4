"""What a test sees of a command."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str


Cli = Callable[..., Result]
"""Runs a command: words, and `stdin` as text."""
