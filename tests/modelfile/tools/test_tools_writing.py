"""Every call that a grammar lets through is read by the format's parser, and holds to the schema of its tool."""

import functools
import json
import random
import re
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from fakes import gbnf
from fakes.schema_values import values
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tool_answers import read_pieces

from ollamapy.errors import InvalidInput
from ollamapy.modelfile.grammar import check_grammar, tool_call_grammar
from ollamapy.modelfile.tools import choose as chooser
from ollamapy.modelfile.tools.choose import Format, choose
from ollamapy.modelfile.tools.found import Call
from ollamapy.modelfile.tools.writing import syntaxes_of
from ollamapy.wire.native import Tool, ToolFunction

TEMPLATES = {
    "generic {": "{{ .Tools }}",
    "generic [": "[",
    "generic tag": "<tools_used>",
    "generic open list": "[TOOL_CALLS] [",
    "harmony": "<|start|>assistant<|channel|>final<|message|>",
    "hermes": "<tool_call> arguments",
    "qwen3_coder": "<tool_call>\n<function=\n<parameter=",
    "seed": "<seed:tool_call>\n<function=\n<parameter=",
    "functiongemma": "<start_function_call>call:",
    "gemma4": "<|tool_call>call:<tool_call|>",
    "deepseek": "<｜tool▁call▁begin｜>function<｜tool▁sep｜>\n```json",
    "deepseek 3.1": "<｜tool▁call▁begin｜><｜tool▁sep｜>",
    "deepseek 3.2": "<｜DSML｜invoke",
    "mistral list": "[TOOL_CALLS]",
    "mistral name": "[TOOL_CALLS][ARGS]",
    "command_r": "<|START_ACTION|>",
    "command_r fenced": "Action: ```json tool_name",
    "granite": "<|tool_call|>",
    "llama3": "<|python_tag|>",
    "llama4": "<|python_start|>",
    "glm4": "[gMASK]<|observation|>",
    "glm45": "<arg_key><arg_value>",
    "kimi_k2": "<|tool_calls_section_begin|>",
    "lfm2": "<|tool_call_start|>",
    "olmo3": "<function_calls>",
    "minimax": "<minimax:tool_call>",
    "nemotron": "<TOOLCALL>",
    "functionary": ">>>all",
    "function_tag": "<function=",
}
ACT = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "count": {"type": "integer"},
        "mode": {"enum": ["on", "off"]},
        "size": {"type": ["number", "null"]},
        "list": {"type": "array", "items": {"type": "string"}},
        "more": {"type": "object", "properties": {"key": {"type": "string"}, "is_set": {"type": "boolean"}}},
    },
    "required": ["text", "count"],
}
Arguments = dict[str, Any]


def as_json(arguments: Arguments, key: str = "arguments", name: str = "name") -> str:
    return json.dumps({name: "act", key: arguments}, ensure_ascii=False)


def bare(arguments: Arguments) -> str:
    return json.dumps(arguments, ensure_ascii=False)


