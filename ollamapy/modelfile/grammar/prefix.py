"""Puts a fixed text before what a grammar accepts. Never changes the grammar's own rules."""

import re
from itertools import chain, count

from ollamapy.modelfile.grammar.budget import Budget
from ollamapy.modelfile.grammar.gbnf import Ref, Text, print_rules, seq

_NAME = re.compile(r"[A-Za-z0-9-]+")


def with_prefix(grammar: str, prefix: str, root: str = "root") -> tuple[str, str]:
    """The text of a grammar that accepts `prefix` and then what `grammar` accepts, and the rule to begin with.

    The new rule has a name that `grammar` does not use, and comes first: a grammar's last line may go on.
    """
    taken = set(_NAME.findall(grammar))
    names = chain(["start"], (f"start-{number}" for number in count(1)))
    start = next(name for name in names if name not in taken)
    return print_rules({start: seq(Text(prefix), Ref(root))}, Budget()) + grammar, start
