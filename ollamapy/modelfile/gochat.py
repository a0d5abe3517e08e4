"""From messages to a prompt with a Go template (contract: template.md sections 5 and 6). Values in, values out.

Modes, by what is asked for and what the template reads:

1. suffix: a prompt and a suffix, both with content
2. messages: the template reads `.Messages`
3. legacy: it does not, and is run once for each turn; the last run ends at `.Response`
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

import msgspec

from ollamapy.modelfile import goinfer, goobjects
from ollamapy.modelfile.gotemplate import Template, nodes, parse
from ollamapy.wire.native import Message, Think, Tool

Today = Callable[[], date]
_Slots = dict[str, str]


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """A prompt, and the images that its `[img-0]`, `[img-1]` … stand for, as they came in the messages."""

    text: str
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GoTemplate:
    """A model's template, checked and ready; `load` makes it."""

    template: Template
    last_pass: Template
    """The template up to its `.Response`, for the last turn in legacy mode."""
    capabilities: tuple[str, ...]
    """Some of tools, insert, thinking."""
    has_tool_round_trip: bool
    thinking_tags: tuple[str, str]
    tool_tag: str

    @property
    def identifiers(self) -> frozenset[str]:
        """The fields and variables that the template reads, in lower case."""
        return self.template.identifiers


@lru_cache(maxsize=64)
def load(text: str) -> GoTemplate:
    """The template in `text`, which ends with `.Response` if it reads no messages. Raises TemplateError."""
    template = parse(text)
    if not {"messages", "response"} & template.identifiers:
        template = template.with_root(nodes.Block(0, (*template.root.nodes, *parse("{{ .Response }}").root.nodes)))
    return GoTemplate(
        template,
        template.with_root(goinfer.cut_after_response(template.root)),
        goinfer.capabilities(template),
        goinfer.has_tool_round_trip(template),
        goinfer.thinking_tags(template),
        goinfer.tool_tag(template),
    )


def go_capabilities(text: str) -> tuple[str, ...]:
    """What a template offers: some of tools, insert, thinking. Raises TemplateError."""
    return load(text).capabilities


def render(
    template_text: str,
    messages: Sequence[Message] = (),
    tools: Sequence[Tool] = (),
    *,
    prompt: str = "",
    suffix: str = "",
    think: Think = None,
    today: Today = date.today,
) -> RenderedPrompt:
    """The prompt for `messages`, or for `prompt` and `suffix` when both have content. Raises TemplateError."""
    go = load(template_text)
    variables = {"Response": "", **think_variables(think)}
    if prompt and suffix:
        data = {**variables, "Prompt": prompt, "Suffix": suffix}
        return RenderedPrompt(go.template.execute(data, today=today))
    marked, images = mark_images(messages)
    collated, system = collate(marked)
    if "messages" in go.identifiers:
        data = {
            **variables,
            "System": system,
            "Messages": goobjects.messages(collated),
            "Tools": goobjects.tools(tools),
        }
        return RenderedPrompt(go.template.execute(data, today=today), images)
    return RenderedPrompt(_legacy(go, collated, variables, today), images)


def think_variables(think: Think) -> dict[str, Any]:
    """`.Think`, `.ThinkLevel` and `.IsThinkSet`."""
    level = think if isinstance(think, str) else "medium" if think else ""
    return {"Think": bool(think), "ThinkLevel": level, "IsThinkSet": think is not None}


def mark_images(messages: Sequence[Message]) -> tuple[tuple[Message, ...], tuple[str, ...]]:
    """The messages with a marker for each image, numbered through, and the images.

    A marker takes the place of the next `[img]` in the content, or goes before the content.
    """
    images: list[str] = []
    marked = []
    for message in messages:
        content, before = message.content, ""
        for image in message.images:
            marker = f"[img-{len(images)}]"
            images.append(image)
            if "[img]" in content:
                content = content.replace("[img]", marker, 1)
            else:
                before += marker
        marked.append(msgspec.structs.replace(message, content=before + content) if message.images else message)
    return tuple(marked), tuple(images)


def collate(messages: Sequence[Message]) -> tuple[tuple[Message, ...], str]:
    """Messages with those of one role in a row made one, and all system texts.

    A message that is appended to the one before gives its content only. Answers of tools stay apart.
    """
    found: list[Message] = []
    system = []
    for message in messages:
        role = message.role.lower()
        if role == "system":
            system.append(message.content)
        if found and role != "tool" and found[-1].role == role:
            content = f"{found[-1].content}\n\n{message.content}"
            found[-1] = msgspec.structs.replace(found[-1], content=content)
        else:
            found.append(msgspec.structs.replace(message, role=role) if role != message.role else message)
    return tuple(found), "\n\n".join(system)


def _legacy(go: GoTemplate, messages: Sequence[Message], variables: dict[str, Any], today: Today) -> str:
    """One run for each turn.

    1. system after a prompt or response: run what is there first
    2. user after a response: run what is there first
    3. assistant: the response
    4. other roles are left out
    """
    parts = []
    slots: _Slots = {}

    def run(template: Template) -> None:
        data = {**variables, "System": "", "Prompt": "", **slots}
        parts.append(template.execute(data, today=today))
        slots.clear()

    for message in messages:
        is_turn_over = {"system": ("Prompt", "Response"), "user": ("Response",)}.get(message.role, ())
        if any(slots.get(slot) for slot in is_turn_over):
            run(go.template)
        slot = {"system": "System", "user": "Prompt", "assistant": "Response"}.get(message.role)
        if slot:
            slots[slot] = message.content
    run(go.last_pass)
    return "".join(parts)
