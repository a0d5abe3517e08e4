"""Calls written as JSON after a mark: Hermes, Granite, Command R."""

import json

import pytest
from tool_answers import NOW, PARIS, read, warned

from ollamapy.modelfile.tools import command_r, granite, hermes
from ollamapy.modelfile.tools.found import Call, Found
from ollamapy.modelfile.tools.machine import Machine, NewParser

WEATHER = '{"name": "get_weather", "arguments": {"city": "Paris"}}'
TIME = '{"name": "get_time", "arguments": {}}'


def test_a_call_after_text_is_found_and_the_space_between_belongs_to_neither() -> None:
    found = read(hermes.new, f"I will look.\n\n<tool_call>\n{WEATHER}\n</tool_call>")

    assert found == Found(content="I will look.", calls=(PARIS,))


def test_several_calls_are_found_in_order() -> None:
    text = f"<tool_call>\n{WEATHER}\n</tool_call>\n<tool_call>\n{TIME}\n</tool_call>"

    assert read(hermes.new, text) == Found(calls=(PARIS, NOW))


@pytest.mark.parametrize("separator", ["\n", ",\n", " ; "])
def test_one_tag_may_hold_several_objects(separator: str) -> None:
    assert read(hermes.new, f"<tool_call>{WEATHER}{separator}{TIME}</tool_call>") == Found(calls=(PARIS, NOW))


def test_text_after_a_call_is_content() -> None:
    assert read(hermes.new, f"<tool_call>{TIME}</tool_call>\n\nDone, friend ") == Found("Done, friend ", calls=(NOW,))


def test_a_call_that_the_end_of_the_answer_closes_is_found() -> None:
    assert read(hermes.new, f"<tool_call>\n{TIME}") == Found(calls=(NOW,))


def test_a_call_is_found_as_soon_as_it_is_complete() -> None:
    parser = hermes.new(())
    parser.push(f"<tool_call>{TIME[:-1]}")

    assert parser.push("}").calls == (NOW,)


def test_a_tool_that_was_not_offered_is_passed_on() -> None:
    found = read(hermes.new, '<tool_call>{"name": "fly", "arguments": {"to": "Rome"}}</tool_call>')

    assert found == Found(calls=(Call("fly", {"to": "Rome"}),))


@pytest.mark.parametrize(
    "city",
    ["a } b", 'say \\"hi\\" {', "</tool_call>", "<tool_call>", "東京 \\u6771 🙂", "c:\\\\", "two\nlines", "[[", ""],
)
def test_strings_hold_anything(city: str) -> None:
    text = f'<tool_call>{{"name": "get_weather", "arguments": {{"city": "{city}"}}}}</tool_call>'

    found = read(hermes.new, text)

    assert found == Found(calls=(Call("get_weather", {"city": json.loads(f'"{city}"', strict=False)}),))


def test_arguments_keep_their_order_and_types() -> None:
    arguments = '{"z": 1, "a": [true, null, {"y": 1.5, "b": -2}], "m": 12345678901234567890}'

    found = read(hermes.new, f'<tool_call>{{"name": "f", "arguments": {arguments}}}</tool_call>')

    assert json.dumps(found.calls[0].arguments) == arguments


@pytest.mark.parametrize(
    ("written", "arguments"),
    [
        ('"arguments": "{\\"city\\": \\"Paris\\"}"', {"city": "Paris"}),
        ('"parameters": {"a": 1}', {"a": 1}),
        ('"arguments": ""', {}),
        ('"arguments": null', {}),
        ('"id": 3', {}),
    ],
)
def test_arguments_may_be_text_or_absent(written: str, arguments: dict[str, object]) -> None:
    found = read(hermes.new, f'<tool_call>{{"name": "f", {written}}}</tool_call>')

    assert found == Found(calls=(Call("f", arguments),))


def test_a_call_inside_function_is_found() -> None:
    text = f'<tool_call>{{"type": "function", "function": {WEATHER}}}</tool_call>'

    assert read(hermes.new, text) == Found(calls=(PARIS,))


def test_half_a_surrogate_pair_does_not_get_out() -> None:
    found = read(
        hermes.new, '<tool_call>{"name": "f", "arguments": {"\\ud800": ["\\ud83d\\ude42 \\udc00"]}}</tool_call>'
    )

    assert found == Found(calls=(Call("f", {"\N{REPLACEMENT CHARACTER}": ["🙂 \N{REPLACEMENT CHARACTER}"]}),))


def test_a_bracket_too_many_before_the_closing_mark_is_passed_over() -> None:
    assert read(hermes.new, f"<tool_call>\n{TIME}}}\n</tool_call> ok") == Found("ok", calls=(NOW,))


