"""`POST /api/chat`: the next message of a conversation."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any

import msgspec

from ollamapy.actions import calls, inference, prompting
from ollamapy.actions.answer import Ask, replies
from ollamapy.actions.headers import Subject
from ollamapy.actions.inference import Timing
from ollamapy.actions.prompting import Conversation
from ollamapy.actions.services import Services
from ollamapy.errors import InvalidInput
from ollamapy.modelfile import prompt as prompts
from ollamapy.modelfile.tools.offer import Offer, read_offer
from ollamapy.units import format_utc, parse_keep_alive
from ollamapy.wire.native import AnswerMessage, ChatRequest, ChatResponse, Message, Think, ToolCall


async def chat(services: Services, request: ChatRequest) -> AsyncGenerator[ChatResponse, None]:
    """The answer in chunks, or as one object when the request does not stream."""
    timing = Timing.begin()
    inference.check_shared(request)
    if not request.model:
        raise InvalidInput("model is required")
    subject = await inference.resolve(services, request.model)
    if not request.messages and parse_keep_alive(request.keep_alive) == 0:
        inference.unload(services, subject)
        yield _reply(request, done=True, done_reason="unload")
        return
    offer = read_offer(request.tools, request.tool_choice)
    _check_capabilities(subject, request, offer)
    await inference.check_images(subject, inference.images_of(request))
    think = inference.effective_think(subject, request.think, request.model)
    options = inference.options_of(subject, request.options)
    conversation = _conversation(subject, request, offer, think)
    if offer.must_call:
        grammar = await calls.call_grammar(services, subject, request, conversation, offer)
    else:
        grammar = await inference.grammar_of(services, request, options)
    demand = inference.demand_of(services, subject, options, request.keep_alive)
    services.templates.prepare()
    async with services.pool.lease(demand, inference.label_of(subject)) as runner:
        timing.mark_loaded()
        if not request.messages:
            yield _reply(request, done=True, done_reason="load")
            return
        message = inference.generate_message(services, subject, request, options, grammar)
        is_held = bool(grammar) and not offer.must_call
        ask = Ask(message, conversation, request.truncate, think, request.stream, request.debug_render_only, is_held)
        async with aclosing(replies(services, subject, runner, ask, timing, partial(_reply, request))) as chunks:
            async for chunk in chunks:
                yield chunk


def prepared(subject: Subject, request: ChatRequest) -> Conversation:
    """What the request would have rendered. Raises what `chat` refuses it with."""
    offer = read_offer(request.tools, request.tool_choice)
    _check_capabilities(subject, request, offer)
    think = inference.effective_think(subject, request.think, request.model)
    return _conversation(subject, request, offer, think)


async def count_tokens(services: Services, request: ChatRequest) -> int:
    """How many tokens the prompt has, before any truncation; for an image a guess.

    Loads the model; refuses what `chat` refuses.
    """
    subject = await inference.resolve(services, request.model)
    conversation = prepared(subject, request)
    options = inference.options_of(subject, request.options)
    demand = inference.demand_of(services, subject, options, request.keep_alive)
    async with services.pool.lease(demand, inference.label_of(subject)) as runner:
        return await prompting.count_tokens(services, subject, runner, conversation)


def _check_capabilities(subject: Subject, request: ChatRequest, offer: Offer) -> None:
    """Raises InvalidInput for what the model cannot do."""
    inference.require(subject, request.model, "chat")
    if offer.tools and not offer.must_call:
        inference.require_capability(subject, "tools")
    if inference.images_of(request):
        inference.require_capability(subject, "vision")


def _conversation(subject: Subject, request: ChatRequest, offer: Offer, think: Think) -> Conversation:
    """SYSTEM, the model's MESSAGEs, then the request's."""
    sent = tuple(msgspec.structs.replace(message, role=message.role.lower()) for message in request.messages)
    stored = tuple(Message(role, content) for role, content in subject.model.messages)
    return calls.converse(subject, prompts.assemble(subject.model.system, stored, sent), offer, think)


def _reply(
    request: ChatRequest, content: str = "", thinking: str = "", tool_calls: tuple[ToolCall, ...] = (), **fields: Any
) -> ChatResponse:
    return ChatResponse(
        model=request.model,
        created_at=format_utc(time.time()),
        message=AnswerMessage("assistant", content, thinking, tool_calls),
        **fields,
    )
