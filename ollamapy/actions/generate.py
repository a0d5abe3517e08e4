"""`POST /api/generate`: completion of one prompt."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from typing import Any

import msgspec

from ollamapy.actions import inference
from ollamapy.actions.answer import Ask, replies
from ollamapy.actions.headers import Subject
from ollamapy.actions.inference import Timing
from ollamapy.actions.prompting import Conversation
from ollamapy.actions.services import Services
from ollamapy.errors import InvalidInput
from ollamapy.modelfile import prompt as prompts
from ollamapy.modelfile.printer import DEFAULT_TEMPLATE
from ollamapy.units import format_utc, parse_keep_alive
from ollamapy.wire.native import GenerateRequest, GenerateResponse, Message, Think
from ollamapy.wire.options import Options
from ollamapy.wire.runner import Fill, FillFile, Finished


async def generate(services: Services, request: GenerateRequest) -> AsyncGenerator[GenerateResponse, None]:
    """The answer in chunks, or as one object when the request does not stream."""
    timing = Timing.begin()
    inference.check_shared(request)
    subject = await inference.resolve(services, request.model)
    if _is_empty(request) and parse_keep_alive(request.keep_alive) == 0:
        inference.unload(services, subject)
        yield _reply(request, done=True, done_reason="unload")
        return
    _check_modes(request)
    inference.require(subject, request.model, "generate")
    if request.suffix and request.extra is None:
        inference.require_capability(subject, "insert")
    if request.prompt:
        await inference.check_images(subject, request.images)
    think = inference.effective_think(subject, request.think, request.model)
    options = inference.options_of(subject, request.options)
    grammar = await inference.grammar_of(services, request, options)
    demand = inference.demand_of(services, subject, options, request.keep_alive)
    services.templates.prepare()
    async with services.pool.lease(demand, inference.label_of(subject)) as runner:
        timing.mark_loaded()
        if _is_empty(request):
            yield _reply(request, done=True, done_reason="load")
            return
        ask = _ask(services, subject, request, options, think, grammar)
        answers = replies(services, subject, runner, ask, timing, partial(_reply, request), _context_of(request))
        async with aclosing(answers) as chunks:
            async for chunk in chunks:
                yield chunk


def _check_modes(request: GenerateRequest) -> None:
    """Raises InvalidInput for fields that exclude each other."""
    if request.raw and (request.template or request.system or request.context):
        raise InvalidInput("raw mode does not support template, system, or context")
    others = ("raw", "template", "system", "context", "images", "debug_render_only")
    if request.extra is not None and (given := [name for name in others if getattr(request, name)]):
        raise InvalidInput(
            f"extra does not go with {', '.join(given)}",
            hint="a gap between prompt and suffix is told to the model without a template",
        )


def _is_empty(request: GenerateRequest) -> bool:
    """Nothing to complete: the model is only to be loaded, or unloaded."""
    return not request.prompt and request.extra is None


def _ask(
    services: Services, subject: Subject, request: GenerateRequest, options: Options, think: Think, grammar: str
) -> Ask:
    message = inference.generate_message(services, subject, request, options, grammar)
    conversation = None
    if request.extra is not None:
        files = tuple(FillFile(file.text, file.filename) for file in request.extra)
        fill = Fill(request.prompt, request.suffix, files=files)
        message = msgspec.structs.replace(message, fill=fill, wants_tokens=True)
    elif request.raw:
        cut = request.truncate and message.shift and not request.images
        message = msgspec.structs.replace(message, prompt=request.prompt, images=request.images, cut=cut)
    else:
        message = msgspec.structs.replace(message, context=request.context or (), wants_tokens=True)
        conversation = _conversation(subject, request, think)
    return Ask(message, conversation, request.truncate, think, request.stream, request.debug_render_only, bool(grammar))


def _conversation(subject: Subject, request: GenerateRequest, think: Think) -> Conversation:
    """The prompt as a conversation: the system text, the model's MESSAGEs unless a context came, the prompt."""
    if request.suffix:
        return Conversation((Message("user", request.prompt),), think=think, suffix=request.suffix)
    has_context = request.context is not None
    messages = prompts.assemble(
        subject.model.system,
        () if has_context else tuple(Message(role, content) for role, content in subject.model.messages),
        (Message("user", request.prompt, images=request.images),),
        replaces_system=request.system,
    )
    return Conversation(messages, think=think, template=request.template, plain_template=DEFAULT_TEMPLATE)


def _context_of(request: GenerateRequest) -> Callable[[Finished], dict[str, Any]]:
    """The last object carries the tokens of prompt and answer, unless the prompt was raw."""
    return lambda finished: {} if request.raw else {"context": finished.tokens}


def _reply(request: GenerateRequest, response: str = "", thinking: str = "", **fields: object) -> GenerateResponse:
    return GenerateResponse(
        model=request.model,
        created_at=format_utc(time.time()),
        response=response,
        thinking=thinking,
        **fields,  # type: ignore[arg-type]
    )
