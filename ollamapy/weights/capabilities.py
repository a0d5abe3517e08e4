"""Tells what a model can do from its files and its config. Pure: values in, values out.

The order of the answer is part of the API:

1. what the config claims
2. tools and thinking of the Jinja template
3. embedding, or else completion
4. vision
5. audio
6. what the Go template offers: tools, insert, thinking
7. thinking, for the families that always think
"""

import re
from collections.abc import Iterable, Iterator

from ollamapy.weights.gguf import GgufFile
from ollamapy.wire.manifest import Config

_THINKING_FAMILIES = frozenset({"gptoss", "gpt-oss"})
_SPLIT_THINKING = re.compile(r"""content\.split\((?:'</think>'|"</think>")\)""")
_OTHER_TAGS = ("[/THINK]", "</seed:think>", "<|END_THINKING|>", "<|channel>thought", "◁/think▷")
"""Around the reasoning of Mistral, Seed OSS, Command R, Gemma 4 and Kimi VL."""
_TOOL_ROLE = re.compile(r"""(?:role['"]\]|message\.role) == ['"]tool['"]""")


def capabilities(
    file: GgufFile,
    config: Config,
    has_projector: bool = False,
    go_capabilities: Iterable[str] | None = None,
    *,
    projector: GgufFile | None = None,
    jinja_renders: bool = True,
) -> tuple[str, ...]:
    """What the model of these files can do, without duplicates.

    `go_capabilities` is what the model's Go template offers; `jinja_renders` is False when that one renders.
    `projector` is the header of the projector file, which tells whether the model hears.
    """
    found = [
        *config.capabilities,
        *(jinja_capabilities(jinja_text(file)) if jinja_renders else ()),
        "embedding" if file.has_pooling else "completion",
        *(["vision"] if _sees(file, has_projector) else []),
        *(["audio"] if _hears(file, projector) else []),
        *(name for name in ("tools", "insert", "thinking") if name in set(go_capabilities or ())),
        *(["thinking"] if file.architecture in _THINKING_FAMILIES else []),
    ]
    return tuple(dict.fromkeys(found))


def jinja_text(file: GgufFile) -> str:
    """The text of the file's Jinja templates: the one for chats, and the one for chats with tools."""
    return "\n".join(text for text in (file.chat_template, file.tool_template) if text)


def jinja_capabilities(template: str) -> Iterator[str]:
    """`tools` and `thinking`, as far as the text of a Jinja template shows them."""
    if _calls_tools(template):
        yield "tools"
    if _thinks(template):
        yield "thinking"


def jinja_has_round_trip(template: str) -> bool:
    """True when a Jinja template takes both the calls of tools and what the tools answered."""
    calls = "tool_calls" in template or "assistant_tool_call" in template
    answers = any(mark in template for mark in ("tool_response", "tool_results", "ipython"))
    return _calls_tools(template) and calls and (answers or bool(_TOOL_ROLE.search(template)))


def _calls_tools(template: str) -> bool:
    return "tools" in template or "tool_call" in template


def _thinks(template: str) -> bool:
    if "<think>" in template and "</think>" in template:
        return True
    if any(tag in template for tag in _OTHER_TAGS):
        return True
    by_another_name = "reasoning_content" in template or "<SPECIAL_12>" in template
    return bool(_SPLIT_THINKING.search(template)) and not by_another_name


def _sees(file: GgufFile, has_projector: bool) -> bool:
    return has_projector or file.of_architecture("vision.block_count") is not None


def _hears(file: GgufFile, projector: GgufFile | None) -> bool:
    if file.architecture == "nemotron_h_omni":
        return False
    if file.of_architecture("audio.block_count") is not None:
        return True
    return projector is not None and _has_audio_encoder(projector)


def _has_audio_encoder(projector: GgufFile) -> bool:
    kinds = (projector.of_architecture("projector_type"), projector.of_architecture("vision.projector_type"))
    keys = (key for key in projector.metadata if key.endswith("has_audio_encoder"))
    return "gemma3nv" not in kinds and any(projector.metadata[key] is True for key in keys)
