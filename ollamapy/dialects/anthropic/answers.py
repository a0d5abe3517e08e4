"""Native answers as Anthropic's messages, whole or as the events of a stream. Pure: the id is given."""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from ollamapy.wire import native
from ollamapy.wire.anthropic import (
    Block,
    BlockDelta,
    BlockStart,
    BlockStop,
    Event,
    InputDelta,
    Message,
    MessageDelta,
    MessageStart,
    MessageStop,
    StopReason,
    TextBlock,
    TextDelta,
    ThinkingBlock,
    ThinkingDelta,
    ToolUseBlock,
    Usage,
)
from ollamapy.wire.native import ChatResponse

_REASONS = {"": "", "stop": "end_turn", "length": "max_tokens"}


@dataclass(frozen=True, slots=True)
class Envelope:
    """What every answer says: its id, the model as it was asked for, and what went otherwise than asked."""

    id: str
    model: str
    warning: str = ""


def message_of(envelope: Envelope, answer: ChatResponse) -> Message:
    """The whole answer: thinking, text, calls."""
    said = answer.message
    blocks: list[Block] = [ThinkingBlock(said.thinking)] if said.thinking else []
    blocks += [TextBlock(said.content)] if said.content else []
    blocks += [_tool_use(call) for call in said.tool_calls]
    return Message(
        id=envelope.id,
        type="message",
        role="assistant",
        model=envelope.model,
        content=tuple(blocks),
        stop_reason=_stop_reason(answer, bool(said.tool_calls)),
        usage=Usage(answer.prompt_eval_count, answer.eval_count),
        prompt_dropped_count=answer.prompt_dropped_count,
        context_dropped_count=answer.context_dropped_count,
        thinking_cut=answer.thinking_cut,
        warning=_joined(envelope.warning, answer.warning),
    )


def _stop_reason(answer: ChatResponse, has_called: bool) -> str:
    return "tool_use" if has_called else _REASONS.get(answer.done_reason, "stop_sequence")


def _tool_use(call: native.ToolCall) -> ToolUseBlock:
    return ToolUseBlock(call.id, call.function.name, call.function.arguments)


def _joined(*warnings: str) -> str:
    return "; ".join(warning for warning in warnings if warning)


class MessageStream:
    """The events of an answer, from native chunks in the order they come.

    One block is open at a time. What comes next either goes on with it, or closes it and opens its own:

    1. thinking, until text or a call has followed it; what thinks after that is not shown
    2. text
    3. a call: opened, said whole and closed at once
    """

    def __init__(self, envelope: Envelope, num_input: int) -> None:
        self._envelope = envelope
        self._num_input = num_input
        self._has_begun = False
        self._open: type[Block] | None = None
        self._index = 0
        self._has_thought = False
        self._has_called = False
        self._warning = envelope.warning

    def push(self, index: int, answer: ChatResponse) -> Iterator[Event]:
        """What to send for the next object; there is one answer, so `index` is 0."""
        said = answer.message
        if not self._has_begun:
            yield self._begin(answer)
        if said.thinking and not self._has_thought:
            yield from self._go_on(ThinkingBlock(""))
            yield BlockDelta(self._index, ThinkingDelta(said.thinking))
        if said.content:
            yield from self._go_on(TextBlock(""))
            yield BlockDelta(self._index, TextDelta(said.content))
        for call in said.tool_calls:
            yield from self._call(call)
        self._warning = _joined(self._warning, answer.warning)
        if answer.done:
            yield from self._end(answer)

    def finish(self) -> Iterator[Event]:
        """Nothing: the last native object has ended the message."""
        return iter(())

    def _begin(self, answer: ChatResponse) -> MessageStart:
        self._has_begun = True
        usage = Usage(answer.prompt_eval_count or self._num_input, 0)
        envelope = self._envelope
        return MessageStart(
            Message(id=envelope.id, type="message", role="assistant", model=envelope.model, content=(), usage=usage)
        )

    def _go_on(self, block: Block) -> Iterator[Event]:
        """Makes a block of this kind the open one."""
        if self._open is not type(block):
            yield from self._close()
            self._open = type(block)
            yield BlockStart(self._index, block)

    def _close(self) -> Iterator[Event]:
        if self._open:
            self._has_thought |= self._open is ThinkingBlock
            yield BlockStop(self._index)
            self._index += 1
            self._open = None

    def _call(self, call: native.ToolCall) -> Iterator[Event]:
        self._has_called = True
        yield from self._close()
        self._open = ToolUseBlock
        yield BlockStart(self._index, ToolUseBlock(call.id, call.function.name, {}))
        arguments = msgspec.json.encode(call.function.arguments).decode()
        yield BlockDelta(self._index, InputDelta(arguments))
        yield from self._close()

    def _end(self, answer: ChatResponse) -> Iterator[Event]:
        yield from self._close()
        yield MessageDelta(
            delta=StopReason(_stop_reason(answer, self._has_called)),
            usage=Usage(answer.prompt_eval_count, answer.eval_count),
            prompt_dropped_count=answer.prompt_dropped_count,
            context_dropped_count=answer.context_dropped_count,
            thinking_cut=answer.thinking_cut,
            warning=self._warning,
        )
        yield MessageStop()
