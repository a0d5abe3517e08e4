"""Whatever the arguments of a call are, they come out as the model wrote them, however the answer is cut."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tool_answers import read_pieces

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
from ollamapy.modelfile.tools.found import Call, Found
from ollamapy.modelfile.tools.machine import NewParser
from ollamapy.wire.native import Tool, ToolFunction

TEXTS = st.text(st.one_of(st.sampled_from('{}[]<>|"\\/,:\n é東🙂'), st.characters(codec="utf-8")), max_size=12)
NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
VALUES = st.recursive(SCALARS, lambda v: st.one_of(st.lists(v, max_size=3), st.dictionaries(TEXTS, v, max_size=3)))
ARGUMENTS = st.dictionaries(TEXTS, VALUES, max_size=3)
PLAIN_NAMES = st.text(st.sampled_from("abc_é"), min_size=1, max_size=4)
Arguments = dict[str, Any]


def as_json(arguments: Arguments, key: str = "arguments", name: str = "name") -> str:
    return json.dumps({name: "act", key: arguments}, ensure_ascii=False)


def as_harmony(arguments: Arguments) -> str:
    return f"<|channel|>commentary to=functions.act <|constrain|>json<|message|>{json.dumps(arguments)}<|call|>"


def as_deepseek(arguments: Arguments) -> str:
    return f"<｜tool▁call▁begin｜>function<｜tool▁sep｜>act\n```json\n{json.dumps(arguments)}\n```<｜tool▁call▁end｜>"


def as_gemma(arguments: Arguments) -> str:
    return f"<start_function_call>call:act{gemma_value(arguments)}<end_function_call>"


def as_gemma4(arguments: Arguments) -> str:
    return f"""<|tool_call>call:act{gemma_value(arguments, '<|"|>')}<tool_call|>"""


def gemma_value(value: Any, quote: str = "<escape>") -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{gemma_value(item, quote)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(gemma_value(item, quote) for item in value) + "]"
    return f"{quote}{value}{quote}" if isinstance(value, str) else json.dumps(value)


def as_glm45(arguments: Arguments) -> str:
    elements = "".join(
        f"<arg_key>{key}</arg_key>\n<arg_value>{value}</arg_value>\n" for key, value in arguments.items()
    )
    return f"<tool_call>act\n{elements}</tool_call>"


def as_minimax(arguments: Arguments) -> str:
    elements = "".join(f'<parameter name="{key}">{value}</parameter>\n' for key, value in arguments.items())
    return f'<minimax:tool_call>\n<invoke name="act">\n{elements}</invoke>\n</minimax:tool_call>'


def as_dsml(arguments: Arguments) -> str:
    """What is no string is JSON, and the tag says so."""
    values = {
        key: (value, True) if isinstance(value, str) else (json.dumps(value), False) for key, value in arguments.items()
    }
    elements = "".join(
        f'<｜DSML｜parameter name="{key}" string="{str(is_text).lower()}">{value}</｜DSML｜parameter>\n'
        for key, (value, is_text) in values.items()
    )
    invoke = f'<｜DSML｜invoke name="act">\n{elements}</｜DSML｜invoke>'
    return f"<｜DSML｜function_calls>\n{invoke}\n</｜DSML｜function_calls>"


def as_python(arguments: Arguments) -> str:
    return f"act({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"


def as_xml(arguments: Arguments) -> str:
    elements = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in arguments.items())
    return f"<tool_call>\n<function=act>\n{elements}</function>\n</tool_call>"


NAMED = st.dictionaries(PLAIN_NAMES, VALUES, max_size=3)
GEMMA = st.dictionaries(
    PLAIN_NAMES,
    st.recursive(
        SCALARS, lambda v: st.one_of(st.lists(v, max_size=3), st.dictionaries(PLAIN_NAMES, v, max_size=3)), max_leaves=6
    ),
    max_size=3,
)
STRINGS = st.dictionaries(PLAIN_NAMES, TEXTS, max_size=3)
FORMATS: dict[str, tuple[NewParser, Callable[[Arguments], str], st.SearchStrategy[Arguments]]] = {
    "hermes": (hermes.new, lambda a: f"<tool_call>\n{as_json(a)}\n</tool_call>", ARGUMENTS),
    "granite": (granite.new, lambda a: f"<|tool_call|>[{as_json(a)}]", ARGUMENTS),
    "actions": (
        command_r.new,
        lambda a: f"<|START_ACTION|>[{as_json(a, 'parameters', 'tool_name')}]<|END_ACTION|>",
        ARGUMENTS,
    ),
    "fenced": (command_r.new, lambda a: f"Action: ```json\n[{as_json(a, 'parameters', 'tool_name')}]```", ARGUMENTS),
    "llama3": (llama3.new, lambda a: as_json(a, "parameters"), ARGUMENTS),
    "python tag": (llama3.new, lambda a: "<|python_tag|>" + as_json(a, "parameters"), ARGUMENTS),
    "mistral list": (mistral.new, lambda a: f"[TOOL_CALLS] [{as_json(a)}]", ARGUMENTS),
    "mistral name": (mistral.new, lambda a: f"[TOOL_CALLS]act[ARGS]{json.dumps(a, ensure_ascii=False)}", ARGUMENTS),
    "deepseek": (deepseek.new, as_deepseek, ARGUMENTS),
    "harmony": (harmony.new, as_harmony, ARGUMENTS),
    "functiongemma": (functiongemma.new, as_gemma, GEMMA),
    "qwen3_coder": (qwen3_coder.new, as_xml, STRINGS),
    "gemma4": (functiongemma.new_gemma4, as_gemma4, GEMMA),
    "glm45": (glm45.new, as_glm45, STRINGS),
    "minimax_m2": (invoke.new, as_minimax, STRINGS),
    "deepseek_v3.2": (invoke.new_dsml, as_dsml, NAMED),
    "kimi_k2": (
        kimi_k2.new,
        lambda a: f"<|tool_call_begin|>functions.act:3<|tool_call_argument_begin|>{json.dumps(a)}<|tool_call_end|>",
        ARGUMENTS,
    ),
    "nemotron": (nemotron.new, lambda a: f"<TOOLCALL>[{as_json(a)}]</TOOLCALL>", ARGUMENTS),
    "lfm2": (lfm2.new, lambda a: f"<|tool_call_start|>[{as_python(a)}]<|tool_call_end|>", NAMED),
    "olmo3": (olmo3.new, lambda a: f"<function_calls>\n{as_python(a)}\n</function_calls>", NAMED),
    "llama python": (llama3.new, lambda a: f"[{as_python(a)}]", NAMED),
    "llama 4 python": (llama3.new, lambda a: f"<|python_start|>[{as_python(a)}]<|python_end|>", NAMED),
    "glm4": (named_line.new_glm4, lambda a: f"act\n{json.dumps(a, ensure_ascii=False)}", ARGUMENTS),
    "functionary": (named_line.new_functionary, lambda a: f"act\n{json.dumps(a)}", ARGUMENTS),
    "function_tag": (function_tag.new, lambda a: f"<function=act>{json.dumps(a)}</function>", ARGUMENTS),
    "generic {": (generic.new, as_json, ARGUMENTS),
    "generic [": (partial(generic.new, tag="["), lambda a: f"[{as_json(a)}]", ARGUMENTS),
    "generic tag": (partial(generic.new, tag="[[CALL]]"), lambda a: f"[[CALL]] {as_json(a)}", ARGUMENTS),
}


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_arguments_come_out_as_they_were_written(name: str, data: st.DataObject) -> None:
    new, write, strategy = FORMATS[name]
    arguments = data.draw(strategy)
    text = write(arguments)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    properties = {key: {"type": "string"} for key in arguments}
    offered = Tool(ToolFunction("act", parameters={"properties": properties}))
    found = read_pieces(new, pieces, (offered,))

    assert found == Found(calls=(Call("act", arguments),))
    assert json.dumps(found.calls[0].arguments) == json.dumps(arguments)
