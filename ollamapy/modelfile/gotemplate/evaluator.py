"""Evaluators: functions made once for each pipeline, command and operand, which give its value in a run.

`evaluate(run, dot)` gives the value; a command that follows a `|` is also given the value of the one before.
They write nothing and change nothing but variables.
"""

from collections.abc import Sequence
from typing import Any

from ollamapy.modelfile.gotemplate import nodes, quoting
from ollamapy.modelfile.gotemplate.functions import FUNCTIONS, Failure, Function
from ollamapy.modelfile.gotemplate.run import Evaluate, EvaluateAfter, Run
from ollamapy.modelfile.gotemplate.values import NO_VALUE, Record, type_name


def pipeline(pipe: nodes.Pipe, *, may_be_nil: bool = False) -> Evaluate:
    """The value of `pipe`, after declaring or assigning its variables.

    What is nil in an interface comes out as no value, for a pipeline looks inside interfaces; `may_be_nil` spares that
    step where both mean the same.
    """
    if may_be_nil and not pipe.declares and len(pipe.commands) == 1:
        return _command(pipe.commands[0])
    evaluate = _commands(pipe)
    if not pipe.declares:
        return evaluate

    def declare(run: Run, dot: Any) -> Any:
        value = evaluate(run, dot)
        for variable in pipe.declares:
            if pipe.is_assignment:
                assign(run, pipe, variable.names[0], value)
            else:
                run.names.append(variable.names[0])
                run.values.append(value)
        return value

    return declare


def assign(run: Run, node: nodes.Node, name: str, value: Any) -> None:
    index = run.find(name)
    if index < 0:
        raise run.error(node, f"undefined variable: {name}")
    run.values[index] = value


def _commands(pipe: nodes.Pipe) -> Evaluate:
    first = _command(pipe.commands[0])
    others = [_command_after(command) for command in pipe.commands[1:]]
    if not others:

        def evaluate_one(run: Run, dot: Any) -> Any:
            value = first(run, dot)
            return NO_VALUE if value is None else value

        return evaluate_one

    def evaluate_all(run: Run, dot: Any) -> Any:
        value = first(run, dot)
        for command in others:
            value = command(run, dot, NO_VALUE if value is None else value)
        return NO_VALUE if value is None else value

    return evaluate_all


def _command(command: nodes.Command) -> Evaluate:
    word, arguments = command.arguments[0], command.arguments[1:]
    if isinstance(word, nodes.Identifier):
        return _function(word, command, arguments)
    if isinstance(word, nodes.Nil):
        return _failing(word, "nil is not a command")
    if not arguments:
        return _operand(word)
    evaluate = _refusing(word)
    return lambda run, dot: evaluate(run, dot, NO_VALUE)


def _command_after(command: nodes.Command) -> EvaluateAfter:
    """A command that is given the value before it; only functions take one."""
    word, arguments = command.arguments[0], command.arguments[1:]
    if isinstance(word, nodes.Identifier):
        return _function_after(word, command, arguments)
    return _refusing(word)


def _failing(node: nodes.Node, message: str) -> Evaluate:
    def fail(run: Run, dot: Any) -> Any:
        raise run.error(node, message)

    return fail


def _refusing(word: nodes.Node) -> EvaluateAfter:
    """A word that is no function but is given arguments. Fields look first whether they could be one."""
    if isinstance(word, nodes.Field | nodes.Chain) or (isinstance(word, nodes.Variable) and len(word.names) > 1):
        return _refusing_field(word)
    fail = _failing(word, f"can't give argument to non-function {word}")
    return lambda run, dot, value: fail(run, dot)


def _refusing_field(word: nodes.Field | nodes.Chain | nodes.Variable) -> EvaluateAfter:
    name = word.names[-1]
    receiver = _receiver(word)

    def refuse(run: Run, dot: Any, value: Any) -> Any:
        owner = receiver(run, dot)
        if owner is NO_VALUE:
            return NO_VALUE
        _get(run, word, owner, name)
        if isinstance(owner, dict):
            raise run.error(word, f"{name} is not a method but has arguments")
        raise run.error(word, f"{name} has arguments but cannot be invoked as function")

    return refuse


# Operands.


def _operand(node: nodes.Node) -> Evaluate:
    match node:
        case nodes.Dot():
            return lambda run, dot: dot
        case nodes.Nil():
            return lambda run, dot: None
        case nodes.Bool() | nodes.String():
            return _constant(node.value)
        case nodes.Number():
            return _number(node)
        case nodes.Pipe():
            return pipeline(node)
        case nodes.Identifier():
            return _function(node, node, ())
        case nodes.Field(names=(name,)):
            return _field(node, name)
        case nodes.Variable(names=(name,)):
            return _variable(node, name)
        case nodes.Field() | nodes.Variable() | nodes.Chain():
            return _chain(node)
    raise AssertionError(f"not an operand: {node}")


def _constant(value: Any) -> Evaluate:
    return lambda run, dot: value


def _number(node: nodes.Number) -> Evaluate:
    if isinstance(node.value, int) and node.value > quoting.MAX_INT:
        return _failing(node, f"{node.text} overflows int")
    return _constant(node.value)


def _variable(node: nodes.Node, name: str) -> Evaluate:
    def evaluate(run: Run, dot: Any) -> Any:
        index = run.find(name)
        if index < 0:
            raise run.error(node, f"undefined variable: {name}")
        return run.values[index]

    return evaluate


def _field(node: nodes.Node, name: str) -> Evaluate:
    def evaluate(run: Run, dot: Any) -> Any:
        return dot.get(name) if type(dot) is dict else _get(run, node, dot, name)

    return evaluate


