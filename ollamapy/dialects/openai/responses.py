"""`/v1/responses` over the native chat: the request one way, the whole answer the other. Pure: the number is given."""

from dataclasses import dataclass
from typing import Any

import msgspec

from ollamapy.dialects.extra import extras_of
from ollamapy.dialects.openai import items
from ollamapy.dialects.openai.effort import think_of
from ollamapy.dialects.times import unix_seconds
from ollamapy.wire import native
from ollamapy.wire.native import ChatRequest, ChatResponse
from ollamapy.wire.responses import (
    AnsweredText,
    CallItem,
    Incomplete,
    InputDetails,
    Item,
    MessageItem,
    OutputDetails,
    OutputText,
    ReasoningItem,
    Response,
    ResponsesRequest,
    SummaryText,
    Usage,
)


def request_of(wanted: ResponsesRequest) -> tuple[ChatRequest, str]:
    """The native request, and a warning about what of it cannot be done. Raises InvalidInput."""
    tools, warning = items.tools_of(wanted.tools)
    request = ChatRequest(
        model=wanted.model or "",
        stream=bool(wanted.stream),
        messages=items.messages_of(wanted.instructions, wanted.input),
        tools=() if wanted.tool_choice == "none" else tools,
        format=_format(wanted),
        think=think_of(wanted.reasoning) if wanted.think is None else wanted.think,
        options=_options(wanted),
        **extras_of(wanted, ChatRequest, tool_choice=_tool_choice(wanted.tool_choice)),
    )
    return request, warning


def _format(wanted: ResponsesRequest) -> Any:
    form = (wanted.text and wanted.text.format) or {}
    return form.get("schema") if form.get("type") == "json_schema" else None


def _tool_choice(choice: Any) -> Any:
    """The choice in the words of chat completions, which are the native API's; None when the model is free."""
    if choice in (None, "auto", "none"):
        return None
    if isinstance(choice, dict) and choice.get("type") == "function":
        return {"type": "function", "function": {"name": choice.get("name", "")}}
    return choice


def _options(wanted: ResponsesRequest) -> dict[str, Any]:
    fields = {
        "num_predict": wanted.max_output_tokens,
        "temperature": wanted.temperature,
        "top_p": wanted.top_p,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    return {"temperature": 1.0, **(wanted.options or {}), **given}


@dataclass(frozen=True, slots=True)
class Envelope:
    """What an answer says of its request: the number in its ids, its Unix time, the request and a warning about it."""

    number: int
    created: int
    wanted: ResponsesRequest
    warning: str = ""

    def item_id(self, kind: str, index: int) -> str:
        """The id of an item of the output."""
        return f"{kind}_{self.number}_{index}"


def response_of(envelope: Envelope, answer: ChatResponse) -> Response:
    """The whole answer."""
    return finished(envelope, answer, _output(envelope, answer), answer.warning)


def begun(envelope: Envelope) -> Response:
    """The answer before there is anything of it."""
    wanted = envelope.wanted
    return Response(
        id=f"resp_{envelope.number}",
        object="response",
        created_at=envelope.created,
        completed_at=None,
        status="in_progress",
        incomplete_details=None,
        model=wanted.model or "",
        instructions=wanted.instructions or None,
        output=(),
        tools=wanted.tools or (),
        tool_choice=wanted.tool_choice or "auto",
        truncation=wanted.truncation or "disabled",
        text=AnsweredText((wanted.text and wanted.text.format) or {"type": "text"}),
        top_p=1.0 if wanted.top_p is None else wanted.top_p,
        temperature=1.0 if wanted.temperature is None else wanted.temperature,
        reasoning=wanted.reasoning,
        usage=None,
        max_output_tokens=wanted.max_output_tokens,
        background=bool(wanted.background),
    )


def finished(envelope: Envelope, end: ChatResponse, output: tuple[Item, ...], warning: str) -> Response:
    """The answer when `end` was its last native object. A length is a completion too, with a reason."""
    warnings = "; ".join(text for text in (envelope.warning, warning) if text)
    return msgspec.structs.replace(
        begun(envelope),
        completed_at=unix_seconds(end.created_at),
        status="completed",
        incomplete_details=Incomplete("max_output_tokens") if end.done_reason == "length" else None,
        output=output,
        usage=_usage(end),
        prompt_dropped_count=end.prompt_dropped_count or msgspec.UNSET,
        context_dropped_count=end.context_dropped_count or msgspec.UNSET,
        thinking_cut=end.thinking_cut or msgspec.UNSET,
        warning=warnings or msgspec.UNSET,
    )


def _usage(end: ChatResponse) -> Usage:
    num_input, num_output = end.prompt_eval_count, end.eval_count
    cached = InputDetails(end.prompt_cached_count)
    return Usage(num_input, num_output, num_input + num_output, cached, OutputDetails(0))


def _output(envelope: Envelope, answer: ChatResponse) -> tuple[Item, ...]:
    """Thinking; text, unless there is none beside calls; calls."""
    said, output = answer.message, list[Item]()
    if said.thinking:
        output.append(reasoning_item(envelope, len(output), said.thinking))
    if said.content or not said.tool_calls:
        output.append(message_item(envelope, len(output), said.content))
    for call in said.tool_calls:
        output.append(call_item(envelope, len(output), call))
    return tuple(output)


def reasoning_item(envelope: Envelope, index: int, text: str = "") -> ReasoningItem:
    """Thinking; none yet without `text`."""
    summary = (SummaryText(text),) if text else ()
    return ReasoningItem(envelope.item_id("rs", index), "reasoning", summary, text)


def message_item(envelope: Envelope, index: int, text: str | None) -> MessageItem:
    """A message; with None one that has only begun."""
    content = () if text is None else (output_text(text),)
    status = "in_progress" if text is None else "completed"
    return MessageItem(envelope.item_id("msg", index), "message", status, "assistant", content)


def output_text(text: str) -> OutputText:
    """A part of a message."""
    return OutputText(text, (), ())


def call_item(envelope: Envelope, index: int, call: native.ToolCall) -> CallItem:
    """A call of a tool."""
    arguments = msgspec.json.encode(call.function.arguments).decode()
    item_id = envelope.item_id("fc", index)
    return CallItem(item_id, "function_call", "completed", call.id, call.function.name, arguments)
