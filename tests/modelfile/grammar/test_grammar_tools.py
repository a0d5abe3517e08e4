"""Grammars of tool calls, of any JSON object, and the check of a stranger's GBNF."""

import json
import random
import re
import time
from typing import Any

import jsonschema
import pytest
from fakes import gbnf

from ollamapy.errors import InvalidInput
from ollamapy.modelfile.grammar import check_grammar, json_grammar, tool_call_grammar
from ollamapy.modelfile.grammar.calls import JsonCall
from ollamapy.wire.native import Tool, ToolFunction

MAX_CPU_SECONDS = 30.0
"""For a refusal. Each takes well below one; a machine may be many times slower."""
WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}, "days": {"$ref": "#/$defs/days"}},
    "required": ["city"],
    "$defs": {"days": {"type": "integer", "minimum": 1, "maximum": 9}},
}
NOW: dict[str, Any] = {"properties": {"zone": {"enum": ["UTC", "CET"]}}, "required": ["zone"]}


def tool(name: str, parameters: Any = None) -> Tool:
    return Tool(ToolFunction(name, parameters=parameters or {}))


JSON = (JsonCall(),)
TOOLS = [tool("get_weather", WEATHER), tool("get_time", NOW), tool("ping"), tool('odd "name"', {"type": "object"})]


def test_every_call_is_of_an_offered_tool_with_arguments_that_fit() -> None:
    schemas = {entry.function.name: entry.function.parameters for entry in TOOLS}
    text = tool_call_grammar(TOOLS, JSON)
    grammar, chance = gbnf.parse(text), random.Random(1)
    seen = set()

    for _ in range(60):
        call = json.loads(grammar.write(chance))
        seen.add(call["name"])
        assert isinstance(call["arguments"], dict)
        jsonschema.validate(call["arguments"], schemas[call["name"]])

    assert seen == set(schemas)
    check_grammar(text)


def test_a_named_tool_is_the_only_one() -> None:
    grammar = gbnf.parse(tool_call_grammar(TOOLS, JSON, names=["ping"]))

    assert grammar.accepts('{"name": "ping", "arguments": {}}')
    assert not grammar.accepts('{"name": "get_time", "arguments": {"zone": "UTC"}}')


