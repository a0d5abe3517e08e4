"""OpenAI's API: each handler turns a request into native ones, and hands the verb's answers to the dialect's writer."""

import secrets
import time
from typing import TypeVar

import msgspec
from aiohttp import web

from ollamapy.actions import abilities
from ollamapy.actions import chat as chat_action
from ollamapy.actions import embed as embed_action
from ollamapy.actions import generate as generate_action
from ollamapy.actions import list as list_action
from ollamapy.actions import rerank as rerank_action
from ollamapy.actions import show as show_action
from ollamapy.dialects.body import decode
from ollamapy.dialects.openai import chat, completion, embeddings, errors, models, rerank, responses, transcription
from ollamapy.dialects.openai.chat import Envelope
from ollamapy.dialects.openai.response_stream import ResponseStream
from ollamapy.errors import Error, InvalidInput
from ollamapy.server import incoming, reply, sse
from ollamapy.server.incoming import services
from ollamapy.wire import openai as wire
from ollamapy.wire import responses as responses_wire
from ollamapy.wire.native import ShowRequest

T = TypeVar("T", bound=msgspec.Struct)


def error_frame(failure: Error) -> bytes:
    """An error after the stream has begun; the client sees no `[DONE]`."""
    return sse.data_frame(errors.error_of(failure))


def named_error_frame(failure: Error) -> bytes:
    """An error after the stream of a response has begun."""
    return b"event: error\n" + error_frame(failure)


def event_frame(event: responses_wire.Event) -> bytes:
    """An event under its type."""
    return sse.named_frame(event.type, event)


FRAMING = sse.Framing(sse.data_frame, error_frame, end=b"data: [DONE]\n\n")
EVENTS = sse.Framing(event_frame, named_error_frame)


def add_routes(router: web.UrlDispatcher) -> None:
    """Adds the routes of OpenAI's API."""
    router.add_post("/v1/chat/completions", chat_completions)
    router.add_post("/v1/completions", completions)
    router.add_post("/v1/embeddings", embed)
    router.add_post("/v1/rerank", rank)
    router.add_post("/v1/responses", create_response)
    router.add_post("/v1/audio/transcriptions", transcribe)
    router.add_get("/v1/models", list_models, allow_head=False)
    router.add_get("/v1/models/{model:.+}", show_model, allow_head=False)


async def chat_completions(request: web.Request) -> web.StreamResponse:
    wanted = await _decoded(request, wire.ChatCompletionRequest)
    natives = chat.requests_of(wanted)
    answers = [chat_action.chat(services(request), native) for native in natives]
    envelope = _envelope("chatcmpl", wanted.model)
    if not wanted.stream or wanted.debug_render_only:
        return reply.plain(chat.completion_of(envelope, await sse.wholes(answers)))
    writer = chat.ChatStream(envelope, len(natives), includes_usage=wanted.includes_usage)
    return await sse.answer(request, answers, writer, FRAMING)


async def completions(request: web.Request) -> web.StreamResponse:
    wanted = await _decoded(request, wire.CompletionRequest)
    answers = [generate_action.generate(services(request), native) for native in completion.requests_of(wanted)]
    envelope = _envelope("cmpl", wanted.model)
    if not wanted.stream or wanted.debug_render_only:
        return reply.plain(completion.completion_of(envelope, await sse.wholes(answers)))
    writer = completion.CompletionStream(envelope, includes_usage=wanted.includes_usage)
    return await sse.answer(request, answers, writer, FRAMING)


async def create_response(request: web.Request) -> web.StreamResponse:
    wanted = await _decoded(request, responses_wire.ResponsesRequest)
    native, warning = responses.request_of(wanted)
    envelope = responses.Envelope(secrets.randbelow(1_000_000), int(time.time()), wanted, warning)
    sources = [chat_action.chat(services(request), native)]
    if wanted.stream:
        return await sse.answer(request, sources, ResponseStream(envelope), EVENTS)
    [answer] = await sse.wholes(sources)
    return reply.plain(responses.response_of(envelope, answer))


async def embed(request: web.Request) -> web.Response:
    wanted = await _decoded(request, wire.EmbeddingRequest)
    vectors = await embed_action.embed(services(request), embeddings.request_of(wanted))
    return reply.plain(embeddings.embeddings_of(wanted, vectors))


async def rank(request: web.Request) -> web.Response:
    wanted = await _decoded(request, wire.RerankRequest)
    native = rerank.request_of(wanted)
    return reply.plain(rerank.answer_of(wanted, native, await rerank_action.rerank(services(request), native)))


async def transcribe(request: web.Request) -> web.Response:
    form = await _form(request)
    native = transcription.request_of(form)
    await abilities.require(services(request), native.model, "audio")
    [answer] = await sse.wholes([chat_action.chat(services(request), native)])
    said = transcription.transcription_of(answer)
    return reply.text(200, said.text) if form.response_format == "text" else reply.plain(said)


async def list_models(request: web.Request) -> web.Response:
    return reply.plain(models.models_of(await list_action.tags(services(request))))


async def show_model(request: web.Request) -> web.Response:
    name = request.match_info["model"]
    return reply.plain(models.model_of(name, await show_action.show(services(request), ShowRequest(model=name))))


async def _decoded(request: web.Request, kind: type[T]) -> T:
    return decode(await incoming.body(request), kind)


async def _form(request: web.Request) -> wire.TranscriptionForm:
    """A `file` that came as a text is none, as in Ollama."""
    parts = await incoming.form(request)
    if isinstance(parts.get("file"), str):
        del parts["file"]
    try:
        return msgspec.convert(parts, wire.TranscriptionForm)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"failed to parse multipart form: {error}") from error


def _envelope(prefix: str, model: str | None) -> Envelope:
    return Envelope(f"{prefix}-{secrets.randbelow(999)}", int(time.time()), model or "")
