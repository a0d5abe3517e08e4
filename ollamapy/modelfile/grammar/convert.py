"""Writes the grammar of a schema: one rule for every set of schemas that must hold at the same place.

Objects are written with their members in the order of the schema, members of other names last. Where a schema says
nothing about other members or items but names some, there are none: more would be valid, and no help.
"""

from collections import deque

from ollamapy.modelfile.grammar.automaton import Dfa, both, of_texts, others
from ollamapy.modelfile.grammar.gbnf import (
    EMPTY,
    NOTHING,
    Expr,
    Grammar,
    Ref,
    Text,
    alt,
    maybe,
    print_rules,
    seq,
)
from ollamapy.modelfile.grammar.literals import any_of
from ollamapy.modelfile.grammar.local import refuse
from ollamapy.modelfile.grammar.notation import JSON, Notation
from ollamapy.modelfile.grammar.numbers import Interval, digits_of
from ollamapy.modelfile.grammar.probe import probe
from ollamapy.modelfile.grammar.prune import productive, prune
from ollamapy.modelfile.grammar.reader import NEVER, Reader
from ollamapy.modelfile.grammar.shapes import Arrays, Conj, Objects, Shape, Strings
from ollamapy.modelfile.grammar.terminals import Terminals


class Converter:
    """Rules wait in a queue, so that the depth of a schema is no depth of calls."""

    def __init__(self, grammar: Grammar, notation: Notation = JSON) -> None:
        self.grammar = grammar
        self.reader = Reader(grammar.budget)
        self._notation = notation
        self._terminals = Terminals(grammar, notation)
        self._rules: dict[Conj, Ref] = {}
        self._waiting: deque[Conj] = deque()

    def rule(self, conj: Conj) -> Ref:
        """The rule for values that satisfy every schema of `conj`."""
        if not conj:
            return self._terminals.value()
        rule = self._rules.get(conj)
        if rule is None:
            rule = self._rules[conj] = self.grammar.reserve("v")
            self._waiting.append(conj)
        return rule

    def finish(self, root: Ref, body: Expr, needed: dict[str, Ref]) -> str:
        """The whole grammar from `root` on. `needed` are rules that must accept something, by the path to blame."""
        self.grammar.define(root, body)
        while self._waiting:
            conj = self._waiting.popleft()
            self.grammar.define(self._rules[conj], self._values(conj))
        alive = productive(self.grammar.rules)
        for path, rule in needed.items():
            if rule.name not in alive:
                refuse(path, "no value satisfies the schema")
        rules = prune(self.grammar.rules, root.name)
        probe(rules)
        return print_rules(rules, self.grammar.budget)

    def _values(self, conj: Conj) -> Expr:
        shapes = self.reader.shapes(conj)
        texts = [self._notation.literal(value) for shape in shapes for value in shape.values or ()]
        literals = any_of(self.grammar, [text for text in texts if text is not None])
        return alt(literals, *(self.shape(shape, conj[0].path) for shape in shapes if shape.values is None))

    def shape(self, shape: Shape, path: str) -> Expr:
        """Values of a shape that is no list of values."""
        return alt(
            self._object(shape.object, path) if shape.object else NOTHING,
            self._array(shape.array) if shape.array else NOTHING,
            self._string(shape.string) if shape.string else NOTHING,
            self._number(shape.number) if shape.number else NOTHING,
            self._terminals.boolean() if shape.boolean else NOTHING,
            Text("null") if shape.null else NOTHING,
        )

    def _number(self, interval: Interval) -> Expr:
        if interval.low is None and interval.high is None:
            return self._terminals.integer() if interval.is_whole else self._terminals.number()
        return self.grammar.shared(interval, "number", lambda: digits_of(interval))

    def _string(self, strings: Strings) -> Expr:
        if not strings.patterns:
            return self._terminals.string(strings.low, strings.high)
        automaton = self.reader.automaton
        return self.grammar.shared(strings, "text", lambda: self._terminals.string_of(automaton(strings)))

    # Arrays

    def _array(self, arrays: Arrays) -> Expr:
        if arrays == Arrays():
            return self._terminals.any_array()
        comma = self._comma()
        length = len(arrays.prefix) if arrays.high is None else min(len(arrays.prefix), arrays.high)
        low, high = max(arrays.low - length, 0), None if arrays.high is None else arrays.high - length
        if arrays.rest is None and arrays.prefix:
            high = low
        item = self.rule(arrays.rest or ())
        first, after = self._items(item, low, high), self._more(seq(comma, item), low, high)
        for index in reversed(range(length)):
            after = self._shared_end(after)
            item = self.rule(arrays.prefix[index])
            needed = index < arrays.low
            first = seq(item, after) if needed else maybe(seq(item, after))
            after = seq(comma, item, after) if needed else maybe(seq(comma, item, after))
        return self._terminals.bracketed("[", first, "]")

    def _items(self, item: Expr, low: int, high: int | None) -> Expr:
        """`low` to `high` items with commas between them."""
        if high == 0:
            return NOTHING if low else EMPTY
        more = self._more(seq(self._comma(), item), max(low - 1, 0), None if high is None else high - 1)
        return seq(item, more) if low else maybe(seq(item, more))

    def _more(self, item: Expr, low: int, high: int | None) -> Expr:
        if high == 0:
            return NOTHING if low else EMPTY
        return self.grammar.repeat(item, low, high)

    def _shared_end(self, expr: Expr) -> Expr:
        """A rule for what is used twice."""
        return expr if expr == EMPTY or isinstance(expr, Ref) else self.grammar.add("end", expr)

    def _comma(self) -> Expr:
        return seq(Text(","), self._terminals.space())

    # Objects

    def _object(self, objects: Objects, path: str) -> Expr:
        if objects == Objects():
            return self._terminals.any_object()
        return self._terminals.bracketed("{", self.members(objects, path, self._terminals), "}")

    def members(self, objects: Objects, path: str, terminals: Terminals) -> Expr:
        """The members with commas between them; `terminals` write the names."""
        named = self.named(objects)
        is_open = objects.rest is not None or all(conj == NEVER for _, conj in objects.properties)
        low, high = self.num_others(objects, named, path, is_open)
        other = self._other(objects, terminals) if is_open else NOTHING
        first = self._items(other, low, high)
        after = self._more(seq(self._comma(), other), low if objects.required else 0, high)
        for name, conj in reversed(named):
            member = seq(terminals.key(name), self.rule(conj))
            if name in objects.required:
                first, after = seq(member, after), seq(self._comma(), member, after)
            else:
                after = self._shared_end(after)
                first, after = alt(seq(member, after), first), seq(maybe(seq(self._comma(), member)), after)
        return first

    def named(self, objects: Objects) -> list[tuple[str, Conj]]:
        """The members with names of their own, those that are only required last. All obey `propertyNames`."""
        required = sorted(objects.required - set(dict(objects.properties)))
        members = [*objects.properties, *((name, objects.rest or ()) for name in required)]
        return [
            (name, conj if not objects.names or self.reader.allows(objects.names, name) else NEVER)
            for name, conj in members
        ]

    def num_others(
        self, objects: Objects, named: list[tuple[str, Conj]], path: str, is_open: bool
    ) -> tuple[int, int | None]:
        """How many other members there may be, so that the number of all members is within its bounds.

        The names of two other members could be the same, so one at most can be made to count.
        """
        num_required = len(objects.required)
        num_optional = sum(name not in objects.required and conj != NEVER for name, conj in named)
        low = max(objects.low - num_required, 0)
        if low > 1 or (low and num_required and num_optional):
            refuse(path, f'"minProperties" {objects.low} is not supported for this object')
        if objects.high is None:
            return low, None if is_open else 0
        room = objects.high - num_required - num_optional
        if room < 0:
            refuse(path, f'"maxProperties" {objects.high} is not supported with more optional members')
        return low, room if is_open else 0

    def _other(self, objects: Objects, terminals: Terminals) -> Expr:
        """A member of a name that is not taken."""
        taken = sorted({*dict(objects.properties), *objects.required})
        options = []
        for shape in self.reader.shapes(objects.names):
            if shape.values is not None:
                options += [terminals.key(v) for v in shape.values if isinstance(v, str) and v not in taken]
            elif shape.string and not taken and not shape.string.patterns:
                options.append(terminals.key_of(None, shape.string.low, shape.string.high))
            elif shape.string:
                options.append(terminals.key_of(self.free_names(shape.string, taken)))
        return seq(alt(*options), self.rule(objects.rest or ()))

    def free_names(self, strings: Strings, taken: list[str]) -> Dfa:
        """Accepts the names that `strings` allows and that are not taken."""
        free = others(of_texts(taken, self.grammar.budget))
        return free if strings == Strings() else both(free, self.reader.automaton(strings), self.grammar.budget)
