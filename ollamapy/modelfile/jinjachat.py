"""From a chat to the prompt by a Jinja chat template, whatever the template can take. Must run in the child process.

1. Contents are given as text; when the newest message is not in the prompt then, as a list of parts, which some
   families want.
2. A template that refuses the messages, or leaves out a part of them, is tried again with messages that say the same
   in another form (`fallbacks`), until it takes them or no change is left.
"""

import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from ollamapy.errors import TemplateError, TemplateRefused
from ollamapy.modelfile.fallbacks import (
    MAX_CHANGES,
    Messages,
    asks_for_calls,
    fallback_messages,
    lost_text,
    tell_tools,
    tools_as_text,
    with_marked_calls,
    with_marked_names,
)
from ollamapy.modelfile.forms import suited
from ollamapy.modelfile.gochat import mark_images
from ollamapy.modelfile.jinja import render as render_jinja
from ollamapy.modelfile.prompt import jinja_context
from ollamapy.wire.native import Message, Think, Tool

_MARK = "a9k2x7q4"
"""A name that no tool has."""


def render(
    template: str,
    messages: Sequence[Message],
    tools: Sequence[Tool] = (),
    think: Think = None,
    *,
    bos_text: str = "",
    eos_text: str = "",
    now: datetime | None = None,
) -> str:
    """The prompt. Raises TemplateError when the template is bad, TemplateRefused when it takes no form of the chat."""
    return attempt(template, messages, tools, think, bos_text=bos_text, eos_text=eos_text, now=now)[0]


def attempt(
    template: str,
    messages: Sequence[Message],
    tools: Sequence[Tool] = (),
    think: Think = None,
    *,
    bos_text: str = "",
    eos_text: str = "",
    now: datetime | None = None,
) -> tuple[str, int]:
    """As `render`, with the number of changes to the messages that it took."""
    text, fault = None, TemplateError("chat template: never tried")
    told: Messages = without_images(mark_images(messages)[0])
    num_changes = 0
    while True:
        context = jinja_context(told, tools, think, bos_text=bos_text, eos_text=eos_text)
        try:
            text = _text(template, context, now)
            changed = lost_text(told, tools, text) or _hidden(template, told, tools, context, text, now)
        except TemplateError as error:
            fault = error
            changed = fallback_messages(told, error.message) if isinstance(error, TemplateRefused) else None
        if changed is None or num_changes == MAX_CHANGES:
            break
        told, num_changes = changed, num_changes + 1
    if text is None:
        raise fault
    return text, num_changes


def without_images(messages: Sequence[Message]) -> Messages:
    """The messages with their texts alone: where an image belongs, a marker says."""
    return tuple(msgspec.structs.replace(one, images=()) if one.images else one for one in messages)


def _hidden(
    template: str,
    messages: Messages,
    tools: Sequence[Tool],
    context: Mapping[str, Any],
    text: str,
    now: datetime | None,
) -> Messages | None:
    """As `lost_text`, for calls or tools whose names stand in the prompt for another reason: somebody wrote them.

    Whether the template writes them shows when they have a name that nobody knows.
    """
    if not tools:
        return None
    if any(message.tool_calls for message in messages):
        marked = jinja_context(with_marked_calls(messages, _MARK), (), None, bos_text="", eos_text="")
        if _lacks(template, {**context, "messages": marked["messages"]}, now):
            return tools_as_text(messages)
    if not asks_for_calls(text) and any(
        tool.function.name in message.content for tool in tools for message in messages
    ):
        marked = jinja_context((), with_marked_names(tools, _MARK), None, bos_text="", eos_text="")
        if _lacks(template, {**context, "tools": marked["tools"]}, now):
            return tell_tools(messages, tools)
    return None


def _lacks(template: str, context: Mapping[str, Any], now: datetime | None) -> bool:
    with contextlib.suppress(TemplateError):
        return _MARK not in _text(template, context, now)
    return False


def _text(template: str, context: Mapping[str, Any], now: datetime | None) -> str:
    text = render_jinja(template, suited(template, context), now)
    if not _lacks_newest(context, text):
        return text
    with contextlib.suppress(TemplateError):
        of_parts = render_jinja(template, suited(template, _with_parts(context)), now)
        if not _lacks_newest(context, of_parts):
            return of_parts
    return text


def _lacks_newest(context: Mapping[str, Any], text: str) -> bool:
    newest = context["messages"][-1:]
    return any(message["role"] == "user" and message["content"].strip() not in text for message in newest)


def _with_parts(context: Mapping[str, Any]) -> dict[str, Any]:
    messages = [{**m, "content": [{"type": "text", "text": m["content"]}]} for m in context["messages"]]
    return {**context, "messages": messages}
