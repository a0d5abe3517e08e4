"""A request of `/v1/messages` as a native chat. Pure."""

from typing import Any

import msgspec

from ollamapy.dialects.anthropic.messages import messages_of, system_of, tools_of
from ollamapy.dialects.extra import extras_of
from ollamapy.errors import InvalidInput
from ollamapy.wire.anthropic import CountRequest, MessagesRequest, SentBlock, SentMessage
from ollamapy.wire.native import ChatRequest, Think

_EFFORTS: dict[str, Think] = {"low": "low", "medium": "medium", "high": "high", "max": "max", "xhigh": "high"}


def request_of(wanted: MessagesRequest) -> ChatRequest:
    """The native request. Raises InvalidInput, in the contract's order."""
    _require_model(wanted)
    if wanted.max_tokens is None or wanted.max_tokens <= 0:
        raise InvalidInput("max_tokens is required and must be positive")
    return msgspec.structs.replace(_prompt_of(wanted), stream=bool(wanted.stream), options=_options(wanted))


def counted_request_of(wanted: CountRequest) -> ChatRequest:
    """The native request whose prompt is to be counted. Raises InvalidInput."""
    _require_model(wanted)
    return msgspec.structs.replace(_prompt_of(wanted), options=wanted.options or {})


def _require_model(wanted: CountRequest) -> None:
    if not wanted.model:
        raise InvalidInput("model is required")


def _prompt_of(wanted: CountRequest) -> ChatRequest:
    if not wanted.messages:
        raise InvalidInput("messages is required")
    messages, tools = messages_of(wanted), tools_of(wanted.tools)
    kind = wanted.tool_choice.type if wanted.tool_choice else "auto"
    return ChatRequest(
        model=wanted.model or "",
        messages=messages,
        tools=() if kind == "none" else tools,
        format=_format(wanted),
        think=_think(wanted) if wanted.think is None else wanted.think,
        **extras_of(wanted, ChatRequest, tool_choice=_tool_choice(wanted)),
    )


def _think(wanted: CountRequest) -> Think:
    """As `thinking` decides; else as hard as the effort says."""
    kind = wanted.thinking.type if wanted.thinking else ""
    if kind in ("enabled", "disabled"):
        return kind == "enabled"
    effort = wanted.output_config.effort if wanted.output_config else None
    return _EFFORTS.get((effort or "").strip().lower())


def _format(wanted: CountRequest) -> Any:
    form = wanted.output_config.format if wanted.output_config else None
    return form.schema_ if form and form.type == "json_schema" else None


def _tool_choice(wanted: CountRequest) -> Any:
    """Which tool must be called, in OpenAI's words, which are the native API's; None when the model is free."""
    choice = wanted.tool_choice
    if choice and choice.type == "any":
        return "required"
    if choice and choice.type == "tool":
        return {"type": "function", "function": {"name": choice.name or ""}}
    return None


def _options(wanted: MessagesRequest) -> dict[str, Any]:
    """The model's own defaults stay where the request says nothing."""
    thinking = wanted.thinking
    fields = {
        "num_predict": wanted.max_tokens,
        "temperature": wanted.temperature,
        "top_p": wanted.top_p,
        "top_k": wanted.top_k,
        "stop": wanted.stop_sequences and list(wanted.stop_sequences),
        "think_budget": thinking.budget_tokens if thinking and thinking.type == "enabled" else None,
    }
    return {**(wanted.options or {}), **{name: value for name, value in fields.items() if value is not None}}


def estimate_of(wanted: CountRequest) -> int:
    """Roughly how many tokens the prompt has, for the beginning of a stream: a quarter of its bytes."""
    num_bytes = len(system_of(wanted).encode())
    num_bytes += sum(_message_bytes(message) for message in wanted.messages or ())
    for tool in wanted.tools or ():
        schema = msgspec.json.encode(tool.input_schema) if tool.input_schema else b""
        num_bytes += len(tool.name.encode()) + len((tool.description or "").encode()) + len(schema)
    return max(num_bytes // 4, 1 if wanted.messages or system_of(wanted) else 0)


def _message_bytes(message: SentMessage) -> int:
    content = message.content or ()
    num_bytes = len(message.role.encode())
    return num_bytes + (len(content.encode()) if isinstance(content, str) else sum(map(_block_bytes, content)))


def _block_bytes(block: SentBlock) -> int:
    if block.type in ("tool_use", "tool_result"):
        return len(msgspec.json.encode(block))
    return len((block.text or "").encode()) + len((block.thinking or "").encode())
