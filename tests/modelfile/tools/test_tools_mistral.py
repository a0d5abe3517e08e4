"""Mistral: a list after `[TOOL_CALLS]`, or a name and its arguments."""

import pytest
from tool_answers import NOW, PARIS, read, warned

from ollamapy.modelfile.tools import mistral
from ollamapy.modelfile.tools.found import Found


@pytest.mark.parametrize("space", ["", " ", "\n"])
def test_calls_stand_in_a_list(space: str) -> None:
    text = (
        f"Sure.{space}[TOOL_CALLS]{space}["
        '{"name": "get_weather", "arguments": {"city": "Paris"}, "id": "abc123def"},'
        ' {"name": "get_time", "arguments": {}}]'
    )

    assert read(mistral.new, text) == Found("Sure.", calls=(PARIS, NOW))


@pytest.mark.parametrize("call_id", ["", "[CALL_ID]", "[CALL_ID]a1B-2", "[CALL_ID] a1 "])
@pytest.mark.parametrize("args", ["", "[ARGS]", " [ARGS] "])
def test_newer_models_write_a_name_and_arguments(call_id: str, args: str) -> None:
    text = f'[TOOL_CALLS]get_weather{call_id}{args}{{"city": "Paris"}}[TOOL_CALLS]get_time{call_id}{args}{{}}'

    assert read(mistral.new, text) == Found(calls=(PARIS, NOW))


def test_text_after_arguments_is_content() -> None:
    assert read(mistral.new, "[TOOL_CALLS]get_time[ARGS]{}\nnow") == Found("now", calls=(NOW,))


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "get_time",
        "get_time[ARGS]",
        'get_time[ARGS]{"a"',
        "get_time[ARGS]{a}",
        "get_time[INST]",
        "get_time two",
        "!",
        "get_time[ARGS] no",
        "[{]",
    ],
)
def test_what_is_no_call_is_content_and_a_warning(rest: str) -> None:
    assert warned(read(mistral.new, f"Hm [TOOL_CALLS]{rest}")) == (f"Hm [TOOL_CALLS]{rest}", (), 1)


def test_what_cannot_become_a_call_is_not_held_back() -> None:
    parser = mistral.new(())

    assert parser.push("[TOOL_CALLS]get_time, or not").content == "[TOOL_CALLS]get_time, or not"
