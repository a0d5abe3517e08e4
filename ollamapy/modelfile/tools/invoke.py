"""MiniMax M2 and DeepSeek V3.2: calls as XML in one block, the names as attributes.

    <minimax:tool_call>
    <invoke name="NAME">
    <parameter name="KEY">VALUE</parameter>
    </invoke>
    </minimax:tool_call>

DeepSeek writes `｜DSML｜` in front of every name of an element, calls the block `function_calls`, and tells by
`string="true"` or `"false"` whether a value is bare text or JSON.
"""

import re
from collections.abc import Sequence
from functools import partial

from ollamapy.modelfile.tools.elements import Element, Syntax, Tag, schemas_of
from ollamapy.modelfile.tools.machine import Content, Machine, State, ToolParser
from ollamapy.wire.native import Tool

_ENDING = re.compile(r'"[^<>]{0,60}>')
_LONGEST = 62


def _syntax(block: str, prefix: str = "") -> Syntax:
    return Syntax(
        opening=f"<{prefix}{block}>",
        closing=f"</{prefix}{block}>",
        function=Tag(f'<{prefix}invoke name="', _ENDING, _LONGEST),
        parameter=Tag(f'<{prefix}parameter name="', _ENDING, _LONGEST),
        value_end=f"</{prefix}parameter>",
        end=f"</{prefix}invoke>",
        is_repeated=True,
    )


MINIMAX = _syntax("minimax:tool_call")
DSML = _syntax("function_calls", "｜DSML｜")


def marks_of(syntax: Syntax) -> tuple[str, ...]:
    """What may be single tokens. Of DeepSeek's elements it is the prefix."""
    return ("｜DSML｜",) if syntax is DSML else (syntax.opening, syntax.closing)


def new(tools: Sequence[Tool], syntax: Syntax = MINIMAX) -> ToolParser:
    """The parser for one answer."""
    schemas = schemas_of(tools)

    def enter(start: int) -> State:
        return Element(syntax, start, syntax.opening, schemas, content)

    content = Content({syntax.opening: enter})
    return Machine(content)


new_dsml = partial(new, syntax=DSML)
