"""The functions that templates may call: Go's own, and the four that Ollama adds.

A function is given the budget and its arguments, already counted, and raises Failure for what Go calls an error.
`and` and `or` are not here: they decide which of their arguments are evaluated, which is the executor's work.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from ollamapy.modelfile.gotemplate import escapes, quoting
from ollamapy.modelfile.gotemplate.budget import Budget
from ollamapy.modelfile.gotemplate.printf import sprintf
from ollamapy.modelfile.gotemplate.text import default, printed, printed_line, shown, to_json
from ollamapy.modelfile.gotemplate.values import (
    Byte,
    Record,
    basic_kind,
    composite_kind,
    is_list,
    is_nothing,
    type_name,
)

Arguments = Sequence[Any]


class Failure(Exception):
    """A function refused its arguments; the message is Go's."""


@dataclass(frozen=True, slots=True)
class Function:
    """`num_fixed` arguments are needed, more are allowed when it `is_variadic`.

    `takes` tells what Go checks before it calls: "string" for every argument, "format" for the first, else nothing.
    """

    run: Callable[[Budget, Arguments], Any]
    num_fixed: int
    is_variadic: bool = False
    takes: Literal["any", "string", "format"] = "any"


def _index(budget: Budget, arguments: Arguments) -> Any:
    item = arguments[0]
    if is_nothing(item):
        raise Failure("index of untyped nil")
    for key in arguments[1:]:
        if item is None:
            raise Failure("index of nil pointer")
        item = _element(budget, item, key)
    return item


def _element(budget: Budget, item: Any, key: Any) -> Any:
    if isinstance(item, dict):
        if not isinstance(key, str):
            is_missing = is_nothing(key)
            problem = "value is nil; should be of type" if is_missing else f"value has type {type_name(key)}; should be"
            raise Failure(f"{problem} string")
        return item.get(key)
    if isinstance(item, str):
        return _byte(budget, item, key)
    if not is_list(item):
        raise Failure(f"can't index item of type {type_name(item)}")
    return item[_position(key, len(item) - 1)]


def _byte(budget: Budget, text: str, key: Any) -> Byte:
    budget.read(len(text))
    if text.isascii():
        return Byte(ord(text[_position(key, len(text) - 1)]))
    data = quoting.to_bytes(text)
    return Byte(data[_position(key, len(data) - 1)])


def _position(key: Any, last: int) -> int:
    """`key` as an index up to `last`."""
    if is_nothing(key):
        raise Failure("cannot index slice/array with nil")
    if basic_kind(key) not in ("int", "uint"):
        raise Failure(f"cannot index slice/array with type {type_name(key)}")
    if not 0 <= key <= last:
        raise Failure(f"index out of range: {key}")
    return int(key)


def _slice(budget: Budget, arguments: Arguments) -> Any:
    item, keys = arguments[0], arguments[1:]
    if is_nothing(item):
        raise Failure("slice of untyped nil")
    if len(keys) > 3:
        raise Failure(f"too many slice indexes: {len(keys)}")
    if isinstance(item, str):
        return _slice_text(budget, item, keys)
    if not is_list(item):
        raise Failure(f"can't slice item of type {type_name(item)}")
    start, end = _bounds(keys, len(item))
    budget.read(8 * (end - start))
    return item[start:end] if type(item) in (list, tuple) else type(item)(item[start:end])


def _slice_text(budget: Budget, text: str, keys: Arguments) -> str:
    if len(keys) == 3:
        raise Failure("cannot 3-index slice a string")
    if text.isascii():
        start, end = _bounds(keys, len(text))
        return budget.made(text[start:end])
    budget.read(len(text))
    data = quoting.to_bytes(text)
    start, end = _bounds(keys, len(data))
    return budget.made(quoting.from_bytes(data[start:end]))


def _bounds(keys: Arguments, length: int) -> tuple[int, int]:
    positions = [_position(key, length) for key in keys]
    start, end = [*positions, *(0, length)[len(positions) :]][:2]
    if start > end:
        raise Failure(f"invalid slice index: {start} > {end}")
    if len(positions) == 3 and end > positions[2]:
        raise Failure(f"invalid slice index: {end} > {positions[2]}")
    return start, end


def _len(budget: Budget, arguments: Arguments) -> int:
    value = arguments[0]
    if isinstance(value, str):
        budget.read(len(value))
        return quoting.num_bytes(value)
    if is_nothing(value):
        raise Failure("len of nil pointer")
    if isinstance(value, dict) or is_list(value):
        return len(value)
    raise Failure(f"len of type {type_name(value)}")


def _not(_: Budget, arguments: Arguments) -> bool:
    return not arguments[0]


def _eq(budget: Budget, arguments: Arguments) -> bool:
    if len(arguments) == 1:
        raise Failure("missing argument for comparison")
    first = arguments[0]
    if len(arguments) == 2:
        return _is_equal(budget, first, arguments[1])
    return any(_is_equal(budget, first, other) for other in arguments[1:])


def _is_equal(budget: Budget, first: Any, other: Any) -> bool:
    if isinstance(first, str) and isinstance(other, str):
        if len(first) == len(other):
            budget.read(len(first))
        return first == other
    kinds = basic_kind(first), basic_kind(other)
    if kinds == ("", ""):
        return _is_same(first, other)
    if kinds[0] == kinds[1] or set(kinds) == {"int", "uint"}:
        return bool(first == other)
    if is_nothing(first) or is_nothing(other):
        return False
    raise Failure(f"incompatible types for comparison: {type_name(first)} and {type_name(other)}")


