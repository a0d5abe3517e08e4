"""Runs one generation and shapes what comes of it: pieces while it streams, or one whole, then the numbers."""

import contextlib
import logging
import secrets
import string
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import msgspec

from ollamapy.actions import prompting
from ollamapy.actions.headers import Subject
from ollamapy.actions.inference import Timing
from ollamapy.actions.prompting import Conversation
from ollamapy.actions.services import Services
from ollamapy.engines.base import Runner
from ollamapy.errors import Error, PromptTooLong, RunnerDied
from ollamapy.modelfile.fallbacks import asks_for_calls
from ollamapy.modelfile.grammar import with_prefix
from ollamapy.modelfile.output import Piece, ThinkingSplitter, reply_frame, thinking_tags
from ollamapy.modelfile.tools.choose import HERMES, Format, also_hermes, choose
from ollamapy.modelfile.tools.found import Call, Found, join
from ollamapy.modelfile.tools.generic import DEFAULT_TAG
from ollamapy.modelfile.tools.machine import ToolParser
from ollamapy.wire.native import DebugInfo, Logprob, Think, ToolCall, ToolCallFunction, TopLogprob
from ollamapy.wire.runner import Finished, Generate, Output, Thinking, TokenLogprob

R = TypeVar("R")

_THINK_TAGS = ("<think>", "</think>")
_ID_CHARACTERS = string.ascii_lowercase + string.digits

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
    is_held: bool = False
    """The grammar is that of the content: nothing of it is a call."""

    @property
    def images(self) -> tuple[str, ...]:
        """The images, in the order of their markers."""
        return self.conversation.images if self.conversation else self.generate.images


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of an answer with the log probabilities of its tokens."""

    found: Found
    logprobs: tuple[Logprob, ...] = ()


@dataclass(frozen=True, slots=True)
class End:
    """The end of an answer. `num_dropped` prompt tokens were left out to make it fit; `warning` tells of images."""

    finished: Finished
    num_dropped: int = 0
    warning: str = ""


@dataclass(slots=True)
class _Collector:
    """Numbers the calls, and collects a whole answer for a request that does not stream."""

    parts: list[Part] = field(default_factory=list)
    num_calls: int = 0
    num_warnings: int = 0

    def fields(self, found: Found, *warnings: str) -> dict[str, Any]:
        """What an object says beside text, with warnings that are not about calls; nothing when there is nothing."""
        calls = tuple(self._call(call) for call in found.calls)
        for warning in found.warnings:
            log.warning("tool call not understood reason=%s", warning)
        self.num_warnings += len(found.warnings)
        named = {"tool_calls": calls, "warning": "; ".join(filter(None, (*found.warnings, *warnings)))}
        return {name: value for name, value in named.items() if value}

    def whole(self) -> Part:
        """All parts as one."""
        found = join(part.found for part in self.parts)
        return Part(found, tuple(logprob for part in self.parts for logprob in part.logprobs))

    def _call(self, call: Call) -> ToolCall:
        index, self.num_calls = self.num_calls, self.num_calls + 1
        identifier = "".join(secrets.choice(_ID_CHARACTERS) for _ in range(8))
        return ToolCall(ToolCallFunction(call.name, call.arguments, index), f"call_{identifier}")


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
        debug_info = DebugInfo(rendered_template=prompt, image_count=len(ask.images))
        yield reply("", "", done=False, debug_info=debug_info)
        return
    collector = _Collector()
    async with contextlib.aclosing(answer(services, subject, runner, ask)) as parts:
        async for part in parts:
            match part:
                case Part(found, logprobs) if ask.is_streamed:
                    fields = collector.fields(found)
                    yield reply(found.content, found.thinking, done=False, logprobs=logprobs, **fields)
                case Part():
                    collector.parts.append(part)
                case End(finished, num_dropped, warning):
                    _log_downgrades(subject, num_dropped, warning)
                    whole = collector.whole()
                    fields = collector.fields(whole.found, runner.ready.warning, warning)
                    services.metrics.answered(
                        subject.model.name.short, finished, num_dropped, num_warnings=collector.num_warnings
                    )
                    yield reply(
                        whole.found.content,
                        whole.found.thinking,
                        done=True,
                        done_reason=finished.reason,
                        logprobs=whole.logprobs,
                        prompt_dropped_count=num_dropped,
                        thinking_cut=finished.is_thinking_cut,
                        **fields,
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
        if not ask.truncate:
            raise
        if ask.conversation is None:  # a raw prompt, which the runner would have cut if it might
            if ask.images:
                raise
            raise prompting.cannot_shift(error) from error
        num_prompt = error.num_prompt
        generate = prompting.allow_cut(subject, ask.conversation, ask.generate, error)
        ask = replace(
            ask,
            generate=generate,
            conversation=await prompting.shorten(services, subject, runner, ask.conversation, error),
        )
    prompt = await _prompt(services, subject, runner, ask)
    async with contextlib.aclosing(_stream(subject, runner, ask, prompt)) as parts:
        async for part in parts:
            if isinstance(part, End):
                part = replace(part, num_dropped=num_prompt - part.finished.num_prompt)
            yield part


async def _prompt(services: Services, subject: Subject, runner: Runner, ask: Ask) -> str:
    """The prompt before any truncation."""
    if ask.conversation is None:
        return ask.generate.prompt
    return await prompting.render(services, subject, runner, ask.conversation)


async def _stream(subject: Subject, runner: Runner, ask: Ask, prompt: str) -> AsyncGenerator[Part | End, None]:
    form = _format(subject, ask, prompt)
    tags = _think_tags(subject, ask, form, prompt)
    thinking = _thinking(tags, form, prompt, ask.generate)
    frame = reply_frame(subject.file.chat_template or "")
    splitter = ThinkingSplitter(*tags, is_inside=thinking.is_open, frame=frame) if tags and thinking else None
    reader = _Reader(splitter, _parser(ask, form))
    specials = (*tags, *(form.marks if form and (form.needs_special or _must_call(ask)) else ()))
    grammar, root = _grammar(ask, form)
    generate = msgspec.structs.replace(
        ask.generate,
        prompt=prompt,
        images=ask.images,
        special_texts=specials,
        thinking=thinking,
        grammar=grammar,
        grammar_root=root,
    )
    warning = prompting.images_left_out(prompt, len(ask.images))
    has_begun = False
    try:
        async with contextlib.aclosing(runner.generate(generate)) as events:
            async for event in events:
                for part in _parts(event, reader, warning):
                    has_begun = True
                    yield part
    except RunnerDied as error:
        if not has_begun:
            raise
        raise Error(f"an error was encountered while running the model: {error.hint}") from error


def _parts(event: Output | Finished, reader: "_Reader", warning: str) -> Iterator[Part | End]:
    if isinstance(event, Finished):
        rest = reader.finish()
        if rest != Found():
            yield Part(rest)
        yield End(event, event.num_prompt_dropped, warning)
        return
    found = reader.push(event.text)
    if found != Found() or event.logprobs:
        yield Part(found, tuple(_logprob(item) for item in event.logprobs))


@dataclass(frozen=True, slots=True)
class _Reader:
    """Text in; thinking split off first, then calls read out of the content."""

    splitter: ThinkingSplitter | None
    parser: ToolParser | None

    def push(self, text: str) -> Found:
        piece = self.splitter.push(text) if self.splitter else Piece(content=text)
        return self._parsed(piece)

    def finish(self) -> Found:
        piece = self.splitter.finish() if self.splitter else Piece()
        last = self.parser.finish() if self.parser else Found()
        return join((self._parsed(piece), last))

    def _parsed(self, piece: Piece) -> Found:
        found = self.parser.push(piece.content) if self.parser else Found(piece.content)
        return join((Found(thinking=piece.thinking), found))


def _format(subject: Subject, ask: Ask, prompt: str) -> Format | None:
    """How the model writes calls and channels, where they are to be read; a raw prompt's answer is left alone."""
    conversation = ask.conversation
    if conversation is None or conversation.suffix:
        return None
    form = tool_format(subject, conversation)
    if conversation.tools and asks_for_calls(prompt):
        return also_hermes(form)
    return form if conversation.tools or form.has_channels else None


