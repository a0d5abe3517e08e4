"""How each format writes a call, for the grammars that hold an answer to one: the other half of the parsers.

One entry a format. The template tells the ways apart that one parser reads.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ollamapy.errors import InvalidInput
from ollamapy.modelfile.grammar.calls import Function, JsonCall, NamedCall, PythonCall, Syntax
from ollamapy.modelfile.grammar.convert import Converter
from ollamapy.modelfile.grammar.elements import ElementCall
from ollamapy.modelfile.grammar.gbnf import NOTHING, Expr, Ref, Text, alt, seq
from ollamapy.modelfile.grammar.notation import JSON, Notation
from ollamapy.modelfile.grammar.terminals import Terminals
from ollamapy.modelfile.tools.choose import Format
from ollamapy.modelfile.tools.generic import find_name

Syntaxes = tuple[Syntax, ...]


def syntaxes_of(form: Format, template: str) -> Syntaxes:
    """The ways in which a model of this format and template writes a call; none for a format without calls."""
    if form.tool_tag:
        return _generic(form.tool_tag)
    return _WRITTEN[form.name](template) if form.name in _WRITTEN else ()


@dataclass(frozen=True, slots=True)
class GenericCall:
    """A call for the generic parser, which searches for the first name of a tool, and for an object with arguments.

    So the name must be the first that stands there: `{"name": NAME, "arguments": {…}}`, or else `{NAME: {…}}`.
    """

    frame: JsonCall

    @property
    def notation(self) -> Notation:
        return self.frame.notation

    def arguments(self, converter: Converter, function: Function) -> Ref:
        return self.frame.arguments(converter, function)

    def call(self, converter: Converter, arguments: Mapping[str, Ref], offered: Sequence[str]) -> Expr:
        named = {name: rule for name, rule in arguments.items() if self._is_found('{"name": ', name, offered)}
        keyed = {name: rule for name, rule in arguments.items() if name not in named}
        for name in keyed:
            if not self._is_found("{", name, offered):
                raise InvalidInput(
                    f"a call of {name!r} cannot be found in an answer of this model: choose another name"
                )
        space = Terminals(converter.grammar).space()
        members = alt(NOTHING, *(seq(Text(f"{JSON.literal(name)}:"), space, rule) for name, rule in keyed.items()))
        return alt(self.frame.call(converter, named, offered), self.frame.framed(space, members))

    def _is_found(self, before: str, name: str, offered: Sequence[str]) -> bool:
        found = find_name(f"{self.frame.start}{before}{JSON.literal(name)}", offered, is_closed=True)
        return found is not None and found[0] == name


def _generic(tag: str) -> Syntaxes:
    """After a tag, an object or a list; a tag that is a bracket is the one that opens them."""
    keys = ("arguments", "parameters")
    if tag.endswith("["):
        return (GenericCall(JsonCall(tag, "]", keys=keys)),)
    alone = GenericCall(JsonCall("" if tag == "{" else tag, keys=keys))
    return (alone,) if tag == "{" else (alone, GenericCall(JsonCall(tag, keys=keys, is_list=True)))


_LLAMA: dict[str, Any] = {"keys": ("parameters", "arguments")}
_COMMAND_R: dict[str, Any] = {"name": "tool_name", "keys": ("parameters",), "is_list": True}


def _command_r(template: str) -> Syntaxes:
    if "<|START_ACTION|>" not in template:
        return (JsonCall("Action: ```json", "```", **_COMMAND_R),)
    return (JsonCall("<|START_ACTION|>", "<|END_ACTION|>", lead='"tool_call_id": "0",', **_COMMAND_R),)


def _deepseek(template: str) -> Syntaxes:
    start, closing, end = "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>"
    notation = Notation(never=(closing, end))
    if "```json" not in template:
        return (NamedCall(start, "<｜tool▁sep｜>", closing + end, notation),)
    return (NamedCall(f"{start}function<｜tool▁sep｜>", "\n```json\n", f"\n```{closing}{end}", notation),)


def _gemma(opening: str, end: str, quote: str) -> Syntaxes:
    key = r"[^\s:{}\[\],<>]+"
    notation = Notation(quote, has_escapes=False, never=(quote,), bare_key=key, has_space=False)
    return (NamedCall(f"{opening}call:", "", end, notation),)


def _glm45(template: str) -> Syntaxes:
    ends = ("</arg_value>\n", "</tool_call>")
    return (ElementCall("<tool_call>", "\n", "<arg_key>", "</arg_key>\n<arg_value>", *ends),)


def _harmony(template: str) -> Syntaxes:
    """The recipient stands in the role, as the templates have it, or after the channel, as the models like it."""
    message = " <|constrain|>json<|message|>"
    return (
        NamedCall(" to=functions.", f"<|channel|>commentary{message}"),
        NamedCall("<|channel|>commentary to=functions.", message),
    )


def _invoke(prefix: str, block: str, *types: str) -> Syntaxes:
    names = (f'<{prefix}invoke name="', f'<{prefix}parameter name="')
    ends = (f"</{prefix}parameter>\n", f"</{prefix}invoke>\n</{prefix}{block}>")
    values = types or ('">',)
    return (ElementCall(f"<{prefix}{block}>\n{names[0]}", '">\n', names[1], values[0], *ends, *values[1:]),)


def _kimi_k2(template: str) -> Syntaxes:
    start, closing, end = (
        "<|tool_calls_section_begin|><|tool_call_begin|>",
        "<|tool_call_end|>",
        "<|tool_calls_section_end|>",
    )
    middle, notation = ":0<|tool_call_argument_begin|>", Notation(never=(closing, end))
    return (NamedCall(f"{start}functions.", middle, closing + end, notation, r"[\w./-]+"),)


def _llama3(template: str) -> Syntaxes:
    if "<|python_start|>" in template:
        return (JsonCall("<|python_start|>", "<|python_end|>", **_LLAMA),)
    return (JsonCall(**_LLAMA), JsonCall("<|python_tag|>", **_LLAMA))


def _mistral(template: str) -> Syntaxes:
    if "[TOOL_CALLS]" in template and "[ARGS]" not in template:
        return (JsonCall("[TOOL_CALLS]", is_list=True),)
    return (NamedCall("[TOOL_CALLS]", "[ARGS]"),)


def _python(start: str, end: str, gap: str) -> Syntaxes:
    return (PythonCall(start + gap, gap.replace("[", "]") + end, Notation(never=(end,))),)


def _qwen3_coder(template: str) -> Syntaxes:
    block = "seed:tool_call" if "<seed:tool_call>" in template else "tool_call"
    ends = ("\n</parameter>\n", f"</function>\n</{block}>")
    return (ElementCall(f"<{block}>\n<function=", ">\n", "<parameter=", ">\n", *ends),)


_DSML = ('" string="true">', '" string="false">')
_WRITTEN: dict[str, Callable[[str], Syntaxes]] = {
    "command_r": _command_r,
    "deepseek": _deepseek,
    "deepseek_v3.2": lambda _: _invoke("｜DSML｜", "function_calls", *_DSML),
    "function_tag": lambda _: (NamedCall("<function=", ">", "</function>", Notation(never=("</function>",))),),
    "functionary": lambda _: (NamedCall("", "\n"),),
    "functiongemma": lambda _: _gemma("<start_function_call>", "<end_function_call>", "<escape>"),
    "gemma4": lambda _: _gemma("<|tool_call>", "<tool_call|>", '<|"|>'),
    "glm4": lambda _: (NamedCall("", "\n"),),
    "glm45": _glm45,
    "granite": lambda _: (
        JsonCall("<|tool_call|>", is_list=True),
        JsonCall("<|tool_call|>", "<|/tool_call|>", is_list=True),
    ),
    "harmony": _harmony,
    "hermes": lambda _: (JsonCall("<tool_call>", "</tool_call>"),),
    "kimi_k2": _kimi_k2,
    "lfm2": lambda _: _python("<|tool_call_start|>", "<|tool_call_end|>", "["),
    "llama3": _llama3,
    "minimax_m2": lambda _: _invoke("", "minimax:tool_call"),
    "mistral": _mistral,
    "nemotron": lambda _: (JsonCall("<TOOLCALL>", "</TOOLCALL>", is_list=True),),
    "olmo3": lambda _: _python("<function_calls>", "</function_calls>", "\n"),
    "qwen3_coder": _qwen3_coder,
}
"""By the name of the format. "passthrough" has none: its parser finds no calls."""
