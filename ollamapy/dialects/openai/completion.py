"""`/v1/completions` over the native generate: requests one way, answers the other. Pure: ids and times are given."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from ollamapy.dialects.body import go_type
from ollamapy.dialects.extra import extras_of
from ollamapy.dialects.openai import sampling
from ollamapy.dialects.openai.chat import FINGERPRINT, Envelope, usage_of
from ollamapy.dialects.times import unix_seconds
from ollamapy.errors import InvalidInput
from ollamapy.wire.native import GenerateRequest, GenerateResponse
from ollamapy.wire.openai import Completion, CompletionRequest, TextChoice, Usage

_DEFAULTS = {"temperature": 1.0, "top_p": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0}


def requests_of(wanted: CompletionRequest) -> list[GenerateRequest]:
    """A native request for each choice. Raises InvalidInput."""
    stop = _stop(wanted.stop)
    if not wanted.top_p:
        wanted = msgspec.structs.replace(wanted, top_p=None)
    request = GenerateRequest(
        model=wanted.model or "",
        stream=bool(wanted.stream),
        prompt=wanted.prompt or "",
        suffix=wanted.suffix or "",
        think=wanted.think,
        logprobs=bool(wanted.logprobs and wanted.logprobs > 0),
        top_logprobs=wanted.logprobs or 0,
        debug_render_only=bool(wanted.debug_render_only),
        **extras_of(wanted, GenerateRequest),
    )
    return [
        msgspec.structs.replace(request, options=sampling.options_of(wanted, _DEFAULTS, stop, at))
        for at in range(sampling.num_choices(wanted))
    ]


def _stop(stop: Any) -> list[str] | None:
    if isinstance(stop, str):
        return [stop]
    if not isinstance(stop, list):
        return None
    for text in stop:
        if not isinstance(text, str):
            raise InvalidInput(f"invalid type for 'stop' field: {go_type(text)}")
    return stop


def completion_of(envelope: Envelope, answers: Sequence[GenerateResponse]) -> Completion:
    """The whole answer, a choice for each native one. Thinking is not shown."""
    return _object(
        envelope,
        envelope.created,
        tuple(TextChoice(answer.response, at, answer.done_reason or None) for at, answer in enumerate(answers)),
        usage=usage_of(answers),
        prompt_dropped_count=max(answer.prompt_dropped_count for answer in answers),
        context_dropped_count=max(answer.context_dropped_count for answer in answers),
        thinking_cut=any(answer.thinking_cut for answer in answers),
        debug_info=answers[0].debug_info,
    )


class CompletionStream:
    """The chunks of an answer, from native chunks in the order they come; each carries the time of its own."""

    def __init__(self, envelope: Envelope, *, includes_usage: bool = False) -> None:
        self._envelope = envelope
        self._created = envelope.created
        self._includes_usage = includes_usage
        self._ends: list[GenerateResponse] = []

    def push(self, index: int, answer: GenerateResponse) -> Iterator[Completion]:
        """What to send for the next object of choice `index`."""
        self._created = unix_seconds(answer.created_at)
        if answer.done:
            self._ends.append(answer)
        choice = TextChoice(answer.response, index, answer.done_reason or None)
        yield self._chunk(
            (choice,),
            Usage(),
            prompt_dropped_count=answer.prompt_dropped_count,
            context_dropped_count=answer.context_dropped_count,
            thinking_cut=answer.thinking_cut,
        )

    def finish(self) -> Iterator[Completion]:
        """What comes after the last choice has ended."""
        if self._includes_usage:
            yield self._chunk((), usage_of(self._ends))

    def _chunk(self, choices: tuple[TextChoice, ...], usage: Usage, **fields: Any) -> Completion:
        return _object(self._envelope, self._created, choices, usage=usage if self._includes_usage else None, **fields)


def _object(envelope: Envelope, created: int, choices: tuple[TextChoice, ...], **fields: Any) -> Completion:
    return Completion(
        id=envelope.id,
        object="text_completion",
        created=created,
        model=envelope.model,
        system_fingerprint=FINGERPRINT,
        choices=choices,
        **fields,
    )
