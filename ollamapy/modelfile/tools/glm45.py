"""GLM 4.5 to 4.7: a call as XML, a pair of elements for each argument. The line breaks may be missing.

<tool_call>NAME
<arg_key>KEY</arg_key>
<arg_value>VALUE</arg_value>
</tool_call>
"""

import re
from collections.abc import Sequence

from ollamapy.modelfile.tools.elements import Element, Syntax, Tag, schemas_of
from ollamapy.modelfile.tools.machine import Content, Machine, State, ToolParser
from ollamapy.wire.native import Tool

OPENING, _CLOSING = "<tool_call>", "</tool_call>"
MARKS = (OPENING, _CLOSING, "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>")
_SYNTAX = Syntax(
    opening=OPENING,
    closing="",
    function=Tag("", re.compile(r"\s{0,8}(?=<)"), 10),
    parameter=Tag("<arg_key>", re.compile(r"</arg_key>\s{0,8}<arg_value>"), 30),
    value_end="</arg_value>",
    end=_CLOSING,
)


def new(tools: Sequence[Tool]) -> ToolParser:
    """The parser for one answer."""
    schemas = schemas_of(tools)

    def enter(start: int) -> State:
        return Element(_SYNTAX, start, OPENING, schemas, content)

    content = Content({OPENING: enter})
    return Machine(content)
