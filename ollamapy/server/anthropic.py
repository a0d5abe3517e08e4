"""Anthropic's API: a handler turns a request into a native one, and hands the answers to the dialect's writer."""

import logging
import secrets

import msgspec
from aiohttp import web

from ollamapy.actions import abilities
from ollamapy.actions import chat as chat_action
from ollamapy.dialects.anthropic import answers, errors, requests
from ollamapy.dialects.anthropic.answers import Envelope, MessageStream
from ollamapy.dialects.body import decode
from ollamapy.errors import Error
from ollamapy.server import incoming, reply, sse
from ollamapy.server.incoming import services
from ollamapy.wire import anthropic as wire
from ollamapy.wire.native import ChatRequest

log = logging.getLogger(__name__)

CANNOT_THINK = "the model cannot think: thinking was switched off"


def event_frame(event: wire.Event | wire.ErrorResponse) -> bytes:
    """An event under its tag."""
    return sse.named_frame(str(event.__struct_config__.tag), event)


def error_frame(failure: Error) -> bytes:
    """An error after the stream has begun."""
    return event_frame(errors.error_of(failure))


FRAMING = sse.Framing(event_frame, error_frame)


def add_routes(router: web.UrlDispatcher) -> None:
    """Adds the routes of Anthropic's API."""
    router.add_post("/v1/messages", messages)
    router.add_post("/v1/messages/count_tokens", count_tokens)


async def messages(request: web.Request) -> web.StreamResponse:
    wanted = decode(await incoming.body(request), wire.MessagesRequest)
    native, warning = await _within_reach(request, requests.request_of(wanted))
    envelope = Envelope(f"msg_{secrets.token_hex(12)}", wanted.model or "", warning)
    sources = [chat_action.chat(services(request), native)]
    if wanted.stream:
        writer = MessageStream(envelope, requests.estimate_of(wanted))
        return await sse.answer(request, sources, writer, FRAMING)
    [answer] = await sse.wholes(sources)
    return reply.plain(answers.message_of(envelope, answer))


async def count_tokens(request: web.Request) -> web.Response:
    wanted = decode(await incoming.body(request), wire.CountRequest)
    native, _ = await _within_reach(request, requests.counted_request_of(wanted))
    return reply.plain(wire.TokenCount(await chat_action.count_tokens(services(request), native)))


async def _within_reach(request: web.Request, native: ChatRequest) -> tuple[ChatRequest, str]:
    """The request without thinking when the model cannot think, and what to say about that."""
    if not native.think or await abilities.can(services(request), native.model, "thinking"):
        return native, ""
    log.warning("thinking switched off model=%s", native.model)
    return msgspec.structs.replace(native, think=None), CANNOT_THINK
