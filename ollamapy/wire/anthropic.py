"""Requests, responses and stream events of Anthropic's `/v1/messages`.

In requests null is absent, unknown fields and blocks are ignored. In responses a field without a default is always
sent, the others are left out when empty. An event's tag is its name.
"""

from typing import Any, Literal

import msgspec

from ollamapy.wire.extra import ExtraFields


class SentBlock(msgspec.Struct, frozen=True, omit_defaults=True):
    """One block of a message, of whatever type; each type uses some of the fields."""

    type: str = ""
    text: str | None = None
    source: Any = None
    id: str | None = None
    name: str | None = None
    input: Any = None
    thinking: str | None = None
    tool_use_id: str | None = None
    content: Any = None


class SentMessage(msgspec.Struct, frozen=True):
    role: str = ""
    content: str | tuple[SentBlock, ...] | None = None


class OfferedTool(msgspec.Struct, frozen=True):
    """A tool of the user's; those of other types than `custom` are Anthropic's own."""

    name: str = ""
    type: str | None = None
    description: str | None = None
    input_schema: Any = None


class ThinkingConfig(msgspec.Struct, frozen=True):
    type: str = ""
    budget_tokens: int | None = None


class OutputFormat(msgspec.Struct, frozen=True, rename={"schema_": "schema"}):
    type: str = ""
    schema_: Any = None


class OutputConfig(msgspec.Struct, frozen=True):
    effort: str | None = None
    format: OutputFormat | None = None


class ToolChoice(msgspec.Struct, frozen=True):
    type: str = ""
    name: str | None = None


class CountRequest(ExtraFields, frozen=True, kw_only=True):
    """What is counted: everything that the prompt is made of."""

    model: str | None = None
    system: str | tuple[SentBlock, ...] | None = None
    messages: tuple[SentMessage, ...] | None = None
    tools: tuple[OfferedTool, ...] | None = None
    tool_choice: ToolChoice | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None


class MessagesRequest(CountRequest, frozen=True, kw_only=True):
    max_tokens: int | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: tuple[str, ...] | None = None


class _Answer(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    pass


class TextBlock(msgspec.Struct, frozen=True, tag="text"):
    text: str


class ThinkingBlock(msgspec.Struct, frozen=True, tag="thinking"):
    thinking: str


class ToolUseBlock(msgspec.Struct, frozen=True, tag="tool_use"):
    id: str
    name: str
    input: dict[str, Any]


Block = TextBlock | ThinkingBlock | ToolUseBlock


class Usage(msgspec.Struct, frozen=True):
    """Counts of tokens."""

    input_tokens: int
    output_tokens: int


class Message(_Answer, frozen=True, kw_only=True):
    """A whole answer, or the empty one that a stream begins with. The last fields are the native API's."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: tuple[Block, ...]
    stop_reason: str = ""
    usage: Usage
    prompt_dropped_count: int = 0
    context_dropped_count: int = 0
    thinking_cut: bool = False
    warning: str = ""


class MessageStart(msgspec.Struct, frozen=True, tag="message_start"):
    message: Message


class BlockStart(msgspec.Struct, frozen=True, tag="content_block_start"):
    index: int
    content_block: Block


class TextDelta(msgspec.Struct, frozen=True, tag="text_delta"):
    text: str


class ThinkingDelta(msgspec.Struct, frozen=True, tag="thinking_delta"):
    thinking: str


class InputDelta(msgspec.Struct, frozen=True, tag="input_json_delta"):
    partial_json: str


class BlockDelta(msgspec.Struct, frozen=True, tag="content_block_delta"):
    index: int
    delta: TextDelta | ThinkingDelta | InputDelta


class BlockStop(msgspec.Struct, frozen=True, tag="content_block_stop"):
    index: int


class StopReason(msgspec.Struct, frozen=True):
    stop_reason: str


class MessageDelta(_Answer, frozen=True, kw_only=True, tag="message_delta"):
    delta: StopReason
    usage: Usage
    prompt_dropped_count: int = 0
    context_dropped_count: int = 0
    thinking_cut: bool = False
    warning: str = ""


class MessageStop(msgspec.Struct, frozen=True, tag="message_stop"):
    pass


Event = MessageStart | BlockStart | BlockDelta | BlockStop | MessageDelta | MessageStop


class TokenCount(msgspec.Struct, frozen=True):
    input_tokens: int


class ErrorBody(_Answer, frozen=True, kw_only=True):
    """`hint` is ours: what to do next."""

    type: str
    message: str
    hint: str = ""


class ErrorResponse(msgspec.Struct, frozen=True, tag="error", omit_defaults=True):
    """`request_id` is not said in a stream."""

    error: ErrorBody
    request_id: str = ""