@pytest.mark.parametrize(
    ("tools", "name", "message"),
    [
        ([], "", "tools: there is no tool to call"),
        (TOOLS, "fly", "tools: there is no tool to call"),
        ([tool("")], "", "tools: [0] has no name"),
        (
            [tool("a"), tool("b", {"properties": {"c": {"not": {}}}})],
            "",
            'tools: [1].function.parameters.properties.c: "not" is not supported',
        ),
        ([tool("a", {"type": "string"})], "", "tools: [0].function.parameters: no value satisfies the schema"),
        ([tool("a", {"a": [[[[]]]] * 9000})], "", "tools: $: more than 20000 values are not supported"),
    ],
)
def test_tools_that_cannot_be_called_are_refused(tools: list[Tool], name: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{re.escape(message)}$"):
        tool_call_grammar(tools, JSON, names=[name] if name else [])


@pytest.mark.parametrize("parameters", [{}, {"type": "object", "properties": {}, "required": [], "title": "Ping"}])
def test_a_tool_without_arguments_gets_none(parameters: Any) -> None:
    grammar = gbnf.parse(tool_call_grammar([tool("ping", parameters)], JSON))

    assert grammar.accepts('{"name": "ping", "arguments": {}}')
    assert not grammar.accepts('{"name": "ping", "arguments": {"a": 1}}')


@pytest.mark.parametrize("parameters", [{"type": "object"}, {"properties": {}, "additionalProperties": True}])
def test_a_tool_that_asks_for_any_arguments_gets_any(parameters: Any) -> None:
    grammar = gbnf.parse(tool_call_grammar([tool("put", parameters)], JSON))

    assert grammar.accepts('{"name": "put", "arguments": {"a": 1}}')


def test_json_mode_is_any_object() -> None:
    grammar = gbnf.parse(json_grammar())

    assert grammar.accepts('{"a": [1, -2.5e+10, true, null, {}], "b": "\\ud83d\\ude42\\n"}')
    assert grammar.accepts('{\n  "a": 1,\n  "b": []\n}')
    assert not grammar.accepts("[]")
    assert not grammar.accepts('{"a": 1} ')
    assert not grammar.accepts('{"a": "\\ud83d"}')
    assert not grammar.accepts('{"a": "\n"}')
    check_grammar(json_grammar())


def test_json_mode_makes_json() -> None:
    grammar, chance = gbnf.parse(json_grammar()), random.Random(2)

    for _ in range(50):
        assert isinstance(json.loads(grammar.write(chance)), dict)


@pytest.mark.parametrize(
    "text",
    [
        'root ::= "a"',
        '# a comment\n\nroot ::= "a" # more\n  | "b"\n'.replace("\n  |", " |"),
        "root ::= (\n  [a-z]+ # inside\n  | number\n)? end\r\nnumber ::= [0-9]{1,3} [^0-9] . {2,}\nend ::=\n",
        'root ::= "\\x41\\u0042\\U0001F642\\t\\r\\n\\\\\\"\\[\\]\\-" [\\]\\-a-] [-z]',
        'root ::= "a" | |\n  "b"',
        'root ::= "(" root ")" | ""',
    ],
)
def test_a_good_grammar_passes_the_check(text: str) -> None:
    check_grammar(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'there is no rule "root"'),
        ('start ::= "a"', 'there is no rule "root"'),
        ("root ::= other", "the rule root uses other, which is not there"),
        ('root ::= "a"\nroot ::= "b"', "line 2: the rule root is there twice"),
        ('root = "a"', "line 1: expected ::="),
        ('_root ::= "a"', "line 1: expected the name of a rule"),
        ('root ::= "a" ) "b"', "line 1: unexpected ')'"),
        ('root ::= "a" <think>', "line 1: unexpected '<'"),
        ('root ::= ("a"', "line 1: a group is not closed"),
        ('root ::= "a', 'line 1: expected "'),
        ("root ::= [a", "line 1: expected ]"),
        ("root ::= []", "line 1: an empty class is not supported"),
        ("root ::= [^]", "line 1: an empty class is not supported"),
        ('root ::= "\\q"', "line 1: unknown escape \\q"),
        ('root ::= "\\', "line 1: unknown escape \\"),
        ('root ::= "\\x4"', "line 1: an escape wants 2 hexadecimal digits"),
        ('root ::= "\\x00"', "line 1: an escape wants 2 hexadecimal digits"),
        ('root ::= "\\U00110000"', "line 1: an escape wants 8 hexadecimal digits"),
        ("root ::= *", "line 1: there is nothing to repeat, or it is repeated twice"),
        ('root ::= "a"**', "line 1: there is nothing to repeat, or it is repeated twice"),
        ('root ::= "a"{2', "line 1: there is nothing to repeat, or it is repeated twice"),
        ('root ::= "a"{3,2}', "line 1: the repetition ends before it begins"),
        ('root ::= "a\0"', "a NUL or half a character is not supported"),
        ('root ::= "\ud800"', "a NUL or half a character is not supported"),
    ],
)
def test_what_is_no_grammar_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=f"^grammar: {re.escape(message)}"):
        check_grammar(text)


def chain(length: int, body: str) -> str:
    rules = "".join(f"r{n} ::= {body.format(n + 1)}\n" for n in range(length))
    return f'root ::= r0\n{rules}r{length} ::= "a" | ""\n'


BOMBS = {
    "itself": ("root ::= root", "begins with itself"),
    "itself behind nothing": ('root ::= a root "y" | "x"\na ::= b\nb ::= ""', "begins with itself"),
    "itself by way of others": ("root ::= a | b\na ::= b\nb ::= a", "begins with itself"),
    "endless nothing": ('root ::= ("a"*)*', "what may be empty cannot be repeated"),
    "nothing again and again": ('root ::= ("")+', "what may be empty cannot be repeated"),
    "deep groups": ("root ::= " + "(" * 100_000, "nested too deep"),
    "a long repetition": ('root ::= "a"{1,2000000}', "more than 1000 repetitions"),
    "copies of a long text": (f'root ::= "{"a" * 500}"{{1000}}', "too many repetitions"),
    "a long text": ('root ::= "' + "a" * 600_000, "more than 500000 characters"),
    "many rules": ("".join(f'r{n} ::= "a"\n' for n in range(12_000)), "too many rules"),
    "a chain": (chain(2_000, "r{0}"), "begins in too many ways"),
    "a tree": (chain(40, "r{0} r{0}"), "begins in too many ways"),
    "ways that double": ('root ::= "a" root "b" | "a" root "c" | "a"', "too ambiguous"),
    "ways that double slowly": ('root ::= "    " root "b" | " " "   " root "c" | " "', "too ambiguous"),
    "many ways at once": ('root ::= "x" ' + '("a"? "b"?)? ' * 4000, "too ambiguous"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_grammar_that_an_engine_would_choke_on_is_refused_soon(name: str) -> None:
    text, message = BOMBS[name]
    started = time.process_time()

    with pytest.raises(InvalidInput, match=message):
        check_grammar(text)
    assert time.process_time() - started < MAX_CPU_SECONDS
