"""The native API, `/api/*`: each handler reads a request, calls its verb and sends what the verb answers."""

from typing import TypeVar

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from ollamapy import EMULATED_VERSION, __version__
from ollamapy.actions import blobs as blob_actions
from ollamapy.actions import chat as chat_action
from ollamapy.actions import copy as copy_action
from ollamapy.actions import create as create_action
from ollamapy.actions import delete as delete_action
from ollamapy.actions import embed as embed_action
from ollamapy.actions import generate as generate_action
from ollamapy.actions import list as list_action
from ollamapy.actions import ps as ps_action
from ollamapy.actions import pull as pull_action
from ollamapy.actions import push as push_action
from ollamapy.actions import rerank as rerank_action
from ollamapy.actions import show as show_action
from ollamapy.actions import words
from ollamapy.errors import Refused
from ollamapy.server import incoming, reply, stream
from ollamapy.server.incoming import services
from ollamapy.wire import native as wire

T = TypeVar("T", bound=msgspec.Struct)

_COPILOT = "GitHubCopilotChat/"
"""Copilot shows `general.basename` as the model's name; for it, that is the name it asked for."""


def add_routes(router: web.UrlDispatcher) -> None:
    """Adds every native route."""
    router.add_get("/", root)
    router.add_get("/api/version", version)
    router.add_get("/api/status", status, allow_head=False)
    router.add_get("/api/tags", tags)
    router.add_get("/api/ps", ps, allow_head=False)
    router.add_get("/api/experimental/model-recommendations", recommendations, allow_head=False)
    router.add_post("/api/experimental/web_search", refuse_cloud("web search is unavailable"))
    router.add_post("/api/experimental/web_fetch", refuse_cloud("web fetch is unavailable"))
    router.add_post("/api/generate", generate)
    router.add_post("/api/chat", chat)
    router.add_post("/api/show", show)
    router.add_post("/api/pull", pull)
    router.add_post("/api/push", push)
    router.add_post("/api/create", create)
    router.add_post("/api/copy", copy)
    router.add_delete("/api/delete", delete)
    router.add_head("/api/blobs/{digest}", has_blob)
    router.add_post("/api/blobs/{digest}", put_blob)
    router.add_post("/api/embed", embed)
    router.add_post("/api/embeddings", embeddings)
    router.add_post("/api/rerank", rerank)
    router.add_post("/api/tokenize", tokenize)
    router.add_post("/api/detokenize", detokenize)
    router.add_post("/api/apply-template", apply_template)


async def root(request: web.Request) -> web.Response:
    return web.Response(text="Ollama is running")


async def version(request: web.Request) -> web.Response:
    return reply.json(wire.VersionResponse(EMULATED_VERSION, __version__))


async def status(request: web.Request) -> web.Response:
    return reply.json(wire.StatusResponse(wire.CloudStatus(disabled=True, source="env")))


async def recommendations(request: web.Request) -> web.Response:
    return web.Response(body=b'{"recommendations":[]}', content_type="application/json", charset="utf-8")


async def generate(request: web.Request) -> web.StreamResponse:
    wanted = await _decoded(request, wire.GenerateRequest)
    answers = generate_action.generate(services(request), wanted)
    return await stream.answer(request, answers, is_streamed=wanted.stream)


async def chat(request: web.Request) -> web.StreamResponse:
    wanted = await _decoded(request, wire.ChatRequest)
    answers = chat_action.chat(services(request), wanted)
    return await stream.answer(request, answers, is_streamed=wanted.stream)


async def embed(request: web.Request) -> web.Response:
    return reply.json(await embed_action.embed(services(request), await _decoded(request, wire.EmbedRequest)))


async def embeddings(request: web.Request) -> web.Response:
    wanted = await _decoded(request, wire.EmbeddingsRequest)
    return reply.json(await embed_action.embeddings(services(request), wanted))


async def rerank(request: web.Request) -> web.Response:
    return reply.json(await rerank_action.rerank(services(request), await _decoded(request, wire.RerankRequest)))


async def tokenize(request: web.Request) -> web.Response:
    return reply.json(await words.tokenize(services(request), await _decoded(request, wire.TokenizeRequest)))


async def detokenize(request: web.Request) -> web.Response:
    return reply.json(await words.detokenize(services(request), await _decoded(request, wire.DetokenizeRequest)))


async def apply_template(request: web.Request) -> web.Response:
    return reply.json(await words.apply_template(services(request), await _decoded(request, wire.ChatRequest)))


async def tags(request: web.Request) -> web.Response:
    return reply.json(await list_action.tags(services(request)))


async def ps(request: web.Request) -> web.Response:
    return reply.json(ps_action.ps(services(request)))


async def show(request: web.Request) -> web.Response:
    wanted = await _decoded(request, wire.ShowRequest)
    is_copilot = request.headers.get("User-Agent", "").startswith(_COPILOT)
    basename = wanted.model or wanted.name if is_copilot else ""
    return reply.json(await show_action.show(services(request), wanted, basename=basename))


async def pull(request: web.Request) -> web.StreamResponse:
    wanted = await _decoded(request, wire.PullRequest)
    lines = pull_action.pull(services(request), wanted)
    return await stream.progress(request, lines, is_streamed=wanted.stream)


async def push(request: web.Request) -> web.StreamResponse:
    wanted = await _decoded(request, wire.PushRequest)
    lines = push_action.push(services(request), wanted)
    return await stream.progress(request, lines, is_streamed=wanted.stream)


async def create(request: web.Request) -> web.StreamResponse:
    wanted = await _decoded(request, wire.CreateRequest)
    lines = create_action.create(services(request), wanted)
    return await stream.progress(request, lines, is_streamed=wanted.stream)


async def copy(request: web.Request) -> web.Response:
    await copy_action.copy(services(request), await _decoded(request, wire.CopyRequest))
    return reply.empty()


async def delete(request: web.Request) -> web.Response:
    await delete_action.delete(services(request), await _decoded(request, wire.DeleteRequest))
    return reply.empty()


async def has_blob(request: web.Request) -> web.Response:
    await blob_actions.require(services(request), request.match_info["digest"])
    return reply.empty()


async def put_blob(request: web.Request) -> web.Response:
    chunks = request.content.iter_any()
    is_new = await blob_actions.put(
        services(request), request.match_info["digest"], chunks, size_bytes=request.content_length
    )
    return reply.empty(201 if is_new else 200)


def refuse_cloud(what: str) -> Handler:
    """The handler of a feature that only Ollama's cloud has."""

    async def refuse(request: web.Request) -> web.Response:
        raise Refused(f"ollama cloud is disabled: {what}")

    return refuse


async def _decoded(request: web.Request, kind: type[T]) -> T:
    """The request in the body. Raises InvalidInput."""
    return wire.decode(await incoming.body(request), kind)
