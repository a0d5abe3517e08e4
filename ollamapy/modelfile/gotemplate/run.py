"""The state of one execution: what is written, the variables, the budget. Owns the bound on the output."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, TypeAlias

from ollamapy.errors import TemplateError
from ollamapy.modelfile.gotemplate import nodes, quoting
from ollamapy.modelfile.gotemplate.budget import Budget
from ollamapy.modelfile.gotemplate.limits import MAX_MESSAGE_CHARS, MAX_OUTPUT_CHARS

_VARIABLES_PER_STEP = 8

Evaluate: TypeAlias = Callable[["Run", Any], Any]
EvaluateAfter: TypeAlias = Callable[["Run", Any, Any], Any]
Step: TypeAlias = Callable[["Run", Any], int]


class Run:
    """One execution."""

    __slots__ = ("budget", "depth", "names", "num_written", "parts", "source", "steps", "template", "values")

    def __init__(self, source: str, steps: Mapping[str, "Step"], data: Any, today: Callable[[], date]) -> None:
        self.source = source
        self.steps = steps
        self.template = ""
        self.depth = 0
        self.parts: list[str] = []
        self.num_written = 0
        self.names = ["$"]
        self.values = [data]
        self.budget = Budget(today)

    def write(self, text: str) -> None:
        self.num_written += len(text)
        if self.num_written > MAX_OUTPUT_CHARS:
            raise TemplateError(f"template: the output is longer than {MAX_OUTPUT_CHARS} characters")
        self.parts.append(text)

    def find(self, name: str) -> int:
        """Where the last variable of this name stands; -1 when none does."""
        names = self.names
        index = len(names) - 1
        while index >= 0 and names[index] != name:
            index -= 1
        self.budget.steps -= (len(names) - index) // _VARIABLES_PER_STEP
        return index

    def forget(self, mark: int) -> None:
        """Drops the variables declared since there were `mark`."""
        del self.names[mark:], self.values[mark:]

    def error(self, node: nodes.Node, message: str) -> TemplateError:
        """Go's error for a mistake found at `node`, ready to be raised."""
        where = f"executing {quoting.quote(self.template)} at <{_context(node)}>"
        return TemplateError(f"template: {self.location(node)}: {where}: {message[:MAX_MESSAGE_CHARS]}")

    def location(self, node: nodes.Node) -> str:
        """Line and byte column of a node, as Go prefixes its messages."""
        before = self.source[: node.position]
        line_start = before.rfind("\n") + 1
        return f":{1 + before.count(chr(10))}:{quoting.num_bytes(before[line_start:])}"


def _context(node: nodes.Node) -> str:
    text = str(node)
    return text if len(text) <= 200 else text[:200] + "..."
