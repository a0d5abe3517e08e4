"""What generate and chat share: the checks in the contract's order, the lease, the prompt, the answer's pieces.

    resolve → (unload) → require, think → options → lease → (load only) → prompt → answer

Each step is a function here; the two verbs string them together and shape the reply.
"""

import contextlib
import json
import logging
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from ollamapy.actions import lookup
from ollamapy.actions.headers import Subject, describe
from ollamapy.actions.services import Services
from ollamapy.engines.base import Runner
from ollamapy.errors import Error, InvalidInput, NotFound, PromptTooLong, RunnerDied, Unsupported
from ollamapy.modelfile import prompt as prompts
from ollamapy.modelfile.options import check_options, merge
from ollamapy.modelfile.output import Piece, ThinkingSplitter
from ollamapy.names import ModelName
from ollamapy.pool.memory import available_bytes, plan_load, request_num_ctx
from ollamapy.pool.pool import Label
from ollamapy.pool.state import Demand
from ollamapy.units import parse_keep_alive
from ollamapy.wire.native import ChatRequest, GenerateRequest, Logprob, Message, Think, Tool, TopLogprob
from ollamapy.wire.options import Options
from ollamapy.wire.runner import Finished, Generate, Output, TokenLogprob

THINK_LEVELS = ("high", "medium", "low", "max")
MAX_REPEATS = 30
_THINK_TAGS = ("<think>", "</think>")
CANNOT_SHIFT = (
    "the prompt is longer than the context length currently available to the model; shorten the prompt, adjust the "
    "context length in settings, or use a model with a longer context length"
)

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Timing:
    """Moments of one request, as `perf_counter` seconds."""

    started: float
    loaded: float = 0.0

    @classmethod
    def begin(cls) -> "Timing":
        return cls(time.perf_counter())

    def mark_loaded(self) -> None:
        self.loaded = time.perf_counter()

    def durations(self, finished: Finished) -> dict[str, int]:
        """The counts and nanoseconds of the last object."""
        return {
            "total_duration": _nanoseconds(time.perf_counter() - self.started),
            "load_duration": _nanoseconds(self.loaded - self.started),
            "prompt_eval_count": finished.num_prompt,
            "prompt_eval_duration": _nanoseconds(finished.prompt_seconds),
            "eval_count": finished.num_output,
            "eval_duration": _nanoseconds(finished.output_seconds),
        }


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)


# Checks


def check_shared(request: GenerateRequest | ChatRequest) -> None:
    """What is checked before the model's name. Raises InvalidInput."""
    if not 0 <= request.top_logprobs <= 20:
        raise InvalidInput("top_logprobs must be between 0 and 20")
    _check_think(request.think)
    parse_keep_alive(request.keep_alive)


def _check_think(think: Any) -> None:
    if think is None or isinstance(think, bool) or think in THINK_LEVELS:
        return
    if isinstance(think, str):
        raise InvalidInput(f'invalid think value: "{think}" (must be "high", "medium", "low", "max", true, or false)')
    raise InvalidInput('think must be a boolean or string ("high", "medium", "low", "max", true, or false)')


async def resolve(services: Services, text: str) -> Subject:
    """The model that a request names. Raises InvalidName, NotFound, Refused for cloud names."""
    if not text:
        raise lookup.not_found(text)
    try:
        model = await lookup.stored_model(services, ModelName.parse_local(text))
    except NotFound as error:
        raise lookup.not_found(text, hint=error.hint) from error
    return await describe(services, model)


def require(subject: Subject, sent: str, verb: str) -> None:
    """Raises InvalidInput when the model cannot complete text."""
    if "completion" not in subject.capabilities:
        raise InvalidInput(f"{json.dumps(sent)} does not support {verb}")


def require_capability(subject: Subject, capability: str) -> None:
    """Raises InvalidInput when the model lacks `capability`."""
    if capability not in subject.capabilities:
        raise InvalidInput(f"{subject.model.name.full} does not support {capability}")


