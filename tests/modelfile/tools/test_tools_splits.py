"""However an answer is cut, the same is found in it; and no answer makes a parser fail."""

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tool_answers import cut_text, read_pieces

from ollamapy.modelfile.tools import (
    command_r,
    deepseek,
    functiongemma,
    generic,
    granite,
    harmony,
    hermes,
    llama3,
    mistral,
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
FORMATS: dict[str, tuple[NewParser, tuple[str, ...]]] = {
    "hermes": (hermes.new, hermes.MARKS),
    "granite": (granite.new, granite.MARKS),
    "command_r": (command_r.new, (*command_r.MARKS, "Action:", "```json\n", "```")),
    "llama3": (llama3.new, (*llama3.MARKS, 'web.call(query="x")')),
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
        (*functiongemma.MARKS, "call:get_time{", "city:<escape>a<escape>", "<start_function_call>call:get_time{}"),
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
