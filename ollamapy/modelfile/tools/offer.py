"""Reads `tool_choice`: which tools a model is shown, and whether it must call one. Pure.

"auto", absent                                         all are shown
"none"                                                 none is shown
"required"                                             all are shown, one must be called
{"type": "function", "function": {"name": "f"}}        all are shown, f must be called
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ollamapy.errors import InvalidInput
from ollamapy.wire.native import Tool

_FORMS = '"auto", "none", "required" or {"type": "function", "function": {"name": "a tool"}}'
_MAX_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Offer:
    """The tools that the model is shown, and the names of those of which it must call one; without names it may."""

    tools: tuple[Tool, ...] = ()
    must_call: tuple[str, ...] = ()


def read_offer(tools: Sequence[Tool], choice: Any) -> Offer:
    """What a request's `tools` and `tool_choice` ask for. Raises InvalidInput."""
    names = tuple(tool.function.name for tool in tools)
    match choice:
        case None | "auto":
            return Offer(tuple(tools))
        case "none":
            return Offer()
        case "required":
            if not tools:
                raise InvalidInput('tool_choice "required" needs tools', hint="send tools, or leave tool_choice out")
            return Offer(tuple(tools), names)
        case {"type": "function", "function": {"name": str(name)}}:
            if name not in names:
                offered = f"offered are {', '.join(map(json.dumps, names))}" if names else "no tools are offered"
                raise InvalidInput(f"tool_choice names the tool {_shown(name)}, and {offered}")
            return Offer(tuple(tools), (name,))
    raise InvalidInput(f"tool_choice must be {_FORMS}, found {_shown(choice)}")


def _shown(value: Any) -> str:
    return json.dumps(value)[:_MAX_SHOWN]