def effective_think(subject: Subject, think: Think, sent: str) -> Think:
    """How the model thinks: as asked, else on when it can. None for a model that cannot. Raises InvalidInput."""
    can_think = "thinking" in subject.capabilities
    if think and not can_think:
        raise InvalidInput(f"{json.dumps(sent)} does not support thinking")
    if not can_think:
        return None
    return True if think is None else think


def refuse_unbuilt(request: GenerateRequest | ChatRequest) -> None:
    """Raises Unsupported for what later releases bring, so that nothing is ignored in silence."""
    if request.format not in (None, ""):
        if request.format != "json" and not isinstance(request.format, dict):
            raw = json.dumps(json.dumps(request.format))
            raise Error(f'invalid format: {raw}; expected "json" or a valid JSON Schema object')
        raise Unsupported("structured output (format) is not supported yet")


# Runner


def options_of(subject: Subject, raw: dict[str, Any]) -> Options:
    """Defaults, the model's PARAMETERs, the request's options. Raises OptionError."""
    return merge(subject.model.params, check_options(raw))


def demand_of(services: Services, subject: Subject, options: Options, keep_alive: Any) -> Demand:
    """What the request asks of the pool."""
    model = subject.model
    load = plan_load(
        str(model.model_path),
        tuple(str(path) for path in model.adapter_paths),
        options,
        subject.shape,
        services.settings,
        available_bytes(),
    )
    return Demand(load, options, parse_keep_alive(keep_alive))


def label_of(subject: Subject) -> Label:
    """Under which name `/api/ps` shows the runner."""
    model = subject.model
    return Label(model.name, model.manifest.digest, model.config)


def unload(services: Services, subject: Subject) -> None:
    """Lets the model go as soon as it is idle."""
    services.pool.expire(str(subject.model.model_path))


# Prompt


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is to be rendered. A `template` of the request goes before the model's; a `suffix` takes no messages."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    think: Think = None
    template: str = ""
    suffix: str = ""
    plain_template: str | None = None
    """The Go template for a model that has no template at all; None is ChatML."""

    @property
    def prompt(self) -> str:
        """The text before the suffix."""
        return self.messages[-1].content if self.suffix else ""


def renders_go(subject: Subject, conversation: Conversation) -> bool:
    """True when a Go template makes the prompt."""
    if conversation.template or conversation.suffix or subject.renders == "go":
        return True
    return subject.renders == "none" and conversation.plain_template is not None


async def render(services: Services, subject: Subject, runner: Runner, conversation: Conversation) -> str:
    """The prompt. Raises TemplateError."""
    if not renders_go(subject, conversation):
        return await _render_jinja(services, subject, runner, conversation)
    if not conversation.template and subject.template_fault:
        raise subject.template_fault
    template = conversation.template or subject.model.template or conversation.plain_template or ""
    return await services.templates.render_go(
        template,
        conversation.messages,
        conversation.tools,
        prompt=conversation.prompt,
        suffix=conversation.suffix,
        think=conversation.think,
    )


async def _render_jinja(services: Services, subject: Subject, runner: Runner, conversation: Conversation) -> str:
    if subject.template_fault and subject.file.chat_template is None:
        raise subject.template_fault
    ready = runner.ready
    context = prompts.jinja_context(
        conversation.messages,
        conversation.tools,
        conversation.think,
        bos_text=ready.bos_text,
        eos_text=ready.eos_text,
    )
    return await services.templates.render(subject.file.chat_template or prompts.DEFAULT_TEMPLATE, context)


# Answer


@dataclass(frozen=True, slots=True)
class Ask:
    """One generation: what to render, and what the runner is told. A raw prompt stands in `generate` already."""

    generate: Generate
    conversation: Conversation | None = None
    truncate: bool = True
    think: Think = None


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
class Whole:
    """A whole answer, collected for a request that does not stream."""

    content: list[str] = field(default_factory=list)
    thinking: list[str] = field(default_factory=list)
    logprobs: list[Logprob] = field(default_factory=list)

    def add(self, part: Part) -> None:
        self.content.append(part.piece.content)
        self.thinking.append(part.piece.thinking)
        self.logprobs.extend(part.logprobs)


