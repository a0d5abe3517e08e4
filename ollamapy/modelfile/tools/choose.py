"""Chooses the parser for a model's answers by what its template writes. Pure.

1. The parser that the model's config names, if it is one of ours.
2. Family gpt-oss, or a template with harmony's marks.
3. A Go template: the formats that the contract's generic parser cannot read, by their marks; else the generic one.
4. A Jinja template: the first format whose marks all stand in it.
5. Anything else: the generic parser, after a tag that the template is known by or else `tool_tag`.

Some marks are control tokens of the models that use them, and llama.cpp gives no text for those unless asked. A format
with `needs_special` gets its marks as text only when the runner renders control tokens. Rendering those in `marks` is
enough; a model's own end-of-generation tokens never come as text, whatever is rendered.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

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
from ollamapy.modelfile.tools.machine import Chain, Machine, NewParser, ToolParser, plain
from ollamapy.wire.native import Tool


def _no_calls(tools: Sequence[Tool]) -> ToolParser:
    return Machine(plain)


@dataclass(frozen=True, slots=True)
class Format:
    """How a model writes calls.

    `marks` are the texts that a parser looks for and that may be single tokens. `has_channels`: the parser finds the
    thinking too, so it is needed without tools as well, and no other may split it off. `ends` are tokens that end an
    answer after a call; the model's vocabulary or its PARAMETER stop should list them. With channels, `reasoning` is
    what stands before and after the thinking, and `header` what the content begins with. `new_held` makes the parser
    for content that is held to a grammar, none of which is a call.
    """

    name: str
    new: NewParser
    marks: tuple[str, ...] = ()
    needs_special: bool = False
    has_channels: bool = False
    ends: tuple[str, ...] = ()
    new_held: NewParser = _no_calls
    reasoning: tuple[str, str] | None = None
    header: str = ""
    tool_tag: str = ""
    """What stands before a call, where the template told it."""


HARMONY = Format(
    "harmony",
    harmony.new,
    harmony.MARKS,
    needs_special=True,
    has_channels=True,
    ends=("<|call|>", "<|return|>"),
    new_held=harmony.new_held,
    reasoning=harmony.REASONING,
    header=harmony.HEADER,
)
FUNCTIONGEMMA = Format(
    "functiongemma",
    functiongemma.new,
    functiongemma.FUNCTIONGEMMA.texts,
    needs_special=True,
    ends=("<start_function_response>",),
)
GEMMA4 = Format(
    "gemma4", functiongemma.new_gemma4, functiongemma.GEMMA4.texts, needs_special=True, ends=("<|tool_response>",)
)
DEEPSEEK = Format("deepseek", deepseek.new, deepseek.MARKS, needs_special=True)
MISTRAL = Format("mistral", mistral.new, mistral.MARKS, needs_special=True)
COMMAND_R = Format("command_r", command_r.new, command_r.MARKS, needs_special=True)
QWEN3_CODER = Format("qwen3_coder", qwen3_coder.new, qwen3_coder.MARKS)
GRANITE = Format("granite", granite.new, granite.MARKS, needs_special=True)
HERMES = Format("hermes", hermes.new, hermes.MARKS)
LLAMA3 = Format("llama3", llama3.new, llama3.MARKS, needs_special=True, ends=("<|eom_id|>", "<|eot_id|>"))
GLM4 = Format("glm4", named_line.new_glm4, (named_line.GLM4.mark,), needs_special=True, ends=("<|observation|>",))
GLM45 = Format("glm45", glm45.new, glm45.MARKS, needs_special=True, ends=("<|observation|>",))
KIMI_K2 = Format("kimi_k2", kimi_k2.new, kimi_k2.MARKS, needs_special=True)
LFM2 = Format("lfm2", lfm2.new, lfm2.MARKS, needs_special=True)
OLMO3 = Format("olmo3", olmo3.new, olmo3.MARKS, needs_special=True)
MINIMAX_M2 = Format("minimax_m2", invoke.new, invoke.marks_of(invoke.MINIMAX), needs_special=True)
DEEPSEEK_V32 = Format("deepseek_v3.2", invoke.new_dsml, invoke.marks_of(invoke.DSML), needs_special=True)
NEMOTRON = Format("nemotron", nemotron.new, nemotron.MARKS, needs_special=True)
FUNCTIONARY = Format("functionary", named_line.new_functionary, (named_line.FUNCTIONARY.mark,))
FUNCTION_TAG = Format("function_tag", function_tag.new, function_tag.MARKS)
PASSTHROUGH = Format("passthrough", _no_calls)

BY_PARSER = {
    "passthrough": PASSTHROUGH,
    "harmony": HARMONY,
    "functiongemma": FUNCTIONGEMMA,
    "deepseek3": DEEPSEEK,
    "cogito": DEEPSEEK,
    "ministral": MISTRAL,
    "cohere": COMMAND_R,
    "qwen3-coder": QWEN3_CODER,
    "qwen3.5": QWEN3_CODER,
    "nemotron-3-nano": QWEN3_CODER,
    "nemotron-3.5-nano": QWEN3_CODER,
    "gemma4": GEMMA4,
    "gemma4-no-thinking": GEMMA4,
    "glm-4.7": GLM45,
    "glm-ocr": GLM45,
    "lfm2": LFM2,
    "lfm2-thinking": LFM2,
    "olmo3": OLMO3,
    "olmo3-think": OLMO3,
    "qwen3": HERMES,
    "qwen3-thinking": HERMES,
    "qwen3-vl-instruct": HERMES,
    "qwen3-vl-thinking": HERMES,
}
"""Parser names in the configs of pulled models. The others have none here: their template tells."""

_HARMONY_MARKS = ("<|start|>", "<|channel|>", "<|message|>")
_NOT_FOR_GENERIC: tuple[tuple[Format, tuple[str, ...]], ...] = (
    (FUNCTIONGEMMA, ("<start_function_call>",)),
    (GEMMA4, ("<|tool_call>", "<tool_call|>")),
    (QWEN3_CODER, ("<function=", "<parameter=")),
    (GLM45, ("<arg_key>", "<arg_value>")),
    (MINIMAX_M2, ("<minimax:tool_call>",)),
    (DEEPSEEK_V32, ("｜DSML｜",)),
    (LFM2, ("<|tool_call_start|>",)),
    (LFM2, ("<|tool_list_start|>",)),
    (OLMO3, ("<function_calls>",)),
)
_BY_MARKS: tuple[tuple[Format, tuple[str, ...]], ...] = (
    *_NOT_FOR_GENERIC,
    (DEEPSEEK, ("<｜tool▁call▁begin｜>",)),
    (KIMI_K2, ("<|tool_calls_section_begin|>",)),
    (KIMI_K2, ("<|im_middle|>", "tool_declare")),
    (MISTRAL, ("[TOOL_CALLS]",)),
    (COMMAND_R, ("<|START_ACTION|>",)),
    (COMMAND_R, ("Action:", "```json", "tool_name")),
    (GRANITE, ("<|tool_call|>",)),
    (NEMOTRON, ("<TOOLCALL>",)),
    (HERMES, ("<tool_call>", "arguments")),
    (FUNCTIONARY, (">>>all",)),
    (FUNCTION_TAG, ("<function=",)),
    (LLAMA3, ("<|python_tag|>",)),
    (LLAMA3, ("<|start_header_id|>", '"parameters": ')),
    (LLAMA3, ("<|python_start|>",)),
    (GLM4, ("[gMASK]", "<|observation|>")),
)
_MARK = re.compile(r"<[^<>\s]+>|\[[A-Z_]+\]")
"""What may be a control token inside a longer tag, as in `[TOOL_CALLS] [`."""
_TAGS = ("<|tools_prefix|>", "<tool_calls>", "functools")
"""What Jinja templates write before calls in JSON that the generic parser reads: Apertus, MiniMax M1, Phi 3.5 …"""


def choose(
    template: str,
    kind: Literal["go", "jinja"],
    family: str = "",
    parser_name: str = "",
    *,
    tool_tag: str = generic.DEFAULT_TAG,
) -> Format:
    """How the model with this template writes calls. `tool_tag` is what a Go template writes before one."""
    if parser_name in BY_PARSER:
        return BY_PARSER[parser_name]
    if _is_harmony(template, kind, family):
        return HARMONY
    known = _NOT_FOR_GENERIC if kind == "go" else _BY_MARKS
    found = (form for form, marks in known if all(mark in template for mark in marks))
    tag = next((tag for tag in _TAGS if kind == "jinja" and tag in template), tool_tag)
    return next(found, generic_format(tag))


def also_hermes(form: Format) -> Format:
    """`form`, and calls as Hermes writes them: for a prompt that asks for those, whatever the template knows."""
    if "<tool_call>" in form.marks:
        return form
    return replace(
        form,
        name=f"{form.name} + hermes",
        new=lambda tools: Chain((form.new(tools), hermes.new(tools))),
        marks=(*form.marks, *hermes.MARKS),
    )


def _is_harmony(template: str, kind: Literal["go", "jinja"], family: str) -> bool:
    is_gptoss = family in ("gptoss", "gpt-oss")
    if kind == "go" and is_gptoss:
        return "<|start|>" in template and "<|end|>" in template
    return is_gptoss or all(mark in template for mark in _HARMONY_MARKS)


def generic_format(tool_tag: str = generic.DEFAULT_TAG) -> Format:
    """The contract's parser for Go templates, with the tag inferred from one."""
    is_bracket = tool_tag in ("{", "[")
    marks = () if is_bracket else tuple(dict.fromkeys((tool_tag, *_MARK.findall(tool_tag))))
    new = partial(generic.new, tag=tool_tag)
    return Format("generic", new, marks, needs_special=not is_bracket, tool_tag=tool_tag)
