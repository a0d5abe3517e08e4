"""From messages to what a chat template is given. Pure: values in, values out."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from ollamapy.wire.native import Message, Think, Tool

_INLINE_THOUGHTS = re.compile(r"<think>.*?</think>\n*", re.DOTALL)
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")
DEFAULT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""ChatML, for chats with a model that carries no template."""


def assemble(
    system: str, stored: Sequence[Message], messages: Sequence[Message], *, replaces_system: str = ""
) -> tuple[Message, ...]:
    """The model's SYSTEM unless the first message is one, the model's MESSAGEs, then the request's messages."""
    has_own = bool(messages) and messages[0].role == "system"
    text = replaces_system or system
    first = (Message("system", text),) if text and not has_own else ()
    return (*first, *stored, *messages)


def without_old_thoughts(messages: Sequence[Message]) -> tuple[Message, ...]:
    """`messages` without `<think>…</think>` in what the assistant wrote before the last user message."""
    last_user = max((index for index, message in enumerate(messages) if message.role == "user"), default=-1)
    return tuple(
        msgspec.structs.replace(message, content=_INLINE_THOUGHTS.sub("", message.content))
        if message.role == "assistant" and index < last_user
        else message
        for index, message in enumerate(messages)
    )


def drop_oldest(messages: Sequence[Message], count: int) -> tuple[Message, ...]:
    """`messages` without the first `count` that are not system messages; the last one always stays."""
    kept, left = [], count
    for index, message in enumerate(messages):
        if message.role != "system" and left > 0 and index < len(messages) - 1:
            left -= 1
        else:
            kept.append(message)
    return tuple(kept)


def num_droppable(messages: Sequence[Message]) -> int:
    """How many messages `drop_oldest` can take away."""
    return sum(message.role != "system" for message in messages[:-1])


def jinja_context(
    messages: Sequence[Message], tools: Sequence[Tool], think: Think, *, bos_text: str, eos_text: str
) -> dict[str, Any]:
    """What a GGUF's chat template may use.

    The families have several names for the switch of thinking and for the thoughts of a message: all are given.
    """
    context: dict[str, Any] = {
        "messages": [_message(message) for message in messages],
        "add_generation_prompt": True,
        "bos_token": bos_text,
        "eos_token": eos_text,
    }
    if tools:
        context["tools"] = [
            {
                "type": tool.type,
                "function": {
                    "name": tool.function.name,
                    "description": tool.function.description,
                    "parameters": tool.function.parameters,
                },
            }
            for tool in tools
        ]
    if think is not None:
        context["enable_thinking"] = context["thinking"] = think is not False
    if isinstance(think, str):
        context["reasoning_effort"] = think
    return context


def _message(message: Message) -> dict[str, Any]:
    """The fields that templates look for; empty ones are left out, but for the content."""
    fields: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.thinking:
        fields |= dict.fromkeys(_THOUGHTS, message.thinking)
    if message.tool_calls and message.thinking:
        fields["tool_plan"] = message.thinking
    if message.tool_calls:
        fields["tool_calls"] = [
            {
                "type": "function",
                "id": call.id,
                "function": {"name": call.function.name, "arguments": call.function.arguments},
            }
            for call in message.tool_calls
        ]
    if message.tool_name:
        fields["name"] = message.tool_name
    if message.tool_call_id:
        fields["tool_call_id"] = message.tool_call_id
    return fields