def _is_same(first: Any, other: Any) -> bool:
    """Equality of what has no basic kind: nil, and pointers."""
    if is_nothing(first) or is_nothing(other):
        return is_nothing(first) and is_nothing(other)
    kinds = composite_kind(first), composite_kind(other)
    if kinds[0] != kinds[1]:
        raise Failure(
            f"non-comparable types {default(first)}: {type_name(first)}, {type_name(other)}: {default(other)}"
        )
    if kinds[1] != "pointer":
        raise Failure(f"non-comparable type {default(other)}: {type_name(other)}")
    return first is other


def _ne(budget: Budget, arguments: Arguments) -> bool:
    return not _is_equal(budget, *arguments)


def _lt(budget: Budget, arguments: Arguments) -> bool:
    first, other = arguments
    kinds = basic_kind(first), basic_kind(other)
    if "" in kinds:
        raise Failure("invalid type for comparison")
    if kinds[0] != kinds[1] and set(kinds) != {"int", "uint"}:
        raise Failure(f"incompatible types for comparison: {type_name(first)} and {type_name(other)}")
    if kinds[0] == "bool":
        raise Failure("invalid type for comparison")
    if kinds[0] == "string":
        budget.read(len(first) + len(other))
        return quoting.to_bytes(first) < quoting.to_bytes(other)
    return bool(first < other)


def _le(budget: Budget, arguments: Arguments) -> bool:
    return _lt(budget, arguments) or _is_equal(budget, *arguments)


def _gt(budget: Budget, arguments: Arguments) -> bool:
    return not _le(budget, arguments)


def _ge(budget: Budget, arguments: Arguments) -> bool:
    return not _lt(budget, arguments)


def _print(budget: Budget, arguments: Arguments) -> str:
    return budget.made(quoting.joined(printed(_without_no_value(arguments))))


def _println(budget: Budget, arguments: Arguments) -> str:
    return budget.made(quoting.joined(printed_line(_without_no_value(arguments))))


def _printf(budget: Budget, arguments: Arguments) -> str:
    return budget.made(sprintf(arguments[0], arguments[1:], budget))


def _without_no_value(arguments: Arguments) -> list[Any]:
    return [None if is_nothing(argument) else argument for argument in arguments]


def _escaper(escape: Callable[[str], str]) -> Callable[[Budget, Arguments], str]:
    def run(budget: Budget, arguments: Arguments) -> str:
        return budget.made(escape(budget.made(printed(_with_no_value(arguments)))))

    return run


def _js(budget: Budget, arguments: Arguments) -> str:
    text = budget.made(printed(_with_no_value(arguments)))
    if escapes.is_plain_js(text):
        return text
    budget.spend(len(text))
    return budget.made(escapes.js(text))


def _with_no_value(arguments: Arguments) -> list[Any]:
    return [shown(argument) if is_nothing(argument) else argument for argument in arguments]


def _call(_: Budget, arguments: Arguments) -> Any:
    if is_nothing(arguments[0]):
        raise Failure("call of nil")
    raise Failure(f"non-function of type {type_name(arguments[0])}")


def _json(budget: Budget, arguments: Arguments) -> str:
    return budget.made(to_json(arguments[0]))


def _current_date(budget: Budget, _: Arguments) -> str:
    return budget.today().isoformat()


def _yesterday_date(budget: Budget, _: Arguments) -> str:
    return (budget.today() - timedelta(days=1)).isoformat()


_TYPESCRIPT = {
    "string": "string",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "array": "any[]",
    "object": "Record<string, any>",
    "null": "null",
}


def _to_typescript_type(budget: Budget, arguments: Arguments) -> str:
    return budget.made(typescript_type(arguments[0]))


def typescript_type(value: Any) -> str:
    """The TypeScript type of a tool's property; `any` for everything else."""
    if not isinstance(value, Record) or "AnyOf" not in value.fields:
        return "any"
    if value.fields["AnyOf"]:
        return " | ".join(typescript_type(choice) for choice in value.fields["AnyOf"])
    names = [_TYPESCRIPT.get(name, "any") for name in value.fields["Type"]]
    return " | ".join(names) or "any"


FUNCTIONS: Mapping[str, Function] = {
    "call": Function(_call, 1, is_variadic=True),
    "html": Function(_escaper(escapes.html), 0, is_variadic=True),
    "index": Function(_index, 1, is_variadic=True),
    "slice": Function(_slice, 1, is_variadic=True),
    "js": Function(_js, 0, is_variadic=True),
    "len": Function(_len, 1),
    "not": Function(_not, 1),
    "print": Function(_print, 0, is_variadic=True),
    "printf": Function(_printf, 1, is_variadic=True, takes="format"),
    "println": Function(_println, 0, is_variadic=True),
    "urlquery": Function(_escaper(escapes.urlquery), 0, is_variadic=True),
    "eq": Function(_eq, 1, is_variadic=True),
    "ge": Function(_ge, 2),
    "gt": Function(_gt, 2),
    "le": Function(_le, 2),
    "lt": Function(_lt, 2),
    "ne": Function(_ne, 2),
    "json": Function(_json, 1),
    "currentDate": Function(_current_date, 0, is_variadic=True, takes="string"),
    "yesterdayDate": Function(_yesterday_date, 0, is_variadic=True, takes="string"),
    "toTypeScriptType": Function(_to_typescript_type, 1),
}
NAMES = frozenset({*FUNCTIONS, "and", "or"})