@pytest.mark.parametrize(
    "body",
    [
        '{"name": "f", "arguments": {"a": 1,,}}',
        '{"name": "f", "arguments": [1]}',
        '{"name": "f", "arguments": "no object"}',
        '{"name": "", "arguments": {}}',
        '{"arguments": {}}',
        '{"name": "f", "arguments": {"a": NaN}}',
        '{"name": "f", "arguments": {"a": 1e999}}',
        "[1]",
        '{"name": "f", "arguments": {"a": ' + "[" * 101 + "]" * 101 + "}}",
        "get_weather(Paris)",
        '{"name": "f", "arguments": {"a": "b}</tool_call>',
        "",
    ],
)
def test_a_call_that_cannot_be_read_is_content_and_a_warning(body: str) -> None:
    text = f"Look: <tool_call>{body}"

    assert warned(read(hermes.new, text)) == (text, (), 1)


def test_nesting_too_deep_for_the_machine_is_content_and_a_warning() -> None:
    text = '<tool_call>{"a": ' + "[" * 200_000 + "]" * 200_000 + "}"
    parser = hermes.new(())

    assert parser.push(text).content == text


def test_calls_after_one_that_cannot_be_read_are_found() -> None:
    text = f'<tool_call>{{"name": "f", "arg</tool_call>\n<tool_call>{TIME}</tool_call>'

    assert warned(read(hermes.new, text)) == ('<tool_call>{"name": "f", "arg</tool_call>', (NOW,), 1)


def test_a_warning_says_what_was_wrong() -> None:
    assert read(hermes.new, "<tool_call>[1]").warnings == ("a tool call could not be read: not an object",)


def test_a_partial_mark_is_held_back_and_given_when_no_call_comes_of_it() -> None:
    parser = hermes.new(())

    assert parser.push("one < two\n<tool_c") == Found(content="one < two")
    assert parser.push("old") == Found(content="\n<tool_cold")


def test_a_long_call_is_read_in_pieces_without_reading_it_anew() -> None:
    parser, size = hermes.new(()), 1_000_000
    parser.push('<tool_call>{"name": "f", "arguments": {"a": "')
    for _ in range(size // 100):
        parser.push("x" * 100)

    assert parser.push('"}}').calls == (Call("f", {"a": "x" * size}),)


@pytest.mark.parametrize("opening", ["<|tool_call|>", "<tool_call>"])
@pytest.mark.parametrize("closing", ["", "<|/tool_call|>", "</tool_call>"])
def test_granite_writes_a_list_after_the_mark(opening: str, closing: str) -> None:
    if (opening, closing) in (("<|tool_call|>", "</tool_call>"), ("<tool_call>", "<|/tool_call|>")):
        closing = ""

    assert read(granite.new, f"{opening}[{WEATHER}, {TIME}]{closing}") == Found(calls=(PARIS, NOW))


def test_text_after_a_list_that_nothing_closes_is_content() -> None:
    assert read(granite.new, f"<|tool_call|> [{TIME}]\n, so it is") == Found(", so it is", calls=(NOW,))


def test_an_empty_list_is_no_call() -> None:
    assert read(granite.new, "<|tool_call|>[]") == Found()


ACTIONS = """[
    {"tool_call_id": "0", "tool_name": "get_weather", "parameters": {"city": "Paris"}},
    {"tool_call_id": "1", "tool_name": "get_time", "parameters": {}}
]"""


def test_command_r_writes_actions_between_marks() -> None:
    text = f"<|START_ACTION|>{ACTIONS}<|END_ACTION|>"

    assert read(command_r.new, text) == Found(calls=(PARIS, NOW))


def test_the_marks_of_a_reply_are_left_out() -> None:
    assert read(command_r.new, "<|START_RESPONSE|>Hello there.<|END_RESPONSE|>") == Found("Hello there.")


@pytest.mark.parametrize("opening", ["Action: ```json\n", "Action:\n```json\n", "Action:```json"])
@pytest.mark.parametrize("closing", ["```", "\n```\n", ""])
def test_command_r_plus_writes_a_fenced_list_after_action(opening: str, closing: str) -> None:
    found = read(command_r.new, f"I see.\n{opening}{ACTIONS}{closing}")

    assert found == Found("I see.", calls=(PARIS, NOW))


@pytest.mark.parametrize("text", ["Action: we go", "Action:", "Action: ``", "Take Action:\n```json"])
def test_the_word_action_alone_is_content_without_a_warning(text: str) -> None:
    assert read(command_r.new, text) == Found(text)


def test_an_action_that_cannot_be_read_is_content_and_a_warning() -> None:
    text = 'Action: ```json\n[{"tool_name": }]\n```'

    assert warned(read(command_r.new, text)) == (text, (), 1)


@pytest.mark.parametrize("new", [hermes.new, granite.new, command_r.new])
def test_a_parser_is_made_anew_for_each_answer(new: NewParser) -> None:
    first, second = new(()), new(())
    first.push("<tool_call>")

    assert isinstance(second, Machine)
    assert second.push("x").content == "x"
