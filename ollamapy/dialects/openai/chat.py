"""`/v1/chat/completions` over the native chat: requests one way, answers the other. Pure: ids and times are given.

A streamed answer is `ChatStream`'s: native chunks in, OpenAI's out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ollamapy.dialects.extra import extras_of
from ollamapy.dialects.openai import sampling
from ollamapy.dialects.openai.effort import think_of
from ollamapy.dialects.openai.messages import messages_of, tools_of
from ollamapy.errors import InvalidInput
from ollamapy.wire import native
from ollamapy.wire.native import ChatRequest, ChatResponse
from ollamapy.wire.openai import (
    AssistantMessage,
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionRequest,
    Choice,
    ChunkChoice,
    Delta,
    Function,
    Logprobs,
    ResponseFormat,
    ToolCall,
    Usage,
)

FINGERPRINT = "fp_ollama"
_DEFAULTS = {"temperature": 1.0, "top_p": 1.0}


@dataclass(frozen=True, slots=True)
class Envelope:
    """What every object of an answer says: its id, its Unix time, the model as it was asked for."""

    id: str
    created: int
    model: str


def requests_of(wanted: ChatCompletionRequest) -> list[ChatRequest]:
    """A native request for each choice. Raises InvalidInput."""
    if not wanted.messages:
        raise InvalidInput("[] is too short - 'messages'")
    tools, choice = _offer(wanted)
    request = ChatRequest(
        model=wanted.model or "",
        stream=bool(wanted.stream),
        messages=messages_of(wanted.messages),
        tools=tools,
        format=_format(wanted.response_format),
        think=think_of(wanted.reasoning, wanted.reasoning_effort) if wanted.think is None else wanted.think,
        logprobs=bool(wanted.logprobs),
        top_logprobs=wanted.top_logprobs or 0,
        debug_render_only=bool(wanted.debug_render_only),
        **extras_of(wanted, ChatRequest, tool_choice=choice),
    )
    stop = _stop(wanted.stop)
    return [
        msgspec.structs.replace(request, options=sampling.options_of(wanted, _DEFAULTS, stop, at))
        for at in range(sampling.num_choices(wanted))
    ]


def _offer(wanted: ChatCompletionRequest) -> tuple[tuple[native.Tool, ...], Any]:
    """The tools that the model is shown, and which of them it must call; None when it is free."""
    if wanted.tool_choice == "none":
        return (), None
    return tools_of(wanted.tools), None if wanted.tool_choice == "auto" else wanted.tool_choice


def _format(wanted: ResponseFormat | None) -> Any:
    match wanted.type.strip().lower() if wanted else "":
        case "json_object":
            return "json"
        case "json_schema" if wanted and wanted.json_schema:
            return wanted.json_schema.schema_
    return None


def _stop(stop: Any) -> list[str] | None:
    """Stop texts; members that are none are dropped, as Ollama does."""
    if isinstance(stop, str):
        return [stop]
    return [text for text in stop if isinstance(text, str)] if isinstance(stop, list) else None


def completion_of(envelope: Envelope, answers: Sequence[ChatResponse]) -> ChatCompletion:
    """The whole answer, a choice for each native one."""
    return ChatCompletion(
        id=envelope.id,
        object="chat.completion",
        created=envelope.created,
        model=envelope.model,
        system_fingerprint=FINGERPRINT,
        choices=tuple(_choice(index, answer) for index, answer in enumerate(answers)),
        usage=usage_of(answers),
        prompt_dropped_count=max(answer.prompt_dropped_count for answer in answers),
        context_dropped_count=max(answer.context_dropped_count for answer in answers),
        thinking_cut=any(answer.thinking_cut for answer in answers),
        warning="; ".join(answer.warning for answer in answers if answer.warning),
        debug_info=answers[0].debug_info,
    )


def _choice(index: int, answer: ChatResponse) -> Choice:
    message, calls = answer.message, _calls(answer)
    return Choice(
        index=index,
        message=AssistantMessage(
            role=message.role, content=message.content, reasoning=message.thinking, tool_calls=calls
        ),
        finish_reason=_finish_reason(answer, bool(calls)),
        logprobs=_logprobs(answer),
    )


class ChatStream:
    """The chunks of an answer of one or more choices, from native chunks in the order they come."""

    def __init__(self, envelope: Envelope, num_choices: int = 1, *, includes_usage: bool = False) -> None:
        self._envelope = envelope
        self._has_begun = [False] * num_choices
        self._has_called = [False] * num_choices
        self._includes_usage = includes_usage
        self._ends: list[ChatResponse] = []

    def push(self, index: int, answer: ChatResponse) -> Iterator[ChatCompletionChunk]:
        """What to send for the next object of choice `index`.

        1. Thinking together with content or calls: two chunks, the thinking first, with the log probabilities.
        2. An empty last object: nothing, unless it is the first.
        3. After a last object: the reason why it is the last.
        """
        message, logprobs = answer.message, _logprobs(answer)
        calls = _calls(answer)
        if message.thinking and (message.content or calls):
            yield self._chunk(index, Delta(reasoning=message.thinking), logprobs)
            yield self._chunk(index, Delta(content=message.content, tool_calls=calls), None, answer)
        elif not answer.done or message.content or message.thinking or calls or logprobs or not self._has_begun[index]:
            delta = Delta(content=message.content, reasoning=message.thinking, tool_calls=calls)
            yield self._chunk(index, delta, logprobs, answer)
        self._has_called[index] |= bool(calls)
        if answer.done:
            self._ends.append(answer)
            yield self._finish(index, answer)

    def finish(self) -> Iterator[ChatCompletionChunk]:
        """What comes after the last choice has ended."""
        if self._includes_usage:
            yield self._enveloped((), usage=usage_of(self._ends))

    def _chunk(
        self, index: int, delta: Delta, logprobs: Logprobs | None, answer: ChatResponse | None = None
    ) -> ChatCompletionChunk:
        if not self._has_begun[index]:
            self._has_begun[index] = True
            delta = msgspec.structs.replace(delta, role="assistant")
        choice = ChunkChoice(index=index, delta=delta, finish_reason=None, logprobs=logprobs)
        return self._enveloped((choice,), warning=answer.warning if answer else "")

    def _finish(self, index: int, answer: ChatResponse) -> ChatCompletionChunk:
        reason = _finish_reason(answer, self._has_called[index])
        choice = ChunkChoice(index=index, delta=Delta(), finish_reason=reason)
        return self._enveloped(
            (choice,),
            prompt_dropped_count=answer.prompt_dropped_count,
            context_dropped_count=answer.context_dropped_count,
            thinking_cut=answer.thinking_cut,
        )

    def _enveloped(self, choices: tuple[ChunkChoice, ...], **fields: Any) -> ChatCompletionChunk:
        return ChatCompletionChunk(
            id=self._envelope.id,
            object="chat.completion.chunk",
            created=self._envelope.created,
            model=self._envelope.model,
            system_fingerprint=FINGERPRINT,
            choices=choices,
            **fields,
        )


def usage_of(answers: Sequence[ChatResponse] | Sequence[native.GenerateResponse]) -> Usage:
    """The prompt counts once, however many answers it got."""
    num_prompt = max((answer.prompt_eval_count for answer in answers), default=0)
    num_output = sum(answer.eval_count for answer in answers)
    return Usage(num_prompt, num_output, num_prompt + num_output)


def _finish_reason(answer: ChatResponse, has_called: bool) -> str | None:
    return "tool_calls" if answer.done_reason == "stop" and has_called else answer.done_reason or None


def _calls(answer: ChatResponse) -> tuple[ToolCall, ...]:
    return tuple(_call(call) for call in answer.message.tool_calls)


def _call(call: native.ToolCall) -> ToolCall:
    arguments = msgspec.json.encode(call.function.arguments).decode()
    return ToolCall(call.id, call.function.index, "function", Function(call.function.name, arguments))


def _logprobs(answer: ChatResponse) -> Logprobs | None:
    return Logprobs(answer.logprobs) if answer.logprobs else None