def _receiver(node: nodes.Field | nodes.Variable | nodes.Chain) -> Evaluate:
    """The value whose field the last name is."""
    match node:
        case nodes.Field():
            start: Evaluate = lambda run, dot: dot  # noqa: E731
            names = node.names[:-1]
        case nodes.Variable():
            start, names = _variable(node, node.names[0]), node.names[1:-1]
        case _:
            start, names = _operand(node.operand), node.names[:-1]
    if not names:
        return start

    def evaluate(run: Run, dot: Any) -> Any:
        value = start(run, dot)
        for name in names:
            value = _get(run, node, value, name)
        return value

    return evaluate


def _chain(node: nodes.Field | nodes.Variable | nodes.Chain) -> Evaluate:
    receiver, name = _receiver(node), node.names[-1]

    def evaluate(run: Run, dot: Any) -> Any:
        return _get(run, node, receiver(run, dot), name)

    return evaluate


def _get(run: Run, node: nodes.Node, owner: Any, name: str) -> Any:
    """A field of a struct or the value of a map's key; None for a key that is missing."""
    if isinstance(owner, Record):
        if name in owner.fields:
            return owner.fields[name]
        raise run.error(node, f"can't evaluate field {name} in type {type_name(owner)}")
    if isinstance(owner, dict):
        return owner.get(name)
    if owner is None:
        raise run.error(node, f"nil pointer evaluating interface {{}}.{name}")
    if owner is NO_VALUE:
        return NO_VALUE
    raise run.error(node, f"can't evaluate field {name} in type interface {{}}")


# Functions.


def _function(word: nodes.Identifier, command: nodes.Node, arguments: Sequence[nodes.Node]) -> Evaluate:
    if word.name in ("and", "or"):
        evaluate_after = _logic(word, arguments)
        if not arguments:
            return _wrong_count(word, 1, True, 0)
        return lambda run, dot: evaluate_after(run, dot, None)
    function = FUNCTIONS[word.name]
    if not _is_count_right(function, len(arguments)):
        return _wrong_count(word, function.num_fixed, function.is_variadic, len(arguments))
    evaluators = _arguments(function, arguments)

    def call(run: Run, dot: Any) -> Any:
        values = [evaluate(run, dot) for evaluate in evaluators]
        try:
            return function.run(run.budget, values)
        except Failure as failure:
            raise run.error(command, f"error calling {word.name}: {failure}") from failure

    return call


def _function_after(word: nodes.Identifier, command: nodes.Node, arguments: Sequence[nodes.Node]) -> EvaluateAfter:
    if word.name in ("and", "or"):
        return _logic(word, arguments, has_last=True)
    function = FUNCTIONS[word.name]
    num_given = len(arguments) + 1
    if not _is_count_right(function, num_given):
        shown_count = len(arguments) if function.is_variadic else num_given
        fail = _wrong_count(word, function.num_fixed, function.is_variadic, shown_count)
        return lambda run, dot, last: fail(run, dot)
    evaluators = _arguments(function, arguments)
    must_be_string = function.takes == "string" or (function.takes == "format" and not arguments)

    def call(run: Run, dot: Any, last: Any) -> Any:
        values = [evaluate(run, dot) for evaluate in evaluators]
        values.append(_checked_string(run, command, last) if must_be_string else last)
        try:
            return function.run(run.budget, values)
        except Failure as failure:
            raise run.error(command, f"error calling {word.name}: {failure}") from failure

    return call


def _is_count_right(function: Function, count: int) -> bool:
    return count >= function.num_fixed if function.is_variadic else count == function.num_fixed


def _wrong_count(word: nodes.Identifier, wanted: int, is_variadic: bool, count: int) -> Evaluate:
    least = "at least " if is_variadic else ""
    return _failing(word, f"wrong number of args for {word.name}: want {least}{wanted} got {count}")


def _arguments(function: Function, arguments: Sequence[nodes.Node]) -> list[Evaluate]:
    found = []
    for index, argument in enumerate(arguments):
        must_be_string = function.takes == "string" or (function.takes == "format" and index == 0)
        found.append(_string_argument(argument) if must_be_string else _operand(argument))
    return found


def _string_argument(node: nodes.Node) -> Evaluate:
    if isinstance(node, nodes.String):
        return _constant(node.value)
    if isinstance(node, nodes.Nil):
        return _failing(node, "cannot assign nil to string")
    if isinstance(node, nodes.Bool | nodes.Number):
        return _failing(node, f"expected string; found {node}")
    evaluate = _operand(node)
    return lambda run, dot: _checked_string(run, node, evaluate(run, dot))


def _checked_string(run: Run, node: nodes.Node, value: Any) -> Any:
    if isinstance(value, str):
        return value
    if value is NO_VALUE:
        raise run.error(node, "invalid value; expected string")
    name = "interface {}" if value is None else type_name(value)
    raise run.error(node, f"wrong type for value; expected string; got {name}")


def _logic(word: nodes.Identifier, arguments: Sequence[nodes.Node], *, has_last: bool = False) -> EvaluateAfter:
    """`and` and `or`: the first argument that decides, or the last."""
    evaluators = [_operand(argument) for argument in arguments]
    decides = word.name == "or"

    def evaluate(run: Run, dot: Any, last: Any) -> Any:
        value = NO_VALUE
        for argument in evaluators:
            value = argument(run, dot)
            if bool(value) is decides:
                return value
        return last if has_last else value

    return evaluate
