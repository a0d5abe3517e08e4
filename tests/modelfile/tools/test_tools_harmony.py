"""Harmony: the channel and the recipient of a message say what it is."""

import pytest
from tool_answers import NOW, PARIS, read, warned

from ollamapy.modelfile.tools import harmony
from ollamapy.modelfile.tools.found import Call, Found

THOUGHT = "<|channel|>analysis<|message|>I think.<|end|><|start|>assistant"
ARGUMENTS = '{"city": "Paris"}'


def test_content_that_is_held_to_a_grammar_is_content_whatever_it_says() -> None:
    said = '{"a": "<|end|><|start|>assistant<|channel|>commentary to=f<|message|>{}<|call|>"}'

    found = read(harmony.new_held, f"{THOUGHT}<|channel|>final<|message|>{said}")

    assert found == Found(content=said, thinking="I think.")


def test_channels_tell_thinking_and_content_apart() -> None:
    text = f"{THOUGHT}<|channel|>final<|message|>Four\nand so.<|return|>"

    assert read(harmony.new, text) == Found(content="Four\nand so.", thinking="I think.")


@pytest.mark.parametrize(
    "header",
    [
        "<|channel|>commentary to=functions.get_weather <|constrain|>json",
        "<|channel|>commentary to=functions.get_weather json",
        "<|channel|>commentary to=functions.get_weather",
        "<|channel|>analysis to=functions.get_weather",
        " to=functions.get_weather<|channel|>commentary json",
        " to=functions.get_weather<|channel|>commentary <|constrain|>json",
        " to=get_weather<|channel|>commentary",
        "<|start|>assistant to=functions.get_weather<|channel|>commentary",
    ],
)
@pytest.mark.parametrize("end", ["<|call|>", ""])
def test_a_message_to_a_tool_is_a_call(header: str, end: str) -> None:
    assert read(harmony.new, f"{header}<|message|>{ARGUMENTS}{end}") == Found(calls=(PARIS,))


def test_a_call_follows_thinking_and_a_preamble() -> None:
    text = (
        f"{THOUGHT}<|channel|>commentary<|message|>I look.<|end|>"
        "<|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json"
        f"<|message|>{ARGUMENTS}<|call|>"
        "<|start|>assistant<|channel|>commentary to=functions.get_time<|message|><|call|>"
    )

    assert read(harmony.new, text) == Found("I look.", "I think.", (PARIS, NOW))


def test_a_call_without_arguments_may_end_with_its_header() -> None:
    assert read(harmony.new, " to=functions.get_time<|message|>") == Found(calls=(NOW,))


def test_the_assistant_is_no_tool() -> None:
    text = "<|channel|>commentary to=assistant<|channel|>analysis<|message|>hm<|end|><|channel|>final<|message|>yes"

    assert read(harmony.new, text) == Found(content="yes", thinking="hm")


def test_a_message_may_begin_before_the_last_one_ended() -> None:
    text = (
        "<|channel|>analysis<|message|>a<|start|>assistant<|channel|>analysis<|message|>b<|channel|>final<|message|>c"
    )

    assert read(harmony.new, text) == Found(content="c", thinking="ab")


@pytest.mark.parametrize("text", ["Plain.", " to be", "<b>", " t", "assistant", "<|st", "<"])
def test_an_answer_without_a_header_is_content(text: str) -> None:
    assert read(harmony.new, text) == Found(text)


def test_thinking_streams() -> None:
    parser = harmony.new(())
    parser.push("<|channel|>analysis<|message|>")

    assert parser.push("one <|e").thinking == "one "
    assert parser.push("nd") == Found()
    assert parser.push("|>") == Found()


@pytest.mark.parametrize("rest", ["<|start|>", "<|start|>assistant", "<|start|>assistant<|channel|>fin"])
def test_a_header_that_the_end_cuts_says_nothing(rest: str) -> None:
    assert read(harmony.new, f"<|channel|>final<|message|>a<|end|>{rest}") == Found("a")


def test_a_call_that_the_end_cuts_in_its_header_is_content_and_a_warning() -> None:
    assert warned(read(harmony.new, " to=functions.get_t")) == (" to=functions.get_t", (), 1)


@pytest.mark.parametrize("body", ["print(1)", '{"city": ', "[1]"])
@pytest.mark.parametrize("end", ["<|call|>", ""])
def test_a_message_to_a_tool_that_is_no_json_is_content_and_a_warning(body: str, end: str) -> None:
    assert warned(read(harmony.new, f" to=python<|channel|>analysis<|message|>{body}{end}")) == (body, (), 1)


def test_a_built_in_tool_is_passed_on_by_its_name() -> None:
    text = '<|channel|>analysis to=browser.search<|message|>{"query": "x"}<|call|>'

    assert read(harmony.new, text) == Found(calls=(Call("browser.search", {"query": "x"}),))


@pytest.mark.parametrize("mark", ["<|call|>", "<|start|>assistant<|channel|>final<|message|>", "} <|end|>"])
def test_a_mark_inside_the_arguments_is_a_part_of_them(mark: str) -> None:
    text = f'<|channel|>commentary to=functions.get_weather<|message|> {{"city": "{mark}"}}<|call|>'

    assert read(harmony.new, text) == Found(calls=(Call("get_weather", {"city": mark}),))


def test_a_message_after_arguments_that_never_end_is_read() -> None:
    text = ' to=functions.get_time<|message|>{"a": <|call|><|start|>assistant<|channel|>final<|message|>so'

    assert warned(read(harmony.new, text)) == ('{"a": so', (), 1)
