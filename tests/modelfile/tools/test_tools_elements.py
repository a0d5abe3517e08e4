"""Calls as XML with one element for an argument: GLM 4.5, MiniMax M2, DeepSeek V3.2."""

from typing import Any

import pytest
from tool_answers import NOW, read, tool, warned

from ollamapy.modelfile.tools import glm45, invoke
from ollamapy.modelfile.tools.found import Call, Found
from ollamapy.modelfile.tools.machine import NewParser

PARIS = Call("get_weather", {"city": "Paris", "days": 3})
GLM = (
    "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Paris</arg_value>\n"
    "<arg_key>days</arg_key>\n<arg_value>3</arg_value>\n</tool_call>"
)
GLM_TIME = "<tool_call>get_time\n</tool_call>"
MINIMAX = (
    '<minimax:tool_call>\n<invoke name="get_weather">\n<parameter name="city">Paris</parameter>\n'
    '<parameter name="days">3</parameter>\n</invoke>\n<invoke name="get_time">\n</invoke>\n</minimax:tool_call>'
)
DSML = (
    '<｜DSML｜function_calls>\n<｜DSML｜invoke name="get_weather">\n'
    '<｜DSML｜parameter name="city" string="true">Paris</｜DSML｜parameter>\n'
    '<｜DSML｜parameter name="days" string="false">3</｜DSML｜parameter>\n'
    '</｜DSML｜invoke>\n<｜DSML｜invoke name="get_time">\n</｜DSML｜invoke>\n</｜DSML｜function_calls>'
)


@pytest.mark.parametrize("text", [GLM + "\n" + GLM_TIME, (GLM + GLM_TIME).replace("\n", "")])
def test_glm_writes_keys_and_values(text: str) -> None:
    assert read(glm45.new, f"I look.\n{text}\n") == Found("I look.", calls=(PARIS, NOW))


@pytest.mark.parametrize(("new", "text"), [(invoke.new, MINIMAX), (invoke.new_dsml, DSML)])
def test_one_block_holds_several_calls(new: NewParser, text: str) -> None:
    assert read(new, f"I look.\n\n{text}\nDone.") == Found("I look.Done.", calls=(PARIS, NOW))


@pytest.mark.parametrize(
    ("new", "text", "closing"),
    [(invoke.new, MINIMAX, "\n</minimax:tool_call>"), (invoke.new_dsml, DSML, "\n</｜DSML｜function_calls>")],
)
def test_the_mark_after_the_last_call_may_be_missing(new: NewParser, text: str, closing: str) -> None:
    assert read(new, text.removesuffix(closing)) == Found(calls=(PARIS, NOW))


@pytest.mark.parametrize(
    "value", ["", " two\nlines\n", "a < b", "</tool_call>", "</arg_value> x", "<arg_key>", '{"a": 1}']
)
def test_a_string_is_taken_to_the_letter(value: str) -> None:
    text = f"<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>{value}</arg_value>\n</tool_call>"

    assert read(glm45.new, text) == Found(calls=(Call("get_weather", {"city": value}),))


@pytest.mark.parametrize(
    ("written", "value"), [("[1, {}]", [1, {}]), ("null", None), ("not json", "not json"), ("7", 7)]
)
def test_deepseek_says_itself_what_is_json(written: str, value: Any) -> None:
    text = DSML.replace(">3<", f">{written}<").replace('"days"', '"unheard"')

    assert read(invoke.new_dsml, text).calls[0] == Call("get_weather", {"city": "Paris", "unheard": value})


def test_the_schema_says_the_type_elsewhere() -> None:
    act = tool("act", n={"type": "integer"}, tags={"type": "array"}, s={"type": "string"})
    elements = "".join(f'<parameter name="{k}">{v}</parameter>' for k, v in {"n": 7, "tags": '["a"]', "s": 7}.items())
    text = f'<minimax:tool_call><invoke name="act">{elements}</invoke></minimax:tool_call>'

    assert read(invoke.new, text, (act,)).calls == (Call("act", {"n": 7, "tags": ["a"], "s": "7"}),)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "get_time",
        "get_time\n",
        "\n</tool_call>",
        "get_time\nnow",
        "get_time\n<arg_key>a</arg_key>",
        "get_time\n<arg_key>a</arg_key>\n<arg_value>1",
        "get_time\n<arg_key>a\n</arg_key>x</tool_call>",
        "get_time\n<arg_key>a</arg_key> and then a lot more text <arg_value>1</arg_value></tool_call>",
        "get_time <b>now</b>",
    ],
)
def test_what_is_no_glm_call_is_content_and_a_warning(body: str) -> None:
    assert warned(read(glm45.new, f"Hm. <tool_call>{body}")) == (f"Hm. <tool_call>{body}", (), 1)


@pytest.mark.parametrize("body", ["", "no", "<invoke>", '<invoke name="', '<invoke name="a>', '<invoke name="a">x'])
def test_what_is_no_block_of_calls_is_content_and_a_warning(body: str) -> None:
    assert warned(read(invoke.new, f"<minimax:tool_call>{body}")) == (f"<minimax:tool_call>{body}", (), 1)
