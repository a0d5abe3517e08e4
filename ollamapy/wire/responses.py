"""Requests, responses and stream events of OpenAI's `/v1/responses`.

In requests null is absent, unknown fields are ignored. In responses fields come in OpenAI's order, null where there is
nothing; the last ones are ours and left out when empty.
"""

from typing import Any, Literal

import msgspec

from ollamapy.wire.extra import ExtraFields
from ollamapy.wire.openai import Reasoning


class TextConfig(msgspec.Struct, frozen=True):
    format: dict[str, Any] | None = None


class SentItem(msgspec.Struct, frozen=True):
    """One item of the input, of whatever type; each type uses some of the fields."""

    type: str | None = None
    role: str | None = None
    content: Any = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: Any = None
    encrypted_content: str | None = None


class OfferedTool(msgspec.Struct, frozen=True):
    """A function, or a namespace of `tools`; other types are OpenAI's own."""

    type: str = ""
    name: str = ""
    description: str | None = None
    parameters: dict[str, Any] | None = None
    tools: tuple["OfferedTool", ...] | None = None


class ResponsesRequest(ExtraFields, frozen=True, kw_only=True):
    """`tools` stay as they were sent, because the answer says them again."""

    model: str | None = None
    instructions: str | None = None
    input: Any = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    reasoning: Reasoning | None = None
    text: TextConfig | None = None
    tools: tuple[dict[str, Any], ...] | None = None
    tool_choice: Any = None
    truncation: Any = None
    background: bool | None = None
    stream: bool | None = None


class SummaryText(msgspec.Struct, frozen=True, tag="summary_text"):
    text: str


class ReasoningItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """`encrypted_content` is the plain thinking, which the client sends back."""

    id: str
    type: Literal["reasoning"]
    summary: tuple[SummaryText, ...]
    encrypted_content: str = ""


class OutputText(msgspec.Struct, frozen=True, tag="output_text"):
    text: str
    annotations: tuple[Any, ...]
    logprobs: tuple[Any, ...]


class MessageItem(msgspec.Struct, frozen=True):
    id: str
    type: Literal["message"]
    status: str
    role: Literal["assistant"]
    content: tuple[OutputText, ...]


class CallItem(msgspec.Struct, frozen=True):
    """`arguments` is JSON text."""

    id: str
    type: Literal["function_call"]
    status: str
    call_id: str
    name: str
    arguments: str


Item = ReasoningItem | MessageItem | CallItem
"""Written only. Fields of this type are declared Any, because a union that can be read needs its `type` first."""


class InputDetails(msgspec.Struct, frozen=True):
    cached_tokens: int


class OutputDetails(msgspec.Struct, frozen=True):
    reasoning_tokens: int


class Usage(msgspec.Struct, frozen=True):
    """Counts of tokens."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: InputDetails
    output_tokens_details: OutputDetails


class Incomplete(msgspec.Struct, frozen=True):
    reason: str


class AnsweredText(msgspec.Struct, frozen=True):
    format: dict[str, Any]


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer, or the empty one that a stream begins with. `output` holds Items."""

    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    status: str
    incomplete_details: Incomplete | None
    model: str
    previous_response_id: None = None
    instructions: str | None
    output: tuple[Any, ...]
    error: None = None
    tools: tuple[dict[str, Any], ...]
    tool_choice: Any
    truncation: Any
    parallel_tool_calls: bool = True
    text: AnsweredText
    top_p: float
    temperature: float
    presence_penalty: int = 0
    frequency_penalty: int = 0
    top_logprobs: int = 0
    reasoning: Reasoning | None
    usage: Usage | None
    max_output_tokens: int | None
    max_tool_calls: None = None
    store: bool = False
    background: bool
    service_tier: str = "default"
    metadata: dict[str, Any] = {}
    safety_identifier: None = None
    prompt_cache_key: None = None
    prompt_dropped_count: int | msgspec.UnsetType = msgspec.UNSET
    context_dropped_count: int | msgspec.UnsetType = msgspec.UNSET
    thinking_cut: bool | msgspec.UnsetType = msgspec.UNSET
    warning: str | msgspec.UnsetType = msgspec.UNSET


class Event(msgspec.Struct, frozen=True):
    """What every event of a stream begins with; `sequence_number` counts them from 0."""

    type: str
    sequence_number: int


class ResponseEvent(Event, frozen=True):
    """`response.created`, `response.in_progress`, `response.completed`."""

    response: Response


class ItemEvent(Event, frozen=True):
    """`response.output_item.added` and `.done` of an Item."""

    output_index: int
    item: Any


class PartEvent(Event, frozen=True):
    """`response.content_part.added` and `.done`."""

    item_id: str
    output_index: int
    content_index: int
    part: OutputText


class TextDelta(Event, frozen=True):
    """`response.output_text.delta`."""

    item_id: str
    output_index: int
    content_index: int
    delta: str
    logprobs: tuple[Any, ...]


class TextDone(Event, frozen=True):
    """`response.output_text.done`."""

    item_id: str
    output_index: int
    content_index: int
    text: str
    logprobs: tuple[Any, ...]


class SummaryDelta(Event, frozen=True):
    """`response.reasoning_summary_text.delta`."""

    item_id: str
    output_index: int
    summary_index: int
    delta: str


class SummaryDone(Event, frozen=True):
    """`response.reasoning_summary_text.done`."""

    item_id: str
    output_index: int
    summary_index: int
    text: str


class ArgumentsDelta(Event, frozen=True):
    """`response.function_call_arguments.delta`."""

    item_id: str
    output_index: int
    delta: str


class ArgumentsDone(Event, frozen=True):
    """`response.function_call_arguments.done`."""

    item_id: str
    output_index: int
    name: str
    arguments: str
