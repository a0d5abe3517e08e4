"""The messages and tools of an OpenAI chat, as the native API has them. Pure; every fault is an InvalidInput."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from ollamapy.dialects.body import go_type
from ollamapy.dialects.openai.media import audio_of, image_of
from ollamapy.errors import InvalidInput
from ollamapy.wire.native import Message, Tool, ToolCall, ToolCallFunction, ToolFunction
from ollamapy.wire.openai import OfferedTool, SentMessage, SentToolCall


def messages_of(sent: Sequence[SentMessage]) -> tuple[Message, ...]:
    """The native messages: one for each text, one for each part of a list."""
    return tuple(message for at, one in enumerate(sent) for message in _messages(one, sent[:at]))


def _messages(sent: SentMessage, earlier: Sequence[SentMessage]) -> list[Message]:
    """What one message becomes.

    1. A text, or nothing where calls are: one message.
    2. A list: a message for each part, of which the last has the reasoning and the calls.
    3. Anything else is refused.
    """
    plain = Message(sent.role.lower(), tool_name=_tool_name(sent, earlier), tool_call_id=sent.tool_call_id or "")
    calls = tuple(_call(call, index) for index, call in enumerate(sent.tool_calls or ()))
    whole = msgspec.structs.replace(plain, thinking=sent.reasoning or "", tool_calls=calls)
    if isinstance(sent.content, str):
        return [msgspec.structs.replace(whole, content=sent.content)]
    if isinstance(sent.content, list):
        parts = [msgspec.structs.replace(plain, **_fields(part)) for part in sent.content]
        if calls or sent.reasoning:
            last = parts.pop() if parts else plain
            parts.append(msgspec.structs.replace(whole, content=last.content, images=last.images))
        return parts
    if sent.content is None and sent.tool_calls is not None:
        return [whole]
    raise InvalidInput(f"invalid message content type: {go_type(sent.content)}")


def _fields(part: Any) -> dict[str, Any]:
    """What one part of a content list says."""
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return {"content": part["text"]}
    if kind == "image_url":
        image = part.get("image_url")
        return {"images": (image_of(image.get("url") if isinstance(image, dict) else image),)}
    if kind == "input_audio":
        return {"images": (audio_of(part.get("input_audio")),)}
    raise InvalidInput("invalid message format", hint="a part is of type text, image_url or input_audio")


def _call(call: SentToolCall, index: int) -> ToolCall:
    arguments = arguments_of(call.function.arguments)
    if arguments is None:
        raise InvalidInput("invalid tool call arguments", hint="they are the JSON text of an object")
    return ToolCall(ToolCallFunction(call.function.name, arguments, index), call.id or "")


def arguments_of(text: str) -> dict[str, Any] | None:
    """The object that `text` is the JSON of; None when it is none."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _tool_name(sent: SentMessage, earlier: Sequence[SentMessage]) -> str:
    """For a tool's result: the name it gives, else that of the newest earlier call with its id."""
    if sent.role.lower() != "tool" or sent.name:
        return sent.name or "" if sent.role.lower() == "tool" else ""
    return next((call.function.name for call in _newest_calls(earlier) if call.id == sent.tool_call_id), "")


def _newest_calls(messages: Sequence[SentMessage]) -> Iterator[SentToolCall]:
    for message in reversed(messages):
        yield from reversed(message.tool_calls or ())


def tools_of(offered: Sequence[OfferedTool] | None) -> tuple[Tool, ...]:
    """The native tools."""
    return tuple(
        Tool(ToolFunction(tool.function.name, tool.function.description or "", tool.function.parameters or {}))
        for tool in offered or ()
    )
