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

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

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
from ollamapy.modelfile.tools.machine import Machine, NewParser, ToolParser, plain
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
    functiongemma.MARKS,
    needs_special=True,
    ends=("<start_function_response>",),
)
DEEPSEEK = Format("deepseek", deepseek.new, deepseek.MARKS, needs_special=True)
MISTRAL = Format("mistral", mistral.new, mistral.MARKS, needs_special=True)
COMMAND_R = Format("command_r", command_r.new, command_r.MARKS, needs_special=True)
QWEN3_CODER = Format("qwen3_coder", qwen3_coder.new, qwen3_coder.MARKS)
GRANITE = Format("granite", granite.new, granite.MARKS, needs_special=True)
HERMES = Format("hermes", hermes.new, hermes.MARKS)
LLAMA3 = Format("llama3", llama3.new, llama3.MARKS, needs_special=True, ends=("<|eom_id|>", "<|eot_id|>"))
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
    "qwen3": HERMES,
    "qwen3-thinking": HERMES,
    "qwen3-vl-instruct": HERMES,
    "qwen3-vl-thinking": HERMES,
}
"""Parser names in the configs of pulled models. The others have none here: their template tells."""

_HARMONY_MARKS = ("<|start|>", "<|channel|>", "<|message|>")
_NOT_FOR_GENERIC: tuple[tuple[Format, tuple[str, ...]], ...] = (
    (FUNCTIONGEMMA, ("<start_function_call>",)),
    (QWEN3_CODER, ("<function=", "<parameter=")),
)
_BY_MARKS: tuple[tuple[Format, tuple[str, ...]], ...] = (
    *_NOT_FOR_GENERIC,
    (DEEPSEEK, ("<｜tool▁call▁begin｜>",)),
    (MISTRAL, ("[TOOL_CALLS]",)),
    (COMMAND_R, ("<|START_ACTION|>",)),
    (COMMAND_R, ("Action:", "```json", "tool_name")),
    (GRANITE, ("<|tool_call|>",)),
    (HERMES, ("<tool_call>", "arguments")),
    (LLAMA3, ("<|python_tag|>",)),
    (LLAMA3, ("<|start_header_id|>", '"parameters": ')),
    (LLAMA3, ("<|python_start|>",)),
)
_NOT_JSON = ("<arg_key>", "<|tool_call>")
"""Marks of formats that write `<tool_call>` around something else."""
_TAGS = ("<|tool_calls_section_begin|>", "<|tools_prefix|>", "<tool_calls>", "<TOOLCALL>", "functools")
"""What Jinja templates write before calls in JSON that the generic parser reads: Kimi K2, Apertus, MiniMax M1 ..."""


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
    return next((form for form in found if form is not HERMES or _is_hermes(template)), generic_format(tag))


def _is_harmony(template: str, kind: Literal["go", "jinja"], family: str) -> bool:
    is_gptoss = family in ("gptoss", "gpt-oss")
    if kind == "go" and is_gptoss:
        return "<|start|>" in template and "<|end|>" in template
    return is_gptoss or all(mark in template for mark in _HARMONY_MARKS)


def _is_hermes(template: str) -> bool:
    return not any(mark in template for mark in _NOT_JSON)


def generic_format(tool_tag: str = generic.DEFAULT_TAG) -> Format:
    """The contract's parser for Go templates, with the tag inferred from one."""
    is_bracket = tool_tag in ("{", "[")
    marks = () if is_bracket else (tool_tag,)
    return Format("generic", partial(generic.new, tag=tool_tag), marks, needs_special=not is_bracket)
