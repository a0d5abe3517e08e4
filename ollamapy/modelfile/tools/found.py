"""What is found in a model's answer: content, thinking, calls of tools. Values only."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool; `arguments` keep the order in which the model wrote them."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """A part of an answer; all of it may be empty. `warnings` say what could not be read as a call, and why."""

    content: str = ""
    thinking: str = ""
    calls: tuple[Call, ...] = ()
    warnings: tuple[str, ...] = ()


def join(parts: Iterable[Found]) -> Found:
    """The parts of an answer as one."""
    kept = tuple(parts)
    return Found(
        "".join(part.content for part in kept),
        "".join(part.thinking for part in kept),
        tuple(call for part in kept for call in part.calls),
        tuple(warning for part in kept for warning in part.warnings),
    )