async def answer(services: Services, subject: Subject, runner: Runner, ask: Ask) -> AsyncGenerator[Part | End, None]:
    """The answer as it comes, ending with End. Closing the iterator cancels the generation."""
    prompt = await prompt_text(services, subject, runner, ask)
    try:
        async with contextlib.aclosing(_stream(subject, runner, ask, prompt)) as parts:
            async for part in parts:
                yield part
        return
    except PromptTooLong as error:  # comes before the first part
        if not ask.truncate or ask.conversation is None:
            raise
        prompt, num_prompt = await _shortened(services, subject, runner, ask.conversation, error), error.num_prompt
        ask = replace(ask, generate=_allowing_cut(subject, ask, error))
    async with contextlib.aclosing(_stream(subject, runner, ask, prompt)) as parts:
        async for part in parts:
            yield End(part.finished, num_prompt - part.finished.num_prompt) if isinstance(part, End) else part


async def prompt_text(services: Services, subject: Subject, runner: Runner, ask: Ask) -> str:
    """The prompt before any truncation."""
    if ask.conversation is None:
        return ask.generate.prompt
    return await render(services, subject, runner, ask.conversation)


def _allowing_cut(subject: Subject, ask: Ask, error: PromptTooLong) -> Generate:
    """A Go template's prompt may be cut in the middle when dropping messages is not enough; a Jinja one may not.

    Raises InvalidInput when it would have to be cut and the request does not let old tokens go.
    """
    assert ask.conversation is not None
    if not renders_go(subject, ask.conversation):
        return ask.generate
    if not ask.generate.shift and prompts.num_droppable(ask.conversation.messages) < 1:
        raise InvalidInput(CANNOT_SHIFT, hint=f"it has {error.num_prompt} tokens, the limit is {error.limit}")
    return msgspec.structs.replace(ask.generate, cut=ask.generate.shift)


async def _shortened(
    services: Services, subject: Subject, runner: Runner, conversation: Conversation, error: PromptTooLong
) -> str:
    """The prompt without its oldest messages: as few as make it fit, found by bisection; at last the newest alone."""

    async def rendered(count: int) -> str:
        messages = prompts.drop_oldest(conversation.messages, count)
        return await render(services, subject, runner, replace(conversation, messages=messages))

    low, high = min(1, prompts.num_droppable(conversation.messages)), prompts.num_droppable(conversation.messages)
    while low < high:
        middle = (low + high) // 2
        tokens = await runner.tokenize(await rendered(middle))
        low, high = (low, middle) if len(tokens) < error.limit else (middle + 1, high)
    if low:
        log.info("messages dropped to fit the context model=%s dropped=%d", subject.model.name, low)
    return await rendered(low)


async def _stream(subject: Subject, runner: Runner, ask: Ask, prompt: str) -> AsyncGenerator[Part | End, None]:
    splitter = _splitter(subject, ask, prompt)
    has_begun = False
    try:
        async with contextlib.aclosing(runner.generate(_with_prompt(ask.generate, prompt))) as events:
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


def _with_prompt(generate: Generate, prompt: str) -> Generate:
    return msgspec.structs.replace(generate, prompt=prompt)


def _logprob(item: TokenLogprob) -> Logprob:
    top = tuple(TopLogprob(token=t.token, logprob=t.logprob, bytes=t.bytes) for t in item.top)
    return Logprob(token=item.token, logprob=item.logprob, bytes=item.bytes, top_logprobs=top)


def generate_message(
    services: Services, subject: Subject, request: GenerateRequest | ChatRequest, options: Options
) -> Generate:
    """What the runner is told, but for the prompt."""
    shift = subject.file.architecture != "deepseek2" if request.shift is None else request.shift
    return Generate(
        id=0,
        prompt="",
        options=options,
        num_ctx=request_num_ctx(options, subject.shape, services.settings),
        shift=shift,
        max_repeats=0 if subject.renders == "jinja" else MAX_REPEATS,
        num_top_logprobs=request.top_logprobs if request.logprobs else -1,
    )


def log_truncation(subject: Subject, end: End) -> None:
    """A prompt that lost tokens is worth a line: the answer may lack what they said."""
    if end.num_dropped:
        log.warning("prompt truncated model=%s dropped_tokens=%d", subject.model.name, end.num_dropped)
