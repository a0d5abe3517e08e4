"""FunctionGemma: a notation of its own, with `<escape>` around strings."""

from typing import Any

import pytest
from tool_answers import NOW, PARIS, read, warned

from ollamapy.modelfile.tools import functiongemma
from ollamapy.modelfile.tools.found import Call, Found

WEATHER = "<start_function_call>call:get_weather{city:<escape>Paris<escape>}<end_function_call>"
TIME = "<start_function_call>call:get_time{}<end_function_call>"


def call(arguments: str) -> str:
    return f"<start_function_call>call:f{{{arguments}}}<end_function_call>"


def test_calls_are_found_in_order_after_text() -> None:
    assert read(functiongemma.new, f"Sure. {WEATHER}{TIME}\n") == Found("Sure.", calls=(PARIS, NOW))


@pytest.mark.parametrize("text", [WEATHER.removesuffix("<end_function_call>"), WEATHER + "\n"])
def test_the_end_of_the_answer_closes_a_call(text: str) -> None:
    assert read(functiongemma.new, text) == Found(calls=(PARIS,))


@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        ("a:1,b:-2.5,c:true,d:false,e:null", {"a": 1, "b": -2.5, "c": True, "d": False, "e": None}),
        ("z:1,a:2", {"z": 1, "a": 2}),
        ("a:[1,[<escape>x, y<escape>],[]]", {"a": [1, ["x, y"], []]}),
        ("a:{b:{c:<escape>}<escape>},d:{}}", {"a": {"b": {"c": "}"}, "d": {}}}),
        (" a : 1 , b : [ 1 , 2 ] ", {"a": 1, "b": [1, 2]}),
        ("<escape>", None),
        ("a:<escape><end_function_call><escape>", {"a": "<end_function_call>"}),
        ("a:<escape>東京 {\"'\\\n🙂<escape>", {"a": "東京 {\"'\\\n🙂"}),
        ("a:<escape><escape>", {"a": ""}),
        ("a:Paris is it", {"a": "Paris is it"}),
        ("a:1,", {"a": 1}),
    ],
)
def test_arguments_are_read_to_the_letter(arguments: str, values: dict[str, Any] | None) -> None:
    found = read(functiongemma.new, call(arguments))

    assert found.calls == ((Call("f", values),) if values is not None else ())


@pytest.mark.parametrize(
    "body",
    [
        "",
        "f{}",
        "call:{}",
        "call:f",
        "call:f{",
        "call:f{a}",
        "call:f{a:}",
        "call:f{a:1 b:2}x",
        "call:f{a:[1}",
        "call:f{} {}",
        "call:f{a:<escape>b}",
        "call:f{:1}",
        "call:f{a:" + "[" * 101 + "]" * 101 + "}",
        "call:f{a:[1" + "]}}",
    ],
)
def test_what_is_no_call_is_content_and_a_warning(body: str) -> None:
    text = f"<start_function_call>{body}<end_function_call>"

    assert warned(read(functiongemma.new, text)) == (text, (), 1)


def test_nesting_too_deep_for_the_machine_is_content() -> None:
    text = call("a:" + "[" * 200_000)
    parser = functiongemma.new(())

    assert parser.push(text).content == text
