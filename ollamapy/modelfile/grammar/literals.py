"""Texts that are known in advance, as a grammar without two ways through their common beginnings."""

import json
from collections.abc import Iterable
from functools import partial
from itertools import groupby
from typing import Any

from ollamapy.modelfile.grammar.gbnf import EMPTY, NOTHING, Expr, Grammar, Ref, Text, alt, seq


def json_text(value: Any) -> str:
    """How the one JSON text of `value` is written: only what UTF-8 cannot hold is escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(f"\\u{ord(char):04x}" if "\ud800" <= char <= "\udfff" else char for char in text)


def any_of(grammar: Grammar, texts: Iterable[str]) -> Expr:
    """One of `texts`."""
    unique = sorted(set(texts))
    if not unique:
        return NOTHING
    grammar.budget.spend("characters", sum(map(len, unique)))
    if len(unique) == 1:
        return Text(unique[0])
    root = grammar.reserve("literal")
    todo: list[tuple[Ref, list[str], int]] = [(root, unique, 0)]
    while todo:
        rule, group, start = todo.pop()
        end = start + _num_common(group[0], group[-1], start)
        options: list[Expr] = []
        for _, branch in groupby(group, key=partial(_char_at, end)):
            same = list(branch)
            if len(same) == 1:
                options.append(Text(same[0][end:]) if same[0][end:] else EMPTY)
            else:
                rest = grammar.reserve("literal")
                todo.append((rest, same, end))
                options.append(rest)
        grammar.define(rule, seq(Text(group[0][start:end]), alt(*options)))
    return root


def _num_common(left: str, right: str, start: int) -> int:
    """How many characters from `start` on are the same."""
    end = start
    while end < len(left) and left[end : end + 1] == right[end : end + 1]:
        end += 1
    return end - start


def _char_at(index: int, text: str) -> str:
    return text[index : index + 1]
