"""Command R: `<|START_ACTION|>[{"tool_name": …, "parameters": {…}}]<|END_ACTION|>`; once a fenced list after `Action:`.

The marks around a reply are left out. Thinking stands between tags of its own and is not read here.
"""

from collections.abc import Sequence

from ollamapy.modelfile.tools.machine import Content, Machine, State, ToolParser
from ollamapy.modelfile.tools.tagged import JsonCalls, Syntax
from ollamapy.wire.native import Tool

REPLY_MARKS = ("<|START_RESPONSE|>", "<|END_RESPONSE|>")
MARKS = ("<|START_ACTION|>", "<|END_ACTION|>", *REPLY_MARKS)
_ACTION = Syntax("<|START_ACTION|>", "<|END_ACTION|>")
_FENCED = Syntax("Action:", "```", fence="```json", is_word=True)


def new(tools: Sequence[Tool]) -> ToolParser:
    """The parser for one answer."""
    return Machine(_CONTENT)


def _action(start: int) -> State:
    return JsonCalls(_ACTION, start, _CONTENT)


def _fenced(start: int) -> State:
    return JsonCalls(_FENCED, start, _CONTENT)


_CONTENT = Content({_ACTION.opening: _action, _FENCED.opening: _fenced}, REPLY_MARKS)
