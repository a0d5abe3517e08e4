"""A parsed template: what it names, and running it. Parsing is cached by the text."""

from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache
from typing import Any

from ollamapy.modelfile.gotemplate import nodes
from ollamapy.modelfile.gotemplate.executor import Program
from ollamapy.modelfile.gotemplate.functions import NAMES
from ollamapy.modelfile.gotemplate.parser import parse_trees


class Template:
    """The trees of one text. A value: executing changes nothing, so threads may share it."""

    def __init__(self, source: str, trees: Mapping[str, nodes.Block]) -> None:
        self.source = source
        self.trees = trees
        self.identifiers = _identifiers(trees)
        self._program = Program(source, trees)

    @property
    def root(self) -> nodes.Block:
        """The main template."""
        return self.trees[""]

    def with_root(self, root: nodes.Block) -> "Template":
        """The same with another main template."""
        return Template(self.source, {**self.trees, "": root})

    def execute(self, data: Any, *, today: Callable[[], date] = date.today) -> str:
        """What the template writes for `data`: dicts, lists, strings, numbers, booleans, None and Records.

        Raises TemplateError with Go's words when it fails, or when it breaks a bound. `today` is asked when the
        template wants the date.
        """
        return self._program.execute(data, today)


@lru_cache(maxsize=64)
def parse(text: str) -> Template:
    """The template written in `text`. Raises TemplateError with Go's words."""
    return Template(text, parse_trees(text, NAMES))


def _identifiers(trees: Mapping[str, nodes.Block]) -> frozenset[str]:
    """The names of fields and variables that are read, in lower case."""
    found: set[str] = set()
    for tree in trees.values():
        for node in nodes.walk(tree):
            if isinstance(node, nodes.Field | nodes.Variable):
                found.update(name.lower() for name in node.names)
    return frozenset(found)
