"""Qwen 3 Coder, Qwen 3.5, Nemotron 3, Seed OSS: a call as XML, one element for each argument.

    <tool_call>
    <function=NAME>
    <parameter=KEY>
    VALUE
    </parameter>
    </function>
    </tool_call>

These models leave out `<tool_call>` at times: `<function=` alone opens a call only when it names an offered tool, else
it is content like any other.
"""

import re
from collections.abc import Sequence

from ollamapy.modelfile.tools.elements import Element, Syntax, Tag, schemas_of
from ollamapy.modelfile.tools.machine import Content, Enter, Machine, ToolParser
from ollamapy.wire.native import Tool

MARKS = ("<tool_call>", "</tool_call>", "<seed:tool_call>", "</seed:tool_call>")
_ENDING = re.compile(">")
_FUNCTION, _PARAMETER = Tag("<function=", _ENDING, 1), Tag("<parameter=", _ENDING, 1)


def _syntax(opening: str, closing: str) -> Syntax:
    return Syntax(opening, closing, _FUNCTION, _PARAMETER, "</parameter>", "</function>", has_lines=True)


_QWEN, _SEED = _syntax(*MARKS[:2]), _syntax(*MARKS[2:])


def new(tools: Sequence[Tool]) -> ToolParser:
    """The parser for one answer."""
    schemas = schemas_of(tools)

    def enter(syntax: Syntax, mark: str) -> Enter:
        return lambda start: Element(syntax, start, mark, schemas, content, is_sure=bool(mark))

    marks = {syntax.opening: enter(syntax, syntax.opening) for syntax in (_QWEN, _SEED)}
    content = Content({**marks, _FUNCTION.opening: enter(_QWEN, "")})
    return Machine(content)
