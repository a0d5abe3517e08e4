"""How formats write one call of a tool, as a grammar of it. Nothing here knows a format: `tools/writing.py` does.

A syntax writes the calls of functions; a format may have several, all of one notation.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ollamapy.errors import InvalidInput
from ollamapy.modelfile.grammar.convert import Converter
from ollamapy.modelfile.grammar.gbnf import EMPTY, NOTHING, Expr, Ref, Text, alt, maybe, seq
from ollamapy.modelfile.grammar.notation import JSON, Notation
from ollamapy.modelfile.grammar.shapes import Conj
from ollamapy.modelfile.grammar.terminals import Terminals

_NAME = r"[\w.:/-]+"


@dataclass(frozen=True, slots=True)
class Function:
    """A tool that may be called: its name, its schema, and the same as what must hold for the arguments."""

    name: str
    parameters: dict[str, Any]
    conj: Conj


class Syntax(Protocol):
    """One way to write a call."""

    @property
    def notation(self) -> Notation:
        """How the arguments are written."""

    def arguments(self, converter: Converter, function: Function) -> Ref:
        """The rule of the function's arguments."""

    def call(self, converter: Converter, arguments: Mapping[str, Ref], offered: Sequence[str]) -> Expr:
        """A call of one of the functions in `arguments`, by their names. `offered` are the names of all tools.

        Raises InvalidInput for a name that no call can be written of.
        """


@dataclass(frozen=True, slots=True)
class JsonCall:
    """A JSON object, alone or in a list, between `start` and `end`: `{"name": …, "arguments": {…}}`.

    `keys` are names that the arguments may have; `lead` is a member that may come first.
    """

    start: str = ""
    end: str = ""
    name: str = "name"
    keys: tuple[str, ...] = ("arguments",)
    is_list: bool = False
    lead: str = ""
    notation: Notation = JSON

    def arguments(self, converter: Converter, function: Function) -> Ref:
        return converter.rule(function.conj)

    def call(self, converter: Converter, arguments: Mapping[str, Ref], offered: Sequence[str]) -> Expr:
        space = Terminals(converter.grammar).space()
        keys = seq(Text(","), space, alt(*(Text(f'"{key}":') for key in self.keys)), space)
        functions = [seq(Text(JSON.literal(name) or ""), keys, rule) for name, rule in arguments.items()]
        lead = maybe(seq(Text(self.lead), space)) if self.lead else EMPTY
        return self.framed(space, seq(lead, Text(f'"{self.name}":'), space, alt(*functions)))

    def framed(self, space: Expr, members: Expr) -> Expr:
        """An object of these members in the list, if it is one, and between start and end."""
        body = seq(Text("{"), space, members, space, Text("}"))
        value = seq(Text("["), space, body, space, Text("]")) if self.is_list else body
        return seq(
            Text(self.start), space if self.start else EMPTY, value, space if self.end else EMPTY, Text(self.end)
        )


@dataclass(frozen=True, slots=True)
class NamedCall:
    """A name, which `pattern` matches, and the arguments, with fixed texts around them."""

    start: str
    middle: str
    end: str = ""
    notation: Notation = JSON
    pattern: str = _NAME

    def arguments(self, converter: Converter, function: Function) -> Ref:
        return converter.rule(function.conj)

    def call(self, converter: Converter, arguments: Mapping[str, Ref], offered: Sequence[str]) -> Expr:
        functions = [seq(Text(plain(name, self.pattern) + self.middle), rule) for name, rule in arguments.items()]
        return seq(Text(self.start), alt(*functions), Text(self.end))


@dataclass(frozen=True, slots=True)
class PythonCall:
    """A call as Python writes it, `f(a=1, b="x")`, between two texts. The parser takes values as JSON writes them."""

    start: str
    end: str
    notation: Notation

    def arguments(self, converter: Converter, function: Function) -> Ref:
        terminals = Terminals(converter.grammar, Notation(never=self.notation.never, bare_key=r"\w+", colon="="))
        shapes = [shape.object for shape in converter.reader.shapes(function.conj) if shape.values is None]
        members = [converter.members(shape, function.conj[0].path, terminals) for shape in shapes if shape]
        brackets = (terminals.bracketed("(", body, ")") for body in members)
        return converter.grammar.add("arguments", alt(NOTHING, *brackets))

    def call(self, converter: Converter, arguments: Mapping[str, Ref], offered: Sequence[str]) -> Expr:
        functions = [seq(Text(plain(name, r"[^\W\d][\w.-]*")), rule) for name, rule in arguments.items()]
        return seq(Text(self.start), alt(*functions), Text(self.end))


def plain(name: str, pattern: str = _NAME) -> str:
    """`name`, if it can stand between marks. Raises InvalidInput."""
    if not re.fullmatch(pattern, name):
        raise InvalidInput(f"the model's format cannot write a call of {name!r}; use letters, digits and _ in a name")
    return name
