"""Calls in Python: LFM 2, OLMo 3, Llama 3.2 and 4."""

from typing import Any

import pytest
from tool_answers import NOW, PARIS, TIME, read, warned

from ollamapy.modelfile.tools import lfm2, llama3, olmo3, pythonic
from ollamapy.modelfile.tools.found import Call, Found

TWO = 'get_weather(city="Paris"), get_time()'


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("'Paris'", "Paris"),
        ('"it\'s, ok"', "it's, ok"),
        ("'it's fine'", "it's fine"),
        (r"'it\'s, ok'", "it's, ok"),
        (r"'a\n\t\\ \x41\u00e9\U0001f642\q\0'", "a\n\t\\ Aé🙂\\q\0"),
        (r"'\U00110000'", r"\U00110000"),
        (r"'\ud800'", "\N{REPLACEMENT CHARACTER}"),
        ("'two\nlines'", "two\nlines"),
        ('"""a "quoted" b"""', 'a "quoted" b'),
        ("'''a'''", "a"),
        ("''", ""),
        ("'<|tool_call_start|>'", "<|tool_call_start|>"),
        ("'] ) }'", "] ) }"),
        ("7", 7),
        ("-1.5e3", -1500.0),
        ("0x1F", 31),
        ("1_000", 1000),
        ("True", True),
        ("true", True),
        ("None", None),
        ("null", None),
        ("Paris", "Paris"),
        ("New York", "New York"),
        ("[1, 'b', [None]]", [1, "b", [None]]),
        ("(1, 2,)", [1, 2]),
        ("[]", []),
        ("{'a': 1, \"b\": {'c': [True]}}", {"a": 1, "b": {"c": [True]}}),
        ("{}", {}),
    ],
)
def test_a_value_is_read_as_python_would(written: str, value: Any) -> None:
    assert pythonic.read_calls(f"[f(a={written}, b=1)]") == (Call("f", {"a": value, "b": 1}),)


@pytest.mark.parametrize("text", [f"[{TWO}]", f"[ {TWO}, ]", TWO.replace(", ", "\n"), TWO.replace(", ", " ; "), TWO])
def test_calls_stand_in_a_list_or_one_after_the_other(text: str) -> None:
    assert pythonic.read_calls(text) == (PARIS, NOW)


@pytest.mark.parametrize(
    "body",
    [
        "get_weather('Paris')",
        "f(a=)",
        "f(a=1",
        "f(a='x)",
        "f(a=1 'b')",
        "f(a=[1)]",
        "f(a={1: 2})",
        "f(a={'b' 2})",
        "f(a==1)",
        "1 + 1",
        "[f()] then text",
        "f(a=" + "[" * 200 + "]" * 200 + ")",
    ],
)
def test_what_is_no_call_is_content_and_a_warning(body: str) -> None:
    text = f"<|tool_call_start|>[{body}]<|tool_call_end|>"

    assert warned(read(lfm2.new, text)) == (text, (), 1)


def test_text_after_a_list_is_no_part_of_it() -> None:
    assert warned(read(lfm2.new, "<|tool_call_start|>[get_time()] x<|tool_call_end|>"))[1:] == ((), 1)


def test_a_backslash_at_the_end_of_a_piece_waits_for_its_letter() -> None:
    assert read(llama3.new, r"[get_weather(city='a\'] b')]").calls == (Call("get_weather", {"city": "a'] b"}),)


def test_lfm2_writes_calls_between_marks() -> None:
    found = read(lfm2.new, f"Let me see.\n<|tool_call_start|>[{TWO}]<|tool_call_end|>\nDone.")

    assert found == Found("Let me see.Done.", calls=(PARIS, NOW))


@pytest.mark.parametrize("body", ['[{"name": "get_time", "arguments": {}}]', '{"name": "get_time", "arguments": {}}'])
def test_lfm2_writes_json_when_told_so(body: str) -> None:
    assert read(lfm2.new, f"<|tool_call_start|>{body}<|tool_call_end|>") == Found(calls=(NOW,))


def test_an_empty_list_is_no_call() -> None:
    assert read(lfm2.new, "<|tool_call_start|>[]<|tool_call_end|>ok") == Found("ok")


@pytest.mark.parametrize("closing", ["\n</function_calls>", ""])
def test_olmo_writes_a_call_a_line(closing: str) -> None:
    text = f'Sure.\n<function_calls>\nget_weather(city="Paris")\nget_time(){closing}'

    assert read(olmo3.new, text) == Found("Sure.", calls=(PARIS, NOW))


@pytest.mark.parametrize("space", ["", "\n\n"])
def test_llama_answers_with_a_list_alone(space: str) -> None:
    assert read(llama3.new, f"{space}[{TWO}]") == Found(calls=(PARIS, NOW))


@pytest.mark.parametrize(
    "text",
    [
        "[1, 2, 3]",
        "[link](https://example.org)",
        "[fly(to='Rome')]",
        "[get_time(), fly()]",
        "[",
        "[get_time",
        "[ ]",
        "[get_time]()",
    ],
)
def test_a_list_that_calls_no_offered_tools_is_content(text: str) -> None:
    assert read(llama3.new, text) == Found(text)


@pytest.mark.parametrize("text", ["[get_time(a)]", "[get_time(", "[get_time(a='x"])
def test_a_list_that_breaks_off_is_content_and_a_warning(text: str) -> None:
    assert warned(read(llama3.new, text)) == (text, (), 1)


def test_text_after_a_list_is_content() -> None:
    assert read(llama3.new, "[get_time()] and more") == Found("and more", calls=(NOW,))


@pytest.mark.parametrize(
    "body", [f"[{TWO}]", '{"name": "get_weather", "parameters": {"city": "Paris"}}{"name": "get_time"}']
)
def test_llama_4_writes_python_or_json_between_marks(body: str) -> None:
    assert read(llama3.new, f"I look.<|python_start|>{body}<|python_end|>") == Found("I look.", calls=(PARIS, NOW))


@pytest.mark.parametrize("body", ["", "[", "x"])
def test_nothing_between_llama_4_marks_is_content_and_a_warning(body: str) -> None:
    text = f"<|python_start|>{body}"

    assert warned(read(llama3.new, text)) == (text, (), 1)


def test_a_long_list_is_not_read_anew_for_each_piece() -> None:
    parser, size = llama3.new((TIME,)), 1_000_000
    parser.push("[get_time(a='")
    for _ in range(size // 100):
        parser.push("x" * 100)

    assert parser.push("')]").calls == (Call("get_time", {"a": "x" * size}),)
