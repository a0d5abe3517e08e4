"""Qwen 3 Coder: calls as XML, values typed by the schema of the offered tool."""

from typing import Any

import pytest
from tool_answers import NOW, TOOLS, read, tool, warned

from ollamapy.modelfile.tools import qwen3_coder
from ollamapy.modelfile.tools.found import Call, Found
from ollamapy.modelfile.tools.typed import typed_value, types_of

WEATHER = """<tool_call>
<function=get_weather>
<parameter=city>
Paris
</parameter>
<parameter=days>
3
</parameter>
</function>
</tool_call>"""
PARIS = Call("get_weather", {"city": "Paris", "days": 3})


def call(value: str, name: str = "city") -> str:
    return f"<tool_call>\n<function=get_weather>\n<parameter={name}>\n{value}\n</parameter>\n</function>\n</tool_call>"


def test_a_call_after_text_is_found() -> None:
    assert read(qwen3_coder.new, f"I look.\n\n{WEATHER}") == Found("I look.", calls=(PARIS,))


@pytest.mark.parametrize("between", ["", "\n", "\n\n"])
def test_several_calls_are_found(between: str) -> None:
    text = f"{WEATHER}{between}<tool_call><function=get_time></function></tool_call>{between}Done."

    assert read(qwen3_coder.new, text) == Found("Done.", calls=(PARIS, NOW))


def test_seed_oss_has_a_prefix_before_the_outer_tag() -> None:
    text = WEATHER.replace("tool_call>", "seed:tool_call>")

    assert read(qwen3_coder.new, text + " ok") == Found("ok", calls=(PARIS,))


@pytest.mark.parametrize("text", [WEATHER.removeprefix("<tool_call>\n"), WEATHER.removesuffix("\n</tool_call>")])
def test_the_outer_tags_may_be_missing(text: str) -> None:
    assert read(qwen3_coder.new, text) == Found(calls=(PARIS,))


@pytest.mark.parametrize(
    "text", ["#include <functional>", "<function=fly>\n</function>", "<function=", "<function=fly me"]
)
def test_a_function_that_was_not_offered_is_content_without_the_outer_tag(text: str) -> None:
    assert read(qwen3_coder.new, text) == Found(text)


def test_a_function_that_was_not_offered_is_passed_on_inside_the_outer_tag() -> None:
    text = "<tool_call>\n<function=fly>\n<parameter=to>\n7\n</parameter>\n</function>\n</tool_call>"

    assert read(qwen3_coder.new, text) == Found(calls=(Call("fly", {"to": "7"}),))


@pytest.mark.parametrize(
    "value",
    [
        "a\n\nb",
        "  indented",
        "</parameter>",
        "</parameter> x",
        "</function>",
        "<parameter>",
        "a < b > c & d",
        "東京 🙂",
        "",
        '{"a": 1}',
        "null",
        "</tool_call>",
        "<tool_call>",
    ],
)
def test_a_string_is_taken_to_the_letter(value: str) -> None:
    assert read(qwen3_coder.new, call(value)) == Found(calls=(Call("get_weather", {"city": value}),))


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"type": "integer"}, " 7 ", 7),
        ({"type": "integer"}, "seven", "seven"),
        ({"type": "integer"}, "true", "true"),
        ({"type": "number"}, "1.5e2", 150.0),
        ({"type": "number"}, "7", 7),
        ({"type": "boolean"}, "True", True),
        ({"type": "boolean"}, "1", "1"),
        ({"type": "null"}, "None", None),
        ({"type": ["string", "null"]}, "null", None),
        ({"type": ["string", "null"]}, "7", "7"),
        ({"type": "array"}, "[1, 2]", [1, 2]),
        ({"type": "array"}, "{}", "{}"),
        ({"type": "object"}, '{"b": 1, "a": 2}', {"b": 1, "a": 2}),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "7", 7),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}, 3]}, "x", "x"),
        ({"type": "string"}, "7", "7"),
        ({"type": "integer"}, "1.0", 1.0),
        ({"type": "string", "nullable": True}, "null", None),
        ({"enum": [1, "a"]}, "1", 1),
        ({"const": True}, "true", True),
        ({"$ref": "#/properties/x"}, "7", "7"),
        ({"$ref": 7}, "7", "7"),
        ({"allOf": [{"type": "integer"}]}, "7", 7),
        ({"type": 3, "anyOf": 4}, "7", "7"),
        ({"type": "unheard"}, "7", "7"),
        ({}, "7", "7"),
        (None, "true", "true"),
    ],
)
def test_a_value_has_the_type_of_its_schema_if_it_fits(schema: Any, text: str, value: Any) -> None:
    result = typed_value(text, types_of({"properties": {"x": schema}}, "x"))

    assert (result, type(result)) == (value, type(value))


def test_an_argument_that_no_schema_tells_of_is_a_string() -> None:
    odd = tool("odd", known={"type": "integer"})
    text = "<function=odd><parameter=other>7</parameter><parameter=known>7</parameter></function>"

    assert read(qwen3_coder.new, text, (odd,)) == Found(calls=(Call("odd", {"other": "7", "known": 7}),))


def test_a_schema_without_properties_makes_strings() -> None:
    text = "<function=get_time><parameter=zone>7</parameter></function>"

    assert read(qwen3_coder.new, text, TOOLS) == Found(calls=(Call("get_time", {"zone": "7"}),))


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call>",
        "<tool_call>\nno",
        "<tool_call>\n<function=>\n</function>",
        "<tool_call>\n<function=f\n></function>",
        "<tool_call>\n<function=f",
        "<tool_call>\n<function=f>\nnot a parameter",
        "<tool_call>\n<function=f>\n<parameter=a>1",
        "<tool_call>\n<function=f>\n<parameter=a>1</parameter>",
        "<tool_call>\n<function=f>\n<para",
        "<tool_call>\n<function=f>\n</func",
        "<function=get_time>\n?",
    ],
)
def test_what_is_no_call_is_content_and_a_warning(text: str) -> None:
    assert warned(read(qwen3_coder.new, f"Hm. {text}")) == (f"Hm. {text}", (), 1)


def test_a_long_value_is_not_read_anew_for_each_piece() -> None:
    parser, size = qwen3_coder.new(TOOLS), 1_000_000
    parser.push("<function=get_weather><parameter=city>")
    for _ in range(size // 500):
        parser.push("x" * 500)

    assert parser.push("</parameter></function>").calls == (Call("get_weather", {"city": "x" * size}),)