def tool_format(subject: Subject, conversation: Conversation) -> Format:
    """The format of the template that renders, or of the message that tells of the tools."""
    if conversation.are_tools_told:
        return HERMES
    kind, text = tool_template(subject, conversation)
    config, tag = subject.model.config, subject.go.tool_tag if subject.go else DEFAULT_TAG
    return choose(text, kind, config.model_family, config.parser, tool_tag=tag if kind == "go" else DEFAULT_TAG)


def tool_template(subject: Subject, conversation: Conversation) -> tuple[Literal["go", "jinja"], str]:
    """The template that renders; empty when there is none."""
    if prompting.renders_go(subject, conversation):
        return "go", conversation.template or subject.model.template or ""
    return "jinja", subject.file.template_for(conversation.tools) or ""


def _parser(ask: Ask, form: Format | None) -> ToolParser | None:
    if not form or not ask.conversation:
        return None
    new = form.new_held if ask.is_held else form.new
    return new(ask.conversation.tools)


def _grammar(ask: Ask, form: Format | None) -> tuple[str, str]:
    """The grammar of the answer, which begins with whatever the model writes before its content, and its root."""
    generate = ask.generate
    if ask.is_held and form and form.header:
        return with_prefix(generate.grammar, form.header, generate.grammar_root)
    return generate.grammar, generate.grammar_root


