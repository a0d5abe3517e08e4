"""The input of `/v1/responses`, as the native API has messages. Pure; every fault is an InvalidInput."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ollamapy.dialects.openai.media import image_of
from ollamapy.errors import InvalidInput
from ollamapy.wire.native import Message, Tool, ToolCall, ToolCallFunction, ToolFunction
from ollamapy.wire.responses import OfferedTool, SentItem

_TEXTS = ("input_text", "output_text", "text")


def messages_of(instructions: str | None, sent: Any) -> tuple[Message, ...]:
    """The native messages, the instructions first."""
    system = (Message("system", instructions),) if instructions else ()
    if isinstance(sent, str):
        return (*system, Message("user", sent)) if sent else system
    if not isinstance(sent, list):
        raise InvalidInput(f"input must be a string or array: found {_shown(sent)}")
    story = _Story()
    for index, item in enumerate(sent):
        story.add(_read(item, f"input[{index}]"), f"input[{index}]")
    return (*system, *story.finish())


def _shown(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def _read(item: Any, place: str) -> SentItem:
    try:
        return msgspec.convert(item, SentItem)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"{place}: {error}") from error


@dataclass(slots=True)
class _Story:
    """The messages so far, and the thinking of an assistant who has not said anything yet."""

    messages: list[Message] = field(default_factory=list)
    thinking: str = ""

    def add(self, item: SentItem, place: str) -> None:
        """The next item.

        1. A message. An assistant's right after a call of the same joins it, so that the result follows the call.
        2. A call joins the assistant's message before it, or makes one.
        3. The result of a call.
        4. Thinking waits for what the assistant says next.
        5. A search of OpenAI's own is passed over.
        """
        match item.type or ("message" if item.role else None):
            case "message":
                self._say(item, place)
            case "function_call":
                self._call(item)
            case "function_call_output":
                text, images = _content(item.output, place)
                self.messages.append(Message("tool", text, images=images, tool_call_id=item.call_id or ""))
            case "reasoning":
                self.thinking = item.encrypted_content or self.thinking
            case "web_search_call":
                pass
            case None:
                raise InvalidInput(f"{place}: input item missing required 'type' field")
            case kind:
                raise InvalidInput(f'{place}: unknown input item type: "{kind}"')

    def finish(self) -> list[Message]:
        """All messages; thinking that nothing followed is a message of its own."""
        if self.thinking:
            self.messages.append(Message("assistant", thinking=self._take_thinking()))
        return self.messages

    def _say(self, item: SentItem, place: str) -> None:
        text, images = _content(item.content, place)
        role = (item.role or "").lower()
        if role != "assistant":
            self.messages.append(Message(role, text, images=images))
            return
        last = self.messages[-1] if self.messages else None
        if last and last.role == "assistant" and last.tool_calls:
            joined = "\n".join(part for part in (last.content, text) if part)
            self._replace_last(content=joined, images=(*last.images, *images))
        else:
            self.messages.append(Message(role, text, self._take_thinking(), images))

    def _call(self, item: SentItem) -> None:
        if not (self.messages and self.messages[-1].role == "assistant"):
            self.messages.append(Message("assistant"))
        last = self.messages[-1]
        function = ToolCallFunction(item.name or "", _arguments(item.arguments or ""), len(last.tool_calls))
        self._replace_last(
            thinking=self._take_thinking() or last.thinking,
            tool_calls=(*last.tool_calls, ToolCall(function, item.call_id or "")),
        )

    def _replace_last(self, **fields: Any) -> None:
        self.messages[-1] = msgspec.structs.replace(self.messages[-1], **fields)

    def _take_thinking(self) -> str:
        thinking, self.thinking = self.thinking, ""
        return thinking


def _arguments(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput(f"failed to parse function call arguments: {error}") from error


def _content(content: Any, place: str) -> tuple[str, tuple[str, ...]]:
    """The text and the images of a content, which is a text or a list of parts."""
    if isinstance(content, str | None):
        return content or "", ()
    if not isinstance(content, list):
        raise InvalidInput(f"{place}: content must be a string or array: found {_shown(content)}")
    text, images = "", []
    for index, part in enumerate(content):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in _TEXTS and isinstance(part.get("text"), str):
            text += part["text"]
        elif kind == "input_image":
            images += [image_of(part["image_url"])] if part.get("image_url") else []
        elif kind == "input_file":
            raise InvalidInput("file inputs are not currently supported")
        else:
            raise InvalidInput(f"{place}: content[{index}]: unknown content type: {kind or ''}")
    return text, tuple(images)


def tools_of(sent: Sequence[dict[str, Any]] | None) -> tuple[tuple[Tool, ...], str]:
    """The native tools, and a warning that names those which cannot be offered. Searches of OpenAI's own go unsaid."""
    try:
        tools = msgspec.convert(sent or (), tuple[OfferedTool, ...])
    except msgspec.ValidationError as error:
        raise InvalidInput(f"tools: {error}") from error
    members = [(tool.name, member) for tool in tools if tool.type == "namespace" for member in tool.tools or ()]
    functions = [("", tool) for tool in tools if tool.type == "function"] + members
    others = [tool for tool in tools if tool.type not in ("function", "namespace") and "web_search" not in tool.type]
    left_out = ", ".join(f"{tool.type} {tool.name}".strip() for tool in others)
    warning = f"only functions can be offered to the model, so these are left out: {left_out}" if left_out else ""
    return tuple(_tool(namespace, tool) for namespace, tool in functions), warning


def _tool(namespace: str, tool: OfferedTool) -> Tool:
    prefix = f"{namespace}." if namespace else ""
    name = tool.name if tool.name.startswith(prefix) else prefix + tool.name
    return Tool(ToolFunction(name, tool.description or "", tool.parameters or {}))
