"""A valid call of an offered tool, in the syntax that a model writes calls in.

A new syntax is one more entry of `STYLES`; nothing else knows them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ollamapy.errors import InvalidInput
from ollamapy.modelfile.grammar import terminals
from ollamapy.modelfile.grammar.budget import Budget
from ollamapy.modelfile.grammar.convert import Converter
from ollamapy.modelfile.grammar.gbnf import Grammar, Text, alt, seq
from ollamapy.modelfile.grammar.literals import json_text
from ollamapy.modelfile.grammar.shapes import Conj, Place
from ollamapy.modelfile.grammar.survey import survey

_OBJECT: dict[str, Any] = {"type": "object"}


@dataclass(frozen=True, slots=True)
class Style:
    """How a call is written: a JSON object of these two members, between `start` and `end`."""

    start: str = ""
    end: str = ""
    name: str = "name"
    arguments: str = "arguments"


STYLES = {
    "json": Style(),
    "hermes": Style("<tool_call>\n", "\n</tool_call>"),
    "llama": Style(arguments="parameters"),
    "mistral": Style("[TOOL_CALLS][", "]"),
}


def tool_call_grammar(tools: Sequence[Any], style: str, *, name: str = "") -> str:
    """The GBNF text of one call of a tool of `tools`, of the one called `name` if given; root rule "root".

    Raises InvalidInput for a tool or a schema that no grammar holds; ValueError for an unknown style.
    """
    if style not in STYLES:
        raise ValueError(f"unknown style of tool calls: {style!r}")
    try:
        return _grammar(_functions(tools, name), STYLES[style])
    except InvalidInput as error:
        raise InvalidInput(f"tools: {error.message}") from error


def _functions(tools: Sequence[Any], wanted: str) -> dict[str, Conj]:
    """The schemas of the arguments by the name of the function."""
    found: dict[str, Conj] = {}
    for index, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        if not function or not isinstance(name, str) or not name:
            raise InvalidInput(f"[{index}] must be an object with a function that has a name")
        if wanted in ("", name):
            found[name] = _arguments(function, index)
    if not found:
        raise InvalidInput(f"there is no tool {wanted!r}" if wanted else "there is no tool to call")
    return found


def _arguments(function: dict[str, Any], index: int) -> Conj:
    path = f"[{index}].function.parameters"
    schema = function.get("parameters") or {}
    survey(schema)
    return Place(path, schema, schema), Place(path, _OBJECT, _OBJECT)


def _grammar(functions: dict[str, Conj], style: Style) -> str:
    grammar = Grammar(Budget())
    root = grammar.reserve("root")
    converter = Converter(grammar)
    space = terminals.space(grammar)
    between = seq(Text(","), space, Text(f"{json_text(style.arguments)}:"), space)
    calls = [seq(Text(json_text(name)), between, converter.rule(conj)) for name, conj in functions.items()]
    start = seq(Text(style.start + "{"), space, Text(f"{json_text(style.name)}:"), space)
    body = seq(start, alt(*calls), space, Text("}" + style.end))
    return converter.finish(root, body, {conj[0].path: conj for conj in functions.values()})
