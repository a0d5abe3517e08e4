"""Llama 3: the whole answer is a call, or what follows the tag."""

import pytest
from tool_answers import NOW, PARIS, read, warned

from ollamapy.modelfile.tools import llama3
from ollamapy.modelfile.tools.found import Call, Found

WEATHER = '{"name": "get_weather", "parameters": {"city": "Paris"}}'
TIME = '{"name": "get_time", "parameters": {}}'


@pytest.mark.parametrize("text", [WEATHER, f"\n {WEATHER}\n", f"<|python_tag|>{WEATHER}", f"<|python_tag|> {WEATHER}"])
def test_an_answer_that_is_an_object_is_a_call(text: str) -> None:
    assert read(llama3.new, text) == Found(calls=(PARIS,))


def test_an_object_of_type_function_is_a_call() -> None:
    assert read(llama3.new, '{"type": "function", ' + WEATHER[1:]) == Found(calls=(PARIS,))


@pytest.mark.parametrize("tag", ["", "<|python_tag|>"])
def test_several_objects_are_parted_by_semicolons(tag: str) -> None:
    assert read(llama3.new, f"{tag}{WEATHER}; {TIME}") == Found(calls=(PARIS, NOW))


def test_a_list_after_the_tag_holds_calls() -> None:
    assert read(llama3.new, f"Well.\n<|python_tag|>[{WEATHER}, {TIME}]") == Found("Well.", calls=(PARIS, NOW))


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "Bob", "age": 3}',
        ' {"answer": [1, 2]} as you asked',
        '{"name": "fly", "parameters": {}}',
        "{ no json }",
        "{ unfinished",
        "  ",
        f"Here: {WEATHER}",
    ],
)
def test_json_that_calls_no_offered_tool_is_content(text: str) -> None:
    assert read(llama3.new, text) == Found(text)


@pytest.mark.parametrize("text", ['{"name": "get_time", "parameters": {,}}', '{"name": "get_time", "para'])
def test_a_broken_call_of_an_offered_tool_is_content_and_a_warning(text: str) -> None:
    assert warned(read(llama3.new, text)) == (text, (), 1)


def test_a_built_in_tool_is_called_in_code() -> None:
    text = '<|python_tag|>brave_search.call(query="the \\"sky\\"", count="3")'

    assert read(llama3.new, text) == Found(calls=(Call("brave_search", {"query": 'the "sky"', "count": "3"}),))


@pytest.mark.parametrize("code", ["print(1)", "web.call(query=1)", 'web.call(query="\\x")', "", " "])
def test_other_code_is_content_and_a_warning(code: str) -> None:
    assert warned(read(llama3.new, f"<|python_tag|>{code}")) == (f"<|python_tag|>{code}", (), 1)


@pytest.mark.parametrize("between", ["", "\n"])
def test_llama_4_has_marks_on_both_sides(between: str) -> None:
    text = f"Well.<|python_start|>{WEATHER}{between}{TIME}<|python_end|>"

    assert read(llama3.new, text) == Found("Well.", calls=(PARIS, NOW))
