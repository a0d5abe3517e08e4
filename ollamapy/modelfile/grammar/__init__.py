"""From JSON schemas and tools to grammars (GBNF text) that an engine holds an answer to. Values in, text out.

    schema_to_grammar   a value that satisfies a schema
    json_grammar        any JSON object
    tool_call_grammar   a valid call of an offered tool
    check_grammar       whether a stranger's GBNF text is safe to hand to an engine
    with_prefix         a text before what a grammar accepts

Never imports an engine. Whatever the input, it ends within about a second, with a grammar or with InvalidInput.
"""

from typing import Any

from ollamapy.errors import InvalidInput
from ollamapy.modelfile.grammar.budget import Budget
from ollamapy.modelfile.grammar.check import check_grammar
from ollamapy.modelfile.grammar.convert import Converter
from ollamapy.modelfile.grammar.gbnf import Grammar, print_rules
from ollamapy.modelfile.grammar.prefix import with_prefix
from ollamapy.modelfile.grammar.prune import prune
from ollamapy.modelfile.grammar.shapes import Place
from ollamapy.modelfile.grammar.survey import survey
from ollamapy.modelfile.grammar.terminals import Terminals
from ollamapy.modelfile.grammar.tools import tool_call_grammar

__all__ = ["check_grammar", "json_grammar", "schema_to_grammar", "tool_call_grammar", "with_prefix"]


def schema_to_grammar(schema: Any, *, where: str = "format") -> str:
    """The GBNF text, root rule "root", of JSON values that satisfy `schema`, members in the order of the schema.

    Raises InvalidInput that begins with `where` and says which keyword cannot be held, or what is too large.
    """
    try:
        survey(schema)
        grammar = Grammar(Budget())
        root = grammar.reserve("root")
        converter = Converter(grammar)
        rule = converter.rule((Place("$", schema, schema),))
        return converter.finish(root, rule, {"$": rule})
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error.message}") from error


def json_grammar() -> str:
    """The GBNF text, root rule "root", of any JSON object."""
    grammar = Grammar(Budget())
    root = grammar.reserve("root")
    grammar.define(root, Terminals(grammar).any_object())
    return print_rules(prune(grammar.rules, "root"), grammar.budget)
