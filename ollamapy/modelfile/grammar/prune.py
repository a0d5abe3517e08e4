"""Cleans a grammar: what no finite text can come out of goes, then what the root does not reach. Values in and out."""

from collections import defaultdict
from collections.abc import Mapping

from ollamapy.modelfile.grammar.gbnf import (
    EMPTY,
    NOTHING,
    Alt,
    Chars,
    Expr,
    Ref,
    Repeat,
    Seq,
    Text,
    alt,
    references,
    seq,
    times,
)


def prune(rules: Mapping[str, Expr], root: str) -> dict[str, Expr]:
    """The rules that a text of `root` can use, root first; empty when there is no such text."""
    alive = productive(rules)
    if root not in alive:
        return {}
    clean = {name: _simplify(body, alive) for name, body in rules.items() if name in alive}
    short = {name: _follow(body, clean) for name, body in clean.items()}
    return _reachable(short, root)


def productive(rules: Mapping[str, Expr]) -> set[str]:
    """The rules out of which a finite text can come."""
    users: defaultdict[str, list[str]] = defaultdict(list)
    for name, body in rules.items():
        for used in references(body):
            users[used].append(name)
    alive: set[str] = set()
    todo = list(rules)
    while todo:
        name = todo.pop()
        if name not in alive and _is_productive(rules[name], alive):
            alive.add(name)
            todo.extend(users[name])
    return alive


def _is_productive(expr: Expr, alive: set[str]) -> bool:
    match expr:
        case Text() | Chars():
            return True
        case Ref(name):
            return name in alive
        case Seq(parts):
            return all(_is_productive(part, alive) for part in parts)
        case Alt(options):
            return any(_is_productive(option, alive) for option in options)
        case Repeat(body, low):
            return low == 0 or _is_productive(body, alive)


def _simplify(expr: Expr, alive: set[str]) -> Expr:
    """`expr` without the choices that lead nowhere."""
    match expr:
        case Ref(name):
            return expr if name in alive else NOTHING
        case Seq(parts):
            return seq(*(_simplify(part, alive) for part in parts))
        case Alt(options):
            return alt(*(_simplify(option, alive) for option in options))
        case Repeat(body, low, high):
            simple = _simplify(body, alive)
            return EMPTY if simple == NOTHING else times(simple, low, high)
    return expr


def _follow(expr: Expr, rules: Mapping[str, Expr]) -> Expr:
    """`expr` with references to rules that are references themselves cut short."""
    match expr:
        case Ref(name):
            return _end_of_chain(name, rules)
        case Seq(parts):
            return Seq(tuple(_follow(part, rules) for part in parts))
        case Alt(options):
            return Alt(tuple(_follow(option, rules) for option in options))
        case Repeat(body, low, high):
            return Repeat(_follow(body, rules), low, high)
    return expr


def _end_of_chain(name: str, rules: Mapping[str, Expr]) -> Ref:
    """Ends, because a rule that only leads to itself is not productive."""
    while isinstance(body := rules[name], Ref):
        name = body.name
    return Ref(name)


def _reachable(rules: Mapping[str, Expr], root: str) -> dict[str, Expr]:
    found: dict[str, Expr] = {}
    todo = [root]
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = rules[name]
            todo.extend(reversed(list(references(rules[name]))))
    return found
