"""Calls with an element for each argument, in which strings stand as they are: a `Syntax` of `calls`.

A parser reads the value of an argument as the first of the schema's types that fits its text. So every string must be
one that it takes for nothing else, and a value of another type must be of one that the schema names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ollamapy.modelfile.grammar import regex
from ollamapy.modelfile.grammar.automaton import Dfa, both, of_pattern, others
from ollamapy.modelfile.grammar.calls import Function, plain
from ollamapy.modelfile.grammar.convert import Converter
from ollamapy.modelfile.grammar.gbnf import NOTHING, Expr, Ref, Text, alt, maybe, seq
from ollamapy.modelfile.grammar.literals import any_of
from ollamapy.modelfile.grammar.notation import Notation
from ollamapy.modelfile.grammar.numbers import Interval, common
from ollamapy.modelfile.grammar.shapes import Conj, Objects, Shape, Strings
from ollamapy.modelfile.grammar.terminals import MAX_COUNTED, Terminals
from ollamapy.modelfile.tools.typed import typed_value, types_of

_KEY = r"^[^\s<>\"]+$"
_NUMBER = r"-?[0-9]"
_STARTS = {
    "null": r"[nN]([uU][lL][lL]|[oO][nN][eE])",
    "boolean": r"([tT][rR][uU]|[fF][aA][lL][sS])[eE]",
    "integer": _NUMBER,
    "number": _NUMBER,
    "array": r"\[",
    "object": r"\{",
}
"""What the texts begin with that are read as values of these types."""
_ENDS = {
    "null": r"[\s\x85]*$",
    "boolean": r"[\s\x85]*$",
    "integer": r"[0-9]*(\.[0-9]+)?([eE][+-]?[0-9]+)?[\s\x85]*$",
    "number": r"[0-9]*(\.[0-9]+)?([eE][+-]?[0-9]+)?[\s\x85]*$",
}
"""How they go on to the end, for strings that are not counted."""
_MAX_EXACT = 8
"""Strings that are counted further are refused by how they begin: an automaton that does both would be too large."""
_LEADING_SPACE = r"^[\s\x85]"


@dataclass(frozen=True, slots=True)
class ElementCall:
    """`start`, the name, `middle`, for each argument `key`, its name, `value`, the value, `value_end`; then `end`."""

    start: str
    middle: str
    key: str
    value: str
    value_end: str
    end: str
    json_value: str = ""
    """Stands for `value` before values that are no strings, where the format tells them apart itself."""

    @property
    def notation(self) -> Notation:
        """Of values that are no strings."""
        return Notation(never=(self._closing,))

    @property
    def _closing(self) -> str:
        return self.value_end.strip()

    def call(self, converter: Converter, arguments: Mapping[str, Ref], offered: Sequence[str]) -> Expr:
        functions = [seq(Text(plain(name) + self.middle), rule) for name, rule in arguments.items()]
        return seq(Text(self.start), alt(*functions), Text(self.end))

    def arguments(self, converter: Converter, function: Function) -> Ref:
        return converter.grammar.add("arguments", _Arguments(self, converter, function).expr())


class _Arguments:
    """Writes the elements of one function's arguments."""

    def __init__(self, syntax: ElementCall, converter: Converter, function: Function) -> None:
        self._syntax = syntax
        self._converter = converter
        self._function = function
        self._bare = Notation(quote="", has_escapes=False, never=syntax.notation.never)
        self._terminals = Terminals(converter.grammar, self._bare)

    def expr(self) -> Expr:
        shapes = self._converter.reader.shapes(self._function.conj)
        return alt(
            NOTHING, *(self._elements(shape.object) for shape in shapes if shape.values is None and shape.object)
        )

    def _elements(self, objects: Objects) -> Expr:
        """The arguments that the schema names, in its order, then others if it speaks of none."""
        named = self._converter.named(objects)
        path = self._function.conj[0].path
        is_open = not named if objects.rest is None else self._takes_text(objects.rest)
        low, high = self._converter.num_others(objects, named, path, is_open)
        parts = [self._argument(objects, name, conj) for name, conj in named]
        other = self._other(objects) if is_open else NOTHING
        return seq(*parts, self._converter.grammar.repeat(other, low, high))

    def _argument(self, objects: Objects, name: str, conj: Conj) -> Expr:
        is_writable = bool(name) and name == name.strip() and not set('<>"\n') & set(name)
        argument = self._named(name, conj) if is_writable else NOTHING
        return argument if name in objects.required else maybe(argument)

    def _named(self, name: str, conj: Conj) -> Expr:
        strings: list[Expr] = [NOTHING]
        jsons: list[Expr] = [NOTHING]
        types = types_of(self._function.parameters, name)
        for shape in self._converter.reader.shapes(conj):
            if shape.values is not None:
                strings.append(self._literals([v for v in shape.values if isinstance(v, str)], types))
                jsons.append(self._literals([v for v in shape.values if not isinstance(v, str)], types))
            else:
                strings.append(self._string(shape.string, types) if shape.string else NOTHING)
                jsons.append(self._converter.shape(self._readable(shape, types), conj[0].path if conj else "$"))
        return alt(self._element(Text(name), alt(*strings)), self._element(Text(name), alt(*jsons), is_string=False))

    def _other(self, objects: Objects) -> Expr:
        """An argument that the schema does not name, which is read as a string."""
        budget = self._converter.grammar.budget
        taken = sorted({*dict(objects.properties), *objects.required})
        free = self._converter.free_names(Strings(), taken)
        if objects.names:
            return NOTHING
        name = self._terminals.string_of(both(free, of_pattern(regex.parse(_KEY), budget), budget))
        return self._element(name, self._terminals.string())

    def _element(self, name: Expr, value: Expr, *, is_string: bool = True) -> Expr:
        syntax = self._syntax
        start = syntax.value if is_string else syntax.json_value or syntax.value
        return seq(Text(syntax.key), name, Text(start), value, Text(syntax.value_end))

    def _takes_text(self, conj: Conj) -> bool:
        shapes = self._converter.reader.shapes(conj)
        return any(shape.values is None and shape.string == Strings() for shape in shapes)

    # Values

    def _literals(self, values: list[Any], types: tuple[str, ...]) -> Expr:
        texts = (self._literal(value, types) for value in values)
        return any_of(self._converter.grammar, [text for text in texts if text is not None])

    def _literal(self, value: Any, types: tuple[str, ...]) -> str | None:
        """The text that is read as `value`, if there is one."""
        notation = self._bare if isinstance(value, str) else self._syntax.notation
        text = notation.literal(value)
        if text is None or self._syntax.json_value:
            return text
        found = typed_value(text, types)
        return text if found == value and isinstance(found, str) == isinstance(value, str) else None

    def _string(self, strings: Strings, types: tuple[str, ...]) -> Expr:
        """A bare string that is read as nothing else."""
        types = () if self._syntax.json_value else tuple(sorted({*types} & {*_STARTS}))
        if not strings.patterns and not types:
            return self._terminals.string(strings.low, strings.high)
        key = (self._bare, strings, types)
        return self._converter.grammar.shared(key, "text", lambda: self._unmistakable(strings, types))

    def _unmistakable(self, strings: Strings, types: tuple[str, ...]) -> Expr:
        """A string of these that is read as none of `types`."""
        dfa, length = self._converter.reader.automaton(strings), max(strings.low, strings.high or 0)
        ends = _ENDS if length <= _MAX_EXACT else {}
        patterns = [f"^{_STARTS[name]}{ends.get(name, '')}" for name in types]
        is_long = not strings.patterns and length > MAX_COUNTED
        if is_long:
            patterns.append(f"[{self._bare.signs}]")
        for pattern in dict.fromkeys((*patterns, *([_LEADING_SPACE] if types else []))):
            dfa = self._without(dfa, pattern)
        return self._terminals.string_of(dfa, is_harmless=is_long)

    def _without(self, dfa: Dfa, pattern: str) -> Dfa:
        budget = self._converter.grammar.budget
        return both(dfa, others(of_pattern(regex.parse(pattern), budget)), budget)

    def _readable(self, shape: Shape, types: tuple[str, ...]) -> Shape:
        """What `shape` allows besides strings, of the types that are read."""
        if self._syntax.json_value:
            return replace(shape, string=None)
        whole = Interval(is_whole=True)
        number = shape.number if "number" in types else shape.number and common(shape.number, whole)
        return replace(
            shape,
            null=shape.null and "null" in types,
            boolean=shape.boolean and "boolean" in types,
            number=number if {"number", "integer"} & set(types) else None,
            string=None,
            array=shape.array if "array" in types else None,
            object=shape.object if "object" in types else None,
        )