def _must_call(ask: Ask) -> bool:
    """True when the grammar is that of a call, which may then use the marks of the format whatever they are."""
    return bool(ask.generate.grammar) and not ask.is_held


def _think_tags(subject: Subject, ask: Ask, form: Format | None, prompt: str) -> tuple[str, ...]:
    """The tags around the reasoning of a model that thinks; none where a parser finds the thinking.

    A model that has no switch thinks whatever was asked: its prompt ends with the opening tag.
    """
    if "thinking" not in subject.capabilities or (form and form.has_channels):
        return ()
    of_go = subject.go.thinking_tags if subject.renders == "go" and subject.go else ("", "")
    tags = of_go if all(of_go) else thinking_tags(subject.file.chat_template or "") or _THINK_TAGS
    is_on = ask.think or (ask.conversation is not None and prompt.rstrip().endswith(tags[0]))
    return tags if is_on else ()


def _thinking(tags: tuple[str, ...], form: Format | None, prompt: str, generate: Generate) -> Thinking | None:
    """Where the reasoning of the answer stands, and how the runner is to end it at its budget."""
    budget = generate.options.think_budget
    if tags:
        opening, closing = tags
        is_open = prompt.rstrip().endswith(opening)
        return Thinking(opening, closing, f"\n{closing}\n\n", is_open, budget)
    if form and form.reasoning:
        opening, closing = form.reasoning
        return Thinking(opening, closing, closing if generate.grammar else closing + form.header, budget=budget)
    return None


def _logprob(item: TokenLogprob) -> Logprob:
    top = tuple(TopLogprob(token=t.token, logprob=t.logprob, bytes=t.bytes) for t in item.top)
    return Logprob(token=item.token, logprob=item.logprob, bytes=item.bytes, top_logprobs=top)


def _log_downgrades(subject: Subject, num_dropped: int, warning: str) -> None:
    """A prompt that lost tokens or images is worth a line: the answer may lack what they said."""
    if warning:
        log.warning("images left out model=%s reason=%s", subject.model.name, warning)
    if num_dropped:
        log.warning("prompt truncated model=%s dropped_tokens=%d", subject.model.name, num_dropped)
