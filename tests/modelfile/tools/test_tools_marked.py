"""Kimi K2, Nemotron and Gemma 4: calls between marks of their own."""

from typing import Any

import pytest
from tool_answers import NOW, PARIS, read, warned

from ollamapy.modelfile.tools import functiongemma, kimi_k2, nemotron
from ollamapy.modelfile.tools.found import Call, Found

BEGIN, END = "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"
OPEN, ARGUMENTS, CLOSE = "<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>"
WEATHER = f'{OPEN}functions.get_weather:0{ARGUMENTS}{{"city": "Paris"}}{CLOSE}'


def test_kimi_calls_in_a_section() -> None:
    text = f"I look.{BEGIN}{WEATHER}{OPEN}functions.get_time:1{ARGUMENTS}{{}}{CLOSE}{END}"

    assert read(kimi_k2.new, text) == Found("I look.", calls=(PARIS, NOW))


@pytest.mark.parametrize(
    "name", ["get_weather", "get_weather:12", "functions.get_weather", " functions.get_weather:0 "]
)
def test_the_number_and_the_prefix_of_a_name_are_left_out(name: str) -> None:
    assert read(kimi_k2.new, f'{OPEN}{name}{ARGUMENTS}{{"city": "Paris"}}').calls == (PARIS,)


@pytest.mark.parametrize(
    "body", ["", "get_time", f"{ARGUMENTS}{{}}", f"get_time{ARGUMENTS}[1]", f"get_time{ARGUMENTS}{{"]
)
def test_what_is_no_kimi_call_is_content_and_a_warning(body: str) -> None:
    assert warned(read(kimi_k2.new, f"{BEGIN}{OPEN}{body}{CLOSE}{END}")) == (f"{OPEN}{body}{CLOSE}", (), 1)


def test_nemotron_calls_in_a_list() -> None:
    text = '<TOOLCALL>[{"name": "get_weather", "arguments": {"city": "Paris"}}, {"name": "get_time"}]</TOOLCALL>'

    assert read(nemotron.new, f"Sure. {text}\n") == Found("Sure.", calls=(PARIS, NOW))


def test_gemma_4_writes_what_functiongemma_does_with_other_marks() -> None:
    text = '<|tool_call>call:get_weather{city:<|"|>Paris<|"|>}<tool_call|><|tool_call>call:get_time{}<tool_call|>'

    assert read(functiongemma.new_gemma4, text) == Found(calls=(PARIS, NOW))


@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        ('a:{<|"|>b c<|"|>:1},d:[<|"|>x<|"|>]', {"a": {"b c": 1}, "d": ["x"]}),
        ('a:<|"|><tool_call|>{<|"|>', {"a": "<tool_call|>{"}),
        ("a:true,b:-1.5,c:null", {"a": True, "b": -1.5, "c": None}),
    ],
)
def test_gemma_4_puts_nested_keys_between_quotes(arguments: str, values: dict[str, Any]) -> None:
    found = read(functiongemma.new_gemma4, f"<|tool_call>call:f{{{arguments}}}<tool_call|>")

    assert found.calls == (Call("f", values),)