def gemma(value: Any, quote: str) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{gemma(item, quote)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(gemma(item, quote) for item in value) + "]"
    return f"{quote}{value}{quote}" if isinstance(value, str) else json.dumps(value)


def element(key: str, value: Any, shape: str) -> str:
    return shape.format(key, value if isinstance(value, str) else bare(value))


def elements(arguments: Arguments, shape: str) -> str:
    return "".join(element(key, value, shape) for key, value in arguments.items())


def python(arguments: Arguments) -> str:
    return ", ".join(f"{key}={bare(value)}" for key, value in arguments.items())


def dsml(arguments: Arguments) -> str:
    shape = '<｜DSML｜parameter name="{}" string="%s">{}</｜DSML｜parameter>\n'
    return "".join(element(key, value, shape % str(isinstance(value, str)).lower()) for key, value in arguments.items())


XML = "<parameter={}>\n{}\n</parameter>\n"
ARG = "<arg_key>{}</arg_key>\n<arg_value>{}</arg_value>\n"
BEGIN, END = "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>", "<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
KIMI = "<|tool_calls_section_begin|><|tool_call_begin|>functions.act:0<|tool_call_argument_begin|>"
PRINTED: dict[str, Callable[[Arguments], str]] = {
    "generic {": as_json,
    "generic [": lambda a: f"[{as_json(a)}]",
    "generic tag": lambda a: f"<tools_used> [{as_json(a, 'parameters')}]",
    "generic open list": lambda a: f"[TOOL_CALLS] [{as_json(a)}]",
    "harmony": lambda a: f"<|channel|>commentary to=functions.act <|constrain|>json<|message|>{bare(a)}",
    "hermes": lambda a: f"<tool_call>\n{as_json(a)}\n</tool_call>",
    "qwen3_coder": lambda a: f"<tool_call>\n<function=act>\n{elements(a, XML)}</function>\n</tool_call>",
    "seed": lambda a: f"<seed:tool_call>\n<function=act>\n{elements(a, XML)}</function>\n</seed:tool_call>",
    "functiongemma": lambda a: f"<start_function_call>call:act{gemma(a, '<escape>')}<end_function_call>",
    "gemma4": lambda a: "<|tool_call>call:act" + gemma(a, '<|"|>') + "<tool_call|>",
    "deepseek": lambda a: f"{BEGIN}function<｜tool▁sep｜>act\n```json\n{bare(a)}\n```{END}",
    "deepseek 3.1": lambda a: f"{BEGIN}act<｜tool▁sep｜>{bare(a)}{END}",
    "deepseek 3.2": lambda a: (
        f'<｜DSML｜function_calls>\n<｜DSML｜invoke name="act">\n{dsml(a)}</｜DSML｜invoke>\n</｜DSML｜function_calls>'
    ),
    "mistral list": lambda a: f"[TOOL_CALLS] [{as_json(a)}]",
    "mistral name": lambda a: f"[TOOL_CALLS]act[ARGS]{bare(a)}",
    "command_r": lambda a: f"<|START_ACTION|>[\n    {as_json(a, 'parameters', 'tool_name')}\n]<|END_ACTION|>",
    "command_r fenced": lambda a: f"Action: ```json\n[\n    {as_json(a, 'parameters', 'tool_name')}\n]```",
    "granite": lambda a: f"<|tool_call|>[{as_json(a)}]",
    "llama3": lambda a: as_json(a, "parameters"),
    "llama4": lambda a: f"<|python_start|>{as_json(a, 'parameters')}<|python_end|>",
    "glm4": lambda a: f"act\n{bare(a)}",
    "glm45": lambda a: f"<tool_call>act\n{elements(a, ARG)}</tool_call>",
    "kimi_k2": lambda a: f"{KIMI}{bare(a)}<|tool_call_end|><|tool_calls_section_end|>",
    "lfm2": lambda a: f"<|tool_call_start|>[act({python(a)})]<|tool_call_end|>",
    "olmo3": lambda a: f"<function_calls>\nact({python(a)})\n</function_calls>",
    "minimax": lambda a: (
        '<minimax:tool_call>\n<invoke name="act">\n'
        + elements(a, '<parameter name="{}">{}</parameter>' + chr(10))
        + "</invoke>\n</minimax:tool_call>"
    ),
    "nemotron": lambda a: f"<TOOLCALL>[{as_json(a)}]</TOOLCALL>",
    "functionary": lambda a: f"act\n{bare(a)}",
    "function_tag": lambda a: f"<function=act>{bare(a)}</function>",
}


def form_of(family: str) -> Format:
    template = TEMPLATES[family]
    if family.startswith("generic"):
        return choose("", "go", tool_tag="{" if family == "generic {" else template)
    return choose(template, "jinja")


def tool(name: str, parameters: Any = None) -> Tool:
    return Tool(ToolFunction(name, parameters=parameters or {}))


def texts(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


CONTROL = re.compile(r"\\x[0189]|</|<escape>|<\||｜|\|>")
SHORT = {"type": "string", "maxLength": 30}
TOOLS = (
    tool("get_weather", texts(city=SHORT, days={"type": "integer", "minimum": 1})),
    tool("get_weather_map", texts(area={"type": "string"})),
    tool("ping"),
    tool("nothing", {"type": "object", "properties": {}, "required": []}),
    tool("maybe", {"type": "object", "properties": {"a": {"type": ["string", "null"]}, "b": {"type": "number"}}}),
    tool("choice", texts(of={"enum": ["a", 1, True, None, "true", "7", "[]"]}, to={"const": 3})),
    tool("either", texts(x={"anyOf": [{"type": "integer", "maximum": 5}, {"type": "string", "maxLength": 60}]})),
    tool("words", texts(x={"type": ["string", "boolean", "array"], "items": {"type": "string"}})),
    tool("deep", texts(x={"type": "array", "items": texts(code={"type": "string"}, n={"type": "integer"})})),
    tool("free", texts(x={"type": "object"}, y={})),
    tool("open", {"type": "object"}),
    tool("counted", texts(x={"type": "object", "additionalProperties": {"type": "integer"}})),
    tool("shared", {**texts(x={"$ref": "#/$defs/n"}), "$defs": {"n": {"type": "integer", "exclusiveMinimum": 2}}}),
    tool("coded", texts(x={"type": "string", "pattern": "^[A-Z<]{2,5}$"}, y={"type": "string", "minLength": 200})),
    tool("either_of", {"anyOf": [texts(a=SHORT), texts(b={"type": "boolean"})]}),
)


@functools.cache
def grammar(family: str) -> gbnf.Gbnf:
    text = tool_call_grammar(TOOLS, syntaxes_of(form_of(family), TEMPLATES[family]))
    check_grammar(text)
    return gbnf.parse(text)


@pytest.mark.parametrize("family", TEMPLATES)
def test_whatever_the_grammar_makes_is_one_call_that_fits_its_tool(family: str) -> None:
    form, chance = form_of(family), random.Random(family)
    schemas = {entry.function.name: entry.function.parameters for entry in TOOLS}
    seen = set()
    for _ in range(60):
        text = grammar(family).write(chance)

        found = read_pieces(form.new, [text], TOOLS)

        assert found == read_pieces(form.new, text, TOOLS), text
        assert len(found.calls) == 1, text
        assert not found.warnings, text
        assert not found.content.strip(), text
        jsonschema.validate(found.calls[0].arguments, schemas[found.calls[0].name])
        seen.add(found.calls[0].name)
    assert len(seen) > 8


@functools.cache
def act_grammar(family: str) -> gbnf.Gbnf:
    return gbnf.parse(tool_call_grammar((tool("act", ACT),), syntaxes_of(form_of(family), TEMPLATES[family])))


@pytest.mark.parametrize("family", TEMPLATES)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_a_call_as_the_family_prints_it_is_let_through(family: str, data: st.DataObject) -> None:
    arguments = data.draw(values(ACT, ACT))
    assume(not CONTROL.search(repr(arguments)))

    text = PRINTED[family](arguments)

    assert act_grammar(family).accepts(text), text
    assert read_pieces(form_of(family).new, [text], (tool("act", ACT),)).calls[0].arguments == arguments


@pytest.mark.parametrize("family", TEMPLATES)
def test_a_call_that_does_not_fit_is_not_let_through(family: str) -> None:
    written = PRINTED[family]

    assert act_grammar(family).accepts(written({"text": "a", "count": 1}))
    assert not act_grammar(family).accepts(written({"text": "a"}))
    assert not act_grammar(family).accepts(written({"text": "a", "count": 1.5}))
    assert not act_grammar(family).accepts(written({"text": "a", "count": 1, "mode": "off or on"}))
    assert not act_grammar(family).accepts(written({"text": "a", "count": 1, "other": 1}))
    assert not act_grammar(family).accepts(written({"text": "a", "count": 1}).replace("act", "fact"))
    assert not act_grammar(family).accepts(written({"text": "a", "count": 1}) + " ")


@pytest.mark.parametrize("family", TEMPLATES)
def test_a_named_tool_is_the_only_one_that_can_be_called(family: str) -> None:
    form, chance = form_of(family), random.Random(family)
    text = tool_call_grammar(TOOLS, syntaxes_of(form, TEMPLATES[family]), names=["ping"])
    grammar = gbnf.parse(text)

    calls = [read_pieces(form.new, [grammar.write(chance)], TOOLS).calls for _ in range(10)]

    assert calls == [(Call("ping", {}),)] * 10


def test_a_format_without_calls_has_no_way_to_write_one() -> None:
    assert syntaxes_of(choose("", "jinja", "", "passthrough"), "") == ()


def test_every_other_format_has_one() -> None:
    formats = {value for value in vars(chooser).values() if isinstance(value, Format)} - {chooser.PASSTHROUGH}

    assert [form.name for form in formats if not syntaxes_of(form, "")] == []
    assert {form.name for form in map(form_of, TEMPLATES)} >= {form.name for form in formats}


# The generic parser takes the first name that it finds


@pytest.mark.parametrize(
    "names", [("name", "a"), ("a", "me", "get"), ("arguments", "name"), ("get", "get_time"), ("e",)]
)
def test_names_that_hide_in_the_syntax_are_found_all_the_same(names: tuple[str, ...]) -> None:
    form, tools, chance = form_of("generic {"), tuple(tool(name) for name in names), random.Random(1)

    for name in names:
        grammar = gbnf.parse(tool_call_grammar(tools, syntaxes_of(form, ""), names=[name]))
        assert read_pieces(form.new, [grammar.write(chance)], tools).calls == (Call(name, {}),)


@pytest.mark.parametrize(
    ("family", "name", "message"),
    [
        ("generic {", 'say "hi"', "cannot be found in an answer"),
        ("generic tag", "tool", "cannot be found in an answer"),
        ("harmony", "two words", "use letters, digits and _"),
        ("lfm2", "2fast", "use letters, digits and _"),
        ("kimi_k2", "a:1", "use letters, digits and _"),
    ],
)
def test_a_name_that_the_format_cannot_hold_is_refused(family: str, name: str, message: str) -> None:
    tools = (tool(name), tool("tools"))
    with pytest.raises(InvalidInput, match=f"tools: .*{re.escape(message)}"):
        tool_call_grammar(tools, syntaxes_of(form_of(family), TEMPLATES[family]), names=[name])


def test_json_holds_any_name() -> None:
    odd, form = tool('say "hi"\n🙂'), form_of("hermes")

    grammar = gbnf.parse(tool_call_grammar((odd,), syntaxes_of(form, "")))

    assert read_pieces(form.new, [grammar.write(random.Random(1))], (odd,)).calls == (Call(odd.function.name, {}),)


# Arguments as elements


@pytest.mark.parametrize(
    ("schema", "text", "is_taken"),
    [
        ({"type": "string"}, "7", True),
        ({"type": "string"}, "a</parameter>b", False),
        ({"type": "string"}, "<div></div>\n", True),
        ({"type": "string", "maxLength": 3}, "abcd", False),
        ({"type": "string", "maxLength": 500}, "a" * 500, True),
        ({"type": "string", "maxLength": 500}, "a" * 501, False),
        ({"type": "string", "maxLength": 500}, "a <b", True),
        ({"type": "string", "maxLength": 500}, "a > b", False),
        ({"type": ["string", "null"], "maxLength": 500}, "nullable", False),
        ({"type": ["string", "null"]}, "nullable", True),
        ({"type": ["string", "null"]}, "null", True),
        ({"anyOf": [{"type": "integer", "maximum": 5}, {"type": "string"}]}, "7", False),
        ({"anyOf": [{"type": "integer", "maximum": 5}, {"type": "string"}]}, "7 days", True),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "7", True),
        ({"type": ["string", "boolean"]}, "TRUE", False),
        ({"type": ["string", "array"]}, "[a", False),
        ({"type": "array", "items": {"type": "string"}}, '["</parameter>"]', False),
        ({"type": "array", "items": {"type": "string"}}, '["<b>"]', True),
        ({"enum": ["</parameter>", "b"]}, "b", True),
        ({"enum": [1, "1"]}, "1", True),
        ({"enum": [[1, "a"], {"b": None}]}, '{"b": null}', True),
        ({"type": ["integer", "null"], "enum": [1.0, None]}, "1.0", True),
        ({}, "anything", True),
        ({"minimum": 3}, "2", True),
        ({"$ref": "#/$defs/n"}, "2", True),
        ({"$ref": "#/$defs/n"}, "two", False),
        ({"allOf": [{"$ref": "#/$defs/n"}, {"minimum": 5}]}, "4", False),
    ],
)
def test_a_bare_value_is_taken_when_it_will_be_read_as_one_that_fits(schema: Any, text: str, is_taken: bool) -> None:
    parameters = {**texts(x=schema), "$defs": {"n": {"type": "integer"}}}
    form = form_of("qwen3_coder")
    call = f"<tool_call>\n<function=act>\n{XML.format('x', text)}</function>\n</tool_call>"

    grammar = gbnf.parse(tool_call_grammar((tool("act", parameters),), syntaxes_of(form, "")))

    assert grammar.accepts(call) == is_taken
    if is_taken:
        found = read_pieces(form.new, [call], (tool("act", parameters),))
        jsonschema.validate(found.calls[0].arguments, parameters)


def test_an_open_schema_takes_elements_of_any_name() -> None:
    grammar = gbnf.parse(tool_call_grammar((tool("act", {"type": "object"}),), syntaxes_of(form_of("qwen3_coder"), "")))
    call = "<tool_call>\n<function=act>\n{}</function>\n</tool_call>"

    assert grammar.accepts(call.format(""))
    assert grammar.accepts(call.format(XML.format("any", "thing")))
    assert not grammar.accepts(call.format(XML.format("two words", "thing")))


@pytest.mark.parametrize(
    "schema",
    [
        texts(**{"a>b": {"type": "string"}}),
        texts(a={"enum": ["</parameter>"]}),
        {"enum": [{}]},
        {"type": "object", "propertyNames": {"pattern": "^x"}, "minProperties": 1},
        {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1},
    ],
)
def test_arguments_that_elements_cannot_hold_are_refused(schema: Any) -> None:
    with pytest.raises(InvalidInput, match="no value satisfies the schema"):
        tool_call_grammar((tool("act", schema),), syntaxes_of(form_of("qwen3_coder"), ""))


def test_members_that_cannot_be_written_bare_are_left_out_where_they_may_be() -> None:
    schema = {**texts(a={"type": "string"}), "properties": {"a": {"type": "string"}, "b c": {"type": "string"}}}

    grammar = gbnf.parse(tool_call_grammar((tool("act", schema),), syntaxes_of(form_of("functiongemma"), "")))

    assert grammar.accepts("<start_function_call>call:act{a:<escape>x<escape>}<end_function_call>")
    with pytest.raises(InvalidInput, match="no value satisfies the schema"):
        tool_call_grammar((tool("act", texts(**{"b c": {}})),), syntaxes_of(form_of("functiongemma"), ""))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "<escape>a<escape>"),
        ([1, "b"], "[1,<escape>b<escape>]"),
        ({"k": {"l": None}}, "{k:{l:null}}"),
        (7.5, "7.5"),
    ],
)
def test_values_that_are_listed_are_written_as_the_format_has_them(value: Any, text: str) -> None:
    form, listed = form_of("functiongemma"), tool("act", texts(x={"enum": [value, "<escape>", {"two words": 1}]}))
    grammar = gbnf.parse(tool_call_grammar((listed,), syntaxes_of(form, "")))
    call = "<start_function_call>call:act{x:%s}<end_function_call>"

    assert grammar.accepts(call % text)
    assert read_pieces(form.new, [call % text], (listed,)).calls == (Call("act", {"x": value}),)
    assert not grammar.accepts(call % "{two words:1}")
