"""Runs a parse tree. Each node becomes a function once, so that a run is calls and no looking at nodes.

A *step* writes: `step(run, dot)`, and says how it ended: on to the next, `break` or `continue`. What it needs to know
it asks of an evaluator (evaluator.py).
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any

from ollamapy.errors import TemplateError
from ollamapy.modelfile.gotemplate import nodes, quoting
from ollamapy.modelfile.gotemplate.evaluator import assign, pipeline
from ollamapy.modelfile.gotemplate.limits import MAX_DEPTH
from ollamapy.modelfile.gotemplate.run import Run, Step
from ollamapy.modelfile.gotemplate.text import default, shown
from ollamapy.modelfile.gotemplate.values import NO_VALUE, basic_kind, is_list, is_nothing

NEXT, BREAK, CONTINUE = 0, 1, 2


class Program:
    """The templates of one source, ready to run. The main one is `""`."""

    def __init__(self, source: str, trees: Mapping[str, nodes.Block]) -> None:
        self.source = source
        self.steps = {name: _block(tree) for name, tree in trees.items()}

    def execute(self, data: Any, today: Callable[[], date]) -> str:
        """What the main template writes. Raises TemplateError."""
        run = Run(self.source, self.steps, data, today)
        try:
            self.steps[""](run, data)
            return quoting.clean("".join(run.parts))
        except RecursionError as error:
            raise TemplateError("template: the template or its data is nested too deeply") from error
        except MemoryError as error:
            raise TemplateError("template: out of memory") from error


def _block(block: nodes.Block) -> Step:
    steps = tuple(_step(node) for node in block.nodes)
    cost = 1 + sum(_cost(node) for node in block.nodes)

    def run_block(run: Run, dot: Any) -> int:
        budget = run.budget
        budget.steps -= cost
        if budget.steps < 0:
            budget.spend(0)
        for step in steps:
            end = step(run, dot)
            if end:
                return end
        return NEXT

    return run_block


def _cost(node: nodes.Node) -> int:
    """The parts of a node that run before any block inside it."""
    pipe = getattr(node, "pipe", None)
    return 1 + (sum(1 for _ in nodes.walk(pipe)) if pipe else 0)


def _step(node: nodes.Node) -> Step:
    match node:
        case nodes.Text():
            return _text(node)
        case nodes.Action():
            return _action(node)
        case nodes.If():
            return _if(node)
        case nodes.With():
            return _with(node)
        case nodes.Range():
            return _range(node)
        case nodes.Call():
            return _call(node)
    return _jump(BREAK if isinstance(node, nodes.Break) else CONTINUE)


def _jump(end: int) -> Step:
    return lambda run, dot: end


def _text(node: nodes.Text) -> Step:
    text = node.text

    def write_text(run: Run, dot: Any) -> int:
        run.write(text)
        return NEXT

    return write_text


def _action(node: nodes.Action) -> Step:
    evaluate = pipeline(node.pipe, may_be_nil=True)
    if node.pipe.declares:

        def declare(run: Run, dot: Any) -> int:
            evaluate(run, dot)
            return NEXT

        return declare

    def write_value(run: Run, dot: Any) -> int:
        value = evaluate(run, dot)
        if type(value) is not str:
            value = shown(value)
            run.budget.spend(len(value) // 16)
        run.write(value)
        return NEXT

    return write_value


def _otherwise(node: nodes.Branch) -> Step:
    return _block(node.otherwise) if node.otherwise else _jump(NEXT)


def _if(node: nodes.If) -> Step:
    condition, body, otherwise = pipeline(node.pipe, may_be_nil=True), _block(node.body), _otherwise(node)

    def run_if(run: Run, dot: Any) -> int:
        mark = len(run.names)
        end = body(run, dot) if condition(run, dot) else otherwise(run, dot)
        if len(run.names) > mark:
            run.forget(mark)
        return end

    return run_if


def _with(node: nodes.With) -> Step:
    evaluate, body, otherwise = pipeline(node.pipe, may_be_nil=True), _block(node.body), _otherwise(node)

    def run_with(run: Run, dot: Any) -> int:
        mark = len(run.names)
        value = evaluate(run, dot)
        end = body(run, value) if value else otherwise(run, dot)
        if len(run.names) > mark:
            run.forget(mark)
        return end

    return run_with


def _range(node: nodes.Range) -> Step:
    evaluate, body, otherwise = pipeline(node.pipe, may_be_nil=True), _block(node.body), _otherwise(node)
    place = _placer(node)

    def run_range(run: Run, dot: Any) -> int:
        mark = len(run.names)
        items = _items(run, evaluate(run, dot), node)
        inner_mark = len(run.names)
        is_empty = True
        for index, element in items:
            is_empty = False
            place(run, index, element)
            end = body(run, element)
            if len(run.names) > inner_mark:
                run.forget(inner_mark)
            if end == BREAK:
                break
        end = otherwise(run, dot) if is_empty else NEXT
        if end == BREAK:
            end = NEXT  # as in Go, where a `break` in the `else` of a loop ends that loop only
        if len(run.names) > mark:
            run.forget(mark)
        return end

    return run_range


def _items(run: Run, value: Any, node: nodes.Range) -> Iterable[tuple[Any, Any]]:
    """The indexes or keys and the elements of what is ranged over."""
    if is_list(value):
        return enumerate(value)
    if isinstance(value, dict):
        run.budget.spend(len(value))
        return [(key, value[key]) for key in sorted(value)]
    if basic_kind(value) in ("int", "uint"):
        if len(node.pipe.declares) > 1:
            raise run.error(node.pipe, f"can't use {value} to iterate over more than one variable")
        kind = type(value)
        return ((NO_VALUE, kind(number)) for number in range(value))
    if is_nothing(value):
        return ()
    raise run.error(node.pipe, f"range can't iterate over {default(value)}")


def _placer(node: nodes.Range) -> Callable[[Run, Any, Any], None]:
    """What puts index and element into the variables of a `range`."""
    pipe = node.pipe
    names = [variable.names[0] for variable in pipe.declares]
    if not names:
        return lambda run, index, element: None
    if pipe.is_assignment:

        def reassign(run: Run, index: Any, element: Any) -> None:
            for name, value in zip(names, (index, element) if len(names) > 1 else (element,), strict=True):
                assign(run, pipe, name, value)

        return reassign

    def declare(run: Run, index: Any, element: Any) -> None:
        run.values[-1] = element
        if len(names) > 1:
            run.values[-2] = index

    return declare


def _call(node: nodes.Call) -> Step:
    evaluate = pipeline(node.pipe)

    def run_call(run: Run, dot: Any) -> int:
        step = run.steps.get(node.name)
        if step is None:
            raise run.error(node, f"template {quoting.quote(node.name)} not defined")
        if run.depth == MAX_DEPTH:
            raise run.error(node, f"exceeded maximum template depth ({MAX_DEPTH})")
        value = evaluate(run, dot)
        outer = run.names, run.values, run.template
        run.names, run.values, run.template = ["$"], [value], node.name
        run.depth += 1
        step(run, value)
        run.depth -= 1
        run.names, run.values, run.template = outer
        return NEXT

    return run_call
