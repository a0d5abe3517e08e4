"""Which template renders a model's prompts (contract: template.md section 9). Values in, values out."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from ollamapy.modelfile.gochat import GoTemplate

_HARMONY_FAMILIES = frozenset({"gptoss", "gpt-oss"})
_COMPARED = frozenset({"tools", "thinking"})

Kind = Literal["go", "jinja", "none"]


@dataclass(frozen=True, slots=True)
class JinjaTraits:
    """What the text of a GGUF's Jinja template shows: its capabilities, and whether tools can answer in it."""

    capabilities: Collection[str]
    has_tool_round_trip: bool


def choose(
    *,
    go: GoTemplate | None,
    jinja: JinjaTraits | None,
    family: str = "",
    has_built_in: bool = False,
    has_renderer: bool = False,
    switch: bool | None = None,
) -> Kind:
    """The template that renders. `switch` is OLLAMA_GO_TEMPLATE; `has_built_in` a renderer or parser in the config.

    1. a built-in renderer: those are not implemented, so the file's own Jinja template; a parser alone: the Go template
    2. harmony families with a Go template that writes their tags
    3. the Go template, unless it is switched off or Jinja is preferred
    4. Jinja
    5. nothing
    """
    if jinja is None:
        return "go" if go else "none"
    if go is None or has_renderer:
        return "jinja"
    if has_built_in or _is_harmony(go, family):
        return "go"
    if switch is None:
        return "jinja" if prefers_jinja(go, jinja) else "go"
    return "go" if switch else "jinja"


def prefers_jinja(go: GoTemplate, jinja: JinjaTraits) -> bool:
    """True when the Jinja template can do more (section 9.2)."""
    of_go = set(go.capabilities)
    of_jinja = _COMPARED & set(jinja.capabilities)
    if len(of_jinja) > len(of_go):
        return not go.has_tool_round_trip or jinja.has_tool_round_trip
    if of_jinja == of_go and "tools" in of_go:
        return jinja.has_tool_round_trip and not go.has_tool_round_trip
    return False


def _is_harmony(go: GoTemplate, family: str) -> bool:
    source = go.template.source
    return family in _HARMONY_FAMILIES and "<|start|>" in source and "<|end|>" in source
