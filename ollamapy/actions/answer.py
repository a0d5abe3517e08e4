"""Runs one generation and shapes what comes of it: pieces while it streams, or one whole, then the numbers."""

import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import msgspec

from ollamapy.actions import prompting
from ollamapy.actions.headers import Subject
from ollamapy.actions.inference import Timing
from ollamapy.actions.prompting import Conversation
from ollamapy.actions.services import Services
from ollamapy.engines.base import Runner
from ollamapy.errors import Error, PromptTooLong, RunnerDied
from ollamapy.modelfile.output import Piece, ThinkingSplitter
from ollamapy.wire.native import DebugInfo, Logprob, Think, TopLogprob
from ollamapy.wire.runner import Finished, Generate, Output, TokenLogprob

R = TypeVar("R")

_THINK_TAGS = ("<think>", "</think>")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ask:
    """One generation: what to render, and what the runner is told. A raw prompt stands in `generate` already."""

    generate: Generate
    conversation: Conversation | None = None
    truncate: bool = True
    think: Think = None
    is_streamed: bool = True
    is_rendered_only: bool = False
    """Answer with the prompt instead of generating."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of an answer with the log probabilities of its tokens."""

    piece: Piece
    logprobs: tuple[Logprob, ...] = ()


@dataclass(frozen=True, slots=True)
class End:
    """The end of an answer. `num_dropped` prompt tokens were left out to make it fit."""

    finished: Finished
    num_dropped: int = 0


@dataclass(slots=True)
class _Whole:
    """A whole answer, collected for a request that does not stream."""

    content: list[str] = field(default_factory=list)
    thinking: list[str] = field(default_factory=list)
    logprobs: list[Logprob] = field(default_factory=list)

    def add(self, part: Part) -> None:
        self.content.append(part.piece.content)
        self.thinking.append(part.piece.thinking)
        self.logprobs.extend(part.logprobs)


async def replies(
    services: Services,
    subject: Subject,
    runner: Runner,
    ask: Ask,
    timing: Timing,
    reply: Callable[..., R],
    of_end: Callable[[Finished], dict[str, Any]] = lambda _: {},
) -> AsyncGenerator[R, None]:
    """The objects of an answer. `reply(content, thinking, **fields)` makes one, `of_end` adds fields to the last."""
    if ask.is_rendered_only:
        prompt = await _prompt(services, subject, runner, ask)
        yield reply("", "", done=False, debug_info=DebugInfo(rendered_template=prompt))
        return
    whole = _Whole()
    async with contextlib.aclosing(answer(services, subject, runner, ask)) as parts:
        async for part in parts:
            match part:
                case Part(piece, logprobs) if ask.is_streamed:
                    yield reply(piece.content, piece.thinking, done=False, logprobs=logprobs)
                case Part():
                    whole.add(part)
                case End(finished, num_dropped):
                    _log_truncation(subject, num_dropped)
                    yield reply(
                        "".join(whole.content),
                        "".join(whole.thinking),
                        done=True,
                        done_reason=finished.reason,
                        logprobs=tuple(whole.logprobs),
                        prompt_dropped_count=num_dropped,
                        **timing.durations(finished),
                        **of_end(finished),
                    )


async def answer(services: Services, subject: Subject, runner: Runner, ask: Ask) -> AsyncGenerator[Part | End, None]:
    """The answer as it comes, ending with End. Closing the iterator cancels the generation."""
    prompt = await _prompt(services, subject, runner, ask)
    try:
        async with contextlib.aclosing(_stream(subject, runner, ask, prompt)) as parts:
            async for part in parts:
                yield part
        return
    except PromptTooLong as error:  # comes before the first part
        if not ask.truncate or ask.conversation is None:
            raise
        num_prompt = error.num_prompt
        generate = prompting.allow_cut(subject, ask.conversation, ask.generate, error)
        prompt = await prompting.shorten(services, subject, runner, ask.conversation, error)
    async with contextlib.aclosing(_stream(subject, runner, replace(ask, generate=generate), prompt)) as parts:
        async for part in parts:
            yield End(part.finished, num_prompt - part.finished.num_prompt) if isinstance(part, End) else part


async def _prompt(services: Services, subject: Subject, runner: Runner, ask: Ask) -> str:
    """The prompt before any truncation."""
    if ask.conversation is None:
        return ask.generate.prompt
    return await prompting.render(services, subject, runner, ask.conversation)


async def _stream(subject: Subject, runner: Runner, ask: Ask, prompt: str) -> AsyncGenerator[Part | End, None]:
    splitter = _splitter(subject, ask, prompt)
    generate = msgspec.structs.replace(ask.generate, prompt=prompt)
    has_begun = False
    try:
        async with contextlib.aclosing(runner.generate(generate)) as events:
            async for event in events:
                for part in _parts(event, splitter):
                    has_begun = True
                    yield part
    except RunnerDied as error:
        if not has_begun:
            raise
        raise Error(f"an error was encountered while running the model: {error.hint}") from error


def _parts(event: Output | Finished, splitter: ThinkingSplitter | None) -> Iterator[Part | End]:
    if isinstance(event, Finished):
        rest = splitter.finish() if splitter else Piece()
        if rest.content or rest.thinking:
            yield Part(rest)
        yield End(event, event.num_prompt_dropped)
        return
    piece = splitter.push(event.text) if splitter else Piece(content=event.text)
    if piece.content or piece.thinking or event.logprobs:
        yield Part(piece, tuple(_logprob(item) for item in event.logprobs))


def _splitter(subject: Subject, ask: Ask, prompt: str) -> ThinkingSplitter | None:
    """Only for a model that thinks: its reasoning is separated, also when the prompt has opened the tag."""
    if not ask.think:
        return None
    opening, closing = subject.go.thinking_tags if subject.renders == "go" and subject.go else _THINK_TAGS
    if not (opening and closing):
        opening, closing = _THINK_TAGS
    return ThinkingSplitter(opening, closing, is_inside=prompt.rstrip().endswith(opening))


def _logprob(item: TokenLogprob) -> Logprob:
    top = tuple(TopLogprob(token=t.token, logprob=t.logprob, bytes=t.bytes) for t in item.top)
    return Logprob(token=item.token, logprob=item.logprob, bytes=item.bytes, top_logprobs=top)


def _log_truncation(subject: Subject, num_dropped: int) -> None:
    """A prompt that lost tokens is worth a line: the answer may lack what they said."""
    if num_dropped:
        log.warning("prompt truncated model=%s dropped_tokens=%d", subject.model.name, num_dropped)
