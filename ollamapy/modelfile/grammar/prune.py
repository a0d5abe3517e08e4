"""Cleans a grammar: what no finite text can come out of goes, then what the root does not reach. Values in and out."""

from collections import defaultdict
from collections.abc import Mapping
from itertools import takewhile

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

_NUM_MERGES = 8
_MAX_FACTORS = 40
"""Alternatives inside alternatives that are looked at."""


def prune(rules: Mapping[str, Expr], root: str) -> dict[str, Expr]:
    """The rules that a text of `root` can use, root first; empty when there is no such text."""
    alive = productive(rules)
    if root not in alive:
        return {}
    clean = {name: _simplify(body, alive) for name, body in rules.items() if name in alive}
    short = _merged({name: _follow(body, clean) for name, body in clean.items()})
    return _reachable({name: factored(body) for name, body in short.items()}, root)


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


def _merged(rules: dict[str, Expr]) -> dict[str, Expr]:
    """The rules with references to equal ones made equal, as far as a few rounds find them."""
    for _ in range(_NUM_MERGES):
        firsts: dict[Expr, str] = {}
        same = {name: firsts.setdefault(body, name) for name, body in rules.items()}
        if len(firsts) == len(rules):
            break
        aliases: dict[str, Expr] = {n: Ref(first) if n != first else rules[n] for n, first in same.items()}
        rules = {name: _follow(rules[name], aliases) for name in rules}
    return rules


def factored(expr: Expr, level: int = 0) -> Expr:
    """`expr` with what alternatives have in common at their beginning written once: one way to go on, not many."""
    match expr:
        case Seq(parts):
            return seq(*(factored(part, level + 1) for part in parts))
        case Alt(options) if level < _MAX_FACTORS:
            groups: dict[Expr | str, list[tuple[Expr, ...]]] = {}
            for option in options:
                parts = option.parts if isinstance(option, Seq) else (option,)
                groups.setdefault(_head(parts), []).append(parts)
            return alt(*(_common_head(group, level) for group in groups.values()))
    return expr


def _head(parts: tuple[Expr, ...]) -> Expr | str:
    """What decides that alternatives begin alike: a part, or the first character of a text."""
    first = parts[0] if parts else EMPTY
    return first.value[:1] if isinstance(first, Text) else first


def _common_head(group: list[tuple[Expr, ...]], level: int) -> Expr:
    if len(group) == 1:
        return factored(Seq(group[0]), level)
    heads = list(takewhile(lambda parts: len(set(parts)) == 1, zip(*group, strict=False)))
    common: list[Expr] = [parts[0] for parts in heads]
    tails = [parts[len(heads) :] for parts in group]
    if all(tail and isinstance(tail[0], Text) for tail in tails):
        texts = [tail[0].value for tail in tails if isinstance(tail[0], Text)]
        size = len(list(takewhile(lambda chars: len(set(chars)) == 1, zip(*texts, strict=False))))
        common.append(Text(texts[0][:size]))
        tails = [(Text(text[size:]), *tail[1:]) for text, tail in zip(texts, tails, strict=True)]
    return seq(*common, factored(alt(*(seq(*tail) for tail in tails)), level + 1))


def _reachable(rules: Mapping[str, Expr], root: str) -> dict[str, Expr]:
    found: dict[str, Expr] = {}
    todo = [root]
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = rules[name]
            todo.extend(reversed(list(references(rules[name]))))
    return found
