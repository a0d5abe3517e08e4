"""The events of a streamed `/v1/responses`, from native chunks in the order they come. Pure."""

from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from ollamapy.dialects.openai.responses import (
    Envelope,
    begun,
    call_item,
    finished,
    message_item,
    output_text,
    reasoning_item,
)
from ollamapy.wire import native
from ollamapy.wire.native import ChatResponse
from ollamapy.wire.responses import (
    ArgumentsDelta,
    ArgumentsDone,
    Event,
    Item,
    ItemEvent,
    MessageItem,
    PartEvent,
    ReasoningItem,
    ResponseEvent,
    SummaryDelta,
    SummaryDone,
    TextDelta,
    TextDone,
)

E = TypeVar("E", bound=Event)


class ResponseStream:
    """One item of the output is open at a time. What comes next goes on with it, or closes it and opens its own.

    The items that were closed are the output of the completed response: clients compare the two.
    """

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._num_events = 0
        self._open: ReasoningItem | MessageItem | None = None
        self._text = ""
        self._done: list[Item] = []
        self._warnings: list[str] = []

    def push(self, index: int, answer: ChatResponse) -> Iterator[Event]:
        """What to send for the next object; there is one answer, so `index` is 0."""
        said = answer.message
        if not self._num_events:
            yield self._event(ResponseEvent, "response.created", begun(self._envelope))
            yield self._event(ResponseEvent, "response.in_progress", begun(self._envelope))
        if said.thinking:
            yield from self._think(said.thinking)
        if said.content:
            yield from self._say(said.content)
        for call in said.tool_calls:
            yield from self._call(call)
        if answer.warning:
            self._warnings.append(answer.warning)
        if answer.done:
            yield from self._end(answer)

    def finish(self) -> Iterator[Event]:
        """Nothing: the last native object has completed the response."""
        return iter(())

    def _event(self, kind: type[E], name: str, *fields: Any) -> E:
        number, self._num_events = self._num_events, self._num_events + 1
        return kind(name, number, *fields)

    def _think(self, text: str) -> Iterator[Event]:
        index = len(self._done)
        if not isinstance(self._open, ReasoningItem):
            yield from self._close()
            index = len(self._done)
            yield self._begin(reasoning_item(self._envelope, index))
        self._text += text
        item_id = self._envelope.item_id("rs", index)
        yield self._event(SummaryDelta, "response.reasoning_summary_text.delta", item_id, index, 0, text)

    def _say(self, text: str) -> Iterator[Event]:
        index = len(self._done)
        if not isinstance(self._open, MessageItem):
            yield from self._close()
            index = len(self._done)
            item = message_item(self._envelope, index, None)
            yield self._begin(item)
            yield self._event(PartEvent, "response.content_part.added", item.id, index, 0, output_text(""))
        self._text += text
        item_id = self._envelope.item_id("msg", index)
        yield self._event(TextDelta, "response.output_text.delta", item_id, index, 0, text, ())

    def _begin(self, item: ReasoningItem | MessageItem) -> ItemEvent:
        self._open, self._text = item, ""
        return self._event(ItemEvent, "response.output_item.added", len(self._done), item)

    def _close(self) -> Iterator[Event]:
        index = len(self._done)
        match self._open:
            case ReasoningItem(id=item_id):
                yield self._event(SummaryDone, "response.reasoning_summary_text.done", item_id, index, 0, self._text)
                yield self._finish(reasoning_item(self._envelope, index, self._text))
            case MessageItem(id=item_id):
                part = output_text(self._text)
                yield self._event(TextDone, "response.output_text.done", item_id, index, 0, self._text, ())
                yield self._event(PartEvent, "response.content_part.done", item_id, index, 0, part)
                yield self._finish(message_item(self._envelope, index, self._text))

    def _finish(self, item: Item) -> ItemEvent:
        event = self._event(ItemEvent, "response.output_item.done", len(self._done), item)
        self._done.append(item)
        self._open = None
        return event

    def _call(self, call: native.ToolCall) -> Iterator[Event]:
        """A call comes whole: it is opened, said and closed at once."""
        yield from self._close()
        index = len(self._done)
        item = call_item(self._envelope, index, call)
        empty = msgspec.structs.replace(item, status="in_progress", arguments="")
        yield self._event(ItemEvent, "response.output_item.added", index, empty)
        yield self._event(ArgumentsDelta, "response.function_call_arguments.delta", item.id, index, item.arguments)
        yield self._event(
            ArgumentsDone, "response.function_call_arguments.done", item.id, index, item.name, item.arguments
        )
        yield self._finish(item)

    def _end(self, answer: ChatResponse) -> Iterator[Event]:
        yield from self._close()
        whole = finished(self._envelope, answer, tuple(self._done), "; ".join(self._warnings))
        yield self._event(ResponseEvent, "response.completed", whole)
