"""The messages and tools of an Anthropic request, as the native API has them. Pure; every fault is an InvalidInput."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from ollamapy.errors import InvalidInput
from ollamapy.pictures import base64_fault
from ollamapy.wire.anthropic import CountRequest, OfferedTool, SentBlock, SentMessage
from ollamapy.wire.native import Message, Tool, ToolCall, ToolCallFunction, ToolFunction

_CALLS = ("tool_use", "server_tool_use")
_RESULTS = ("tool_result", "web_search_tool_result")
_OWN_TOOL = "web_search"


def messages_of(wanted: CountRequest) -> tuple[Message, ...]:
    """The native messages, the system text first. Raises InvalidInput when nothing else is left."""
    system = system_of(wanted)
    first = (Message("system", system),) if system else ()
    said = tuple(message for sent in wanted.messages or () for message in _messages(sent))
    if not said:
        raise InvalidInput("messages is required", hint="give one that has a text, an image, a call or a result")
    return (*first, *said)


def system_of(wanted: CountRequest) -> str:
    """The system text; blocks that are no text are passed over."""
    return _text(wanted.system or ())


def _text(content: str | Iterable[SentBlock]) -> str:
    if isinstance(content, str):
        return content
    return "".join(block.text or "" for block in content if block.type == "text")


def _messages(sent: SentMessage) -> list[Message]:
    """What one message becomes: the results of tools each by itself, the rest together.

    A user's results go before the rest, anybody else's after it; what is empty is dropped.
    """
    blocks = _blocks(sent.content)
    results = [_result(block) for block in blocks if block.type in _RESULTS]
    rest = _rest(sent.role.lower(), [block for block in blocks if block.type not in _RESULTS])
    is_empty = not (rest.content or rest.images or rest.tool_calls or rest.thinking)
    others = [] if is_empty else [rest]
    return [*results, *others] if rest.role == "user" else [*others, *results]


def _blocks(content: str | Sequence[SentBlock] | None) -> Sequence[SentBlock]:
    return (SentBlock("text", content),) if isinstance(content, str) else content or ()


def _rest(role: str, blocks: Sequence[SentBlock]) -> Message:
    calls = [block for block in blocks if block.type in _CALLS]
    thoughts = [block.thinking or "" for block in blocks if block.type == "thinking"]
    return Message(
        role,
        _text(blocks),
        thinking=thoughts[-1] if thoughts else "",
        images=tuple(_image(block.source) for block in blocks if block.type == "image"),
        tool_calls=tuple(_call(block, index) for index, block in enumerate(calls)),
    )


def _image(source: Any, place: str = "image") -> str:
    """The base64 text of an image's source. Images are never fetched."""
    if not isinstance(source, dict):
        raise InvalidInput(f"invalid {place} source")
    if source.get("type") != "base64":
        kind = source.get("type")
        raise InvalidInput(f"invalid image source type: {kind}. Only base64 images are supported.")
    data = source.get("data")
    if fault := base64_fault(data) if isinstance(data, str) else "the data is no text":
        raise InvalidInput(f"invalid base64 image data: {fault}")
    return str(data)


def _call(block: SentBlock, index: int) -> ToolCall:
    if not block.id:
        raise InvalidInput("tool_use block missing required 'id' field")
    if not block.name:
        raise InvalidInput("tool_use block missing required 'name' field")
    if not isinstance(block.input, dict | None):
        raise InvalidInput("tool_use block's 'input' must be an object")
    return ToolCall(ToolCallFunction(block.name, block.input or {}, index), block.id)


def _result(block: SentBlock) -> Message:
    """The result of a tool: text and images. Content of another shape is passed on as JSON."""
    blocks = block.content
    if isinstance(blocks, str | None):
        return Message("tool", blocks or "", tool_call_id=block.tool_use_id or "")
    if block.type != "tool_result" or not isinstance(blocks, list):
        return Message("tool", msgspec.json.encode(blocks).decode(), tool_call_id=block.tool_use_id or "")
    try:
        parts = msgspec.convert(blocks, list[SentBlock])
    except msgspec.ValidationError as error:
        raise InvalidInput(f"invalid tool_result content: {error}") from error
    images = tuple(_image(part.source, "tool_result image") for part in parts if part.type == "image")
    return Message("tool", _text(parts), images=images, tool_call_id=block.tool_use_id or "")


def tools_of(offered: Sequence[OfferedTool] | None) -> tuple[Tool, ...]:
    """The native tools. A web search is Anthropic's own and not offered, nor is a tool of its name beside it."""
    tools = offered or ()
    has_search = any(_is_search(tool) for tool in tools)
    return tuple(_tool(tool) for tool in tools if not (_is_search(tool) or (has_search and tool.name == _OWN_TOOL)))


def _is_search(tool: OfferedTool) -> bool:
    return (tool.type or "").startswith(_OWN_TOOL)


def _tool(tool: OfferedTool) -> Tool:
    if not isinstance(tool.input_schema, dict | None):
        raise InvalidInput(f'invalid input_schema for tool "{tool.name}": it must be a JSON schema object')
    return Tool(ToolFunction(tool.name, tool.description or "", tool.input_schema or {}))
