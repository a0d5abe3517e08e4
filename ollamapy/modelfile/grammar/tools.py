"""A valid call of an offered tool, in the syntax that a model writes calls in."""

from collections.abc import Collection, Sequence
from typing import Any

from ollamapy.errors import InvalidInput
from ollamapy.modelfile.grammar.budget import Budget
from ollamapy.modelfile.grammar.calls import Function, Syntax
from ollamapy.modelfile.grammar.convert import Converter
from ollamapy.modelfile.grammar.gbnf import Grammar, alt
from ollamapy.modelfile.grammar.shapes import Place
from ollamapy.modelfile.grammar.survey import survey
from ollamapy.wire.native import Tool

_OBJECT: dict[str, Any] = {"type": "object"}
_NO_ARGUMENTS: dict[str, Any] = {"type": "object", "maxProperties": 0}
_SAYS_NOTHING = frozenset({"type", "properties", "required", "title", "description", "$schema", "strict"})


def tool_call_grammar(tools: Sequence[Tool], syntaxes: Sequence[Syntax], *, names: Collection[str] = ()) -> str:
    """The GBNF text, root rule "root", of one call of a tool of `tools`, of one in `names` if there are any.

    `syntaxes` are ways to write it, all of one notation. Raises InvalidInput for a tool, a name or a schema that no
    grammar holds.
    """
    try:
        return _grammar([tool.function.name for tool in tools], _functions(tools, names), syntaxes)
    except InvalidInput as error:
        raise InvalidInput(f"tools: {error.message}") from error


def _functions(tools: Sequence[Tool], wanted: Collection[str]) -> list[Function]:
    """The functions that may be called; of two with one name the last."""
    found: dict[str, Function] = {}
    for index, tool in enumerate(tools):
        name = tool.function.name
        if not name:
            raise InvalidInput(f"[{index}] has no name")
        if not wanted or name in wanted:
            found[name] = _function(name, tool.function.parameters, f"[{index}].function.parameters")
    if not found:
        raise InvalidInput("there is no tool to call")
    return list(found.values())


def _function(name: str, parameters: dict[str, Any], path: str) -> Function:
    schema = _NO_ARGUMENTS if _is_without_arguments(parameters) else parameters
    survey(schema)
    return Function(name, schema, (Place(path, schema, schema), Place(path, _OBJECT, _OBJECT)))


def _is_without_arguments(schema: dict[str, Any]) -> bool:
    """True for what people write who mean none, although any object satisfies it."""
    names_none = "properties" in schema and not schema["properties"] and not schema.get("required")
    return not schema or (names_none and schema.keys() <= _SAYS_NOTHING)


def _grammar(offered: Sequence[str], functions: Sequence[Function], syntaxes: Sequence[Syntax]) -> str:
    grammar = Grammar(Budget())
    root = grammar.reserve("root")
    converter = Converter(grammar, syntaxes[0].notation)
    arguments = {function.name: syntaxes[0].arguments(converter, function) for function in functions}
    body = alt(*(syntax.call(converter, arguments, offered) for syntax in syntaxes))
    return converter.finish(root, body, {f.conj[0].path: arguments[f.name] for f in functions})
