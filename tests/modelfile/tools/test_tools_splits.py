"""However an answer is cut, the same is found in it; and no answer makes a parser fail."""

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tool_answers import cut_text, read_pieces

from ollamapy.modelfile.tools import (
    command_r,
    deepseek,
    function_tag,
    functiongemma,
    generic,
    glm45,
    granite,
    harmony,
    hermes,
    invoke,
    kimi_k2,
    lfm2,
    llama3,
    mistral,
    named_line,
    nemotron,
    olmo3,
    qwen3_coder,
)
from ollamapy.modelfile.tools.machine import NewParser

JSON = (
    '{"name": "get_weather", "arguments": {"city": "Paris"}}',
    '{"name": "get_time", "parameters": {}}',
    '{"tool_name": "other", "parameters": "{}"}',
    '{"name": "get_weather", "arguments": {"city": "a } ] \\" </tool_call> b"}}',
    '{"name": "get_weather", "arg',
    '{"x": 1}',
    "get_weather",
    "get_weathering",
    "[",
    "]",
    "}",
    ", ",
    "; ",
    "two words",
    "[" + '{"name": "get_time", "arguments": {}}' + "]",
)
PYTHON = ('[get_weather(city="Paris")', "get_time()", "other(a=[1, {'b': None}])", "(", ")", "'", "='it's', ", "=")
FORMATS: dict[str, tuple[NewParser, tuple[str, ...]]] = {
    "hermes": (hermes.new, hermes.MARKS),
    "granite": (granite.new, granite.MARKS),
    "command_r": (command_r.new, (*command_r.MARKS, "Action:", "```json\n", "```")),
    "llama3": (llama3.new, (*llama3.MARKS, 'web.call(query="x")', *PYTHON)),
    "mistral": (mistral.new, (*mistral.MARKS, "[TOOL_CALLS]get_time[ARGS]{}", "[CALL_ID]a1")),
    "deepseek": (
        deepseek.new,
        (
            *deepseek.MARKS,
            "function<｜tool▁sep｜>get_time\n```json\n{}\n```",
            "<｜tool▁call▁begin｜>get_time<｜tool▁sep｜>{}<｜tool▁call▁end｜>",
        ),
    ),
    "harmony": (
        harmony.new,
        (
            *harmony.MARKS,
            "<|start|>assistant<|channel|>analysis<|message|>",
            "<|channel|>final<|message|>",
            " to=functions.get_time",
            "<|channel|>commentary to=functions.get_time<|message|>{}",
            "assistant",
        ),
    ),
    "functiongemma": (
        functiongemma.new,
        (
            *functiongemma.FUNCTIONGEMMA.texts,
            "call:get_time{",
            "city:<escape>a<escape>",
            "<start_function_call>call:get_time{}",
        ),
    ),
    "qwen3_coder": (
        qwen3_coder.new,
        (
            *qwen3_coder.MARKS,
            "<function=get_time>",
            "<function=other>",
            "<parameter=city>\n",
            "</parameter>\n",
            "</function>\n",
            "<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n</function>\n</tool_call>",
        ),
    ),
    "gemma4": (functiongemma.new_gemma4, (*functiongemma.GEMMA4.texts, "call:get_time{", 'city:<|"|>a<|"|>', "}")),
    "glm45": (
        glm45.new,
        (*glm45.MARKS, "get_weather\n<arg_key>city</arg_key>\n<arg_value>", "</arg_value>\n</tool_call>", "get_time\n"),
    ),
    "minimax_m2": (
        invoke.new,
        (
            *invoke.marks_of(invoke.MINIMAX),
            '<invoke name="get_weather">\n',
            '<parameter name="city">',
            "</parameter>\n",
            "</invoke>\n",
        ),
    ),
    "deepseek_v3.2": (
        invoke.new_dsml,
        (
            "<｜DSML｜function_calls>\n",
            "</｜DSML｜function_calls>",
            '<｜DSML｜invoke name="get_weather">\n',
            '<｜DSML｜parameter name="city" string="true">',
            "</｜DSML｜parameter>\n",
            "</｜DSML｜invoke>\n",
        ),
    ),
    "kimi_k2": (kimi_k2.new, (*kimi_k2.MARKS, "functions.get_time:0", "<|tool_call_argument_begin|>{}")),
    "nemotron": (nemotron.new, nemotron.MARKS),
    "lfm2": (lfm2.new, (*lfm2.MARKS, *PYTHON)),
    "olmo3": (olmo3.new, (*olmo3.MARKS, *PYTHON)),
    "glm4": (named_line.new_glm4, ("<|assistant|>", "get_time\n{}", "get_weather\n", "\n")),
    "functionary": (named_line.new_functionary, (">>>", "all\n", "get_time\n{}", "get_weather\n", "\n")),
    "function_tag": (function_tag.new, (*function_tag.MARKS, "get_time>{}")),
    "generic {": (generic.new, ()),
    "generic [": (partial(generic.new, tag="["), ()),
    "generic tag": (partial(generic.new, tag="<tool_call>"), hermes.MARKS),
}


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_every_cut_gives_the_same(name: str, data: st.DataObject) -> None:
    new, fragments = FORMATS[name]
    pieces = data.draw(cut_text((*fragments, *JSON)))

    found = read_pieces(new, pieces)

    assert found == read_pieces(new, ["".join(pieces)])
    assert found == read_pieces(new, "".join(pieces))


@pytest.mark.parametrize("name", FORMATS)
@given(text=st.text(st.characters(categories=["L", "Z", "N"])))
def test_an_answer_without_any_mark_is_content_to_the_letter(name: str, text: str) -> None:
    found = read_pieces(FORMATS[name][0], text)

    assert (found.content, found.calls, found.warnings) == (text, (), ())
