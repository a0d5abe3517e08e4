"""Describes the HTTP API: `/openapi.json`, made of the router's routes and the wire's types, and a page that shows it.

`DESCRIBED` says what the types cannot: which of them a route takes and gives. A route that is not in it is described by
its path alone.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from ollamapy import EMULATED_VERSION
from ollamapy.wire import anthropic, care, infill, jobs, native, openai, responses, sources

_LINES, _EVENTS = "application/x-ndjson", "text/event-stream"
_PAGE = Path(__file__).with_name("docs.html")
_REF = "#/components/schemas/{name}"


@dataclass(frozen=True, slots=True)
class Operation:
    """What a route does.

    `stream` is the media type of an answer that comes in pieces, `sent` that of a request; `query` names parameters.
    """

    summary: str
    takes: type | None = None
    gives: type | None = None
    stream: str = ""
    sent: str = "application/json"
    query: tuple[str, ...] = ()


DESCRIBED: Mapping[tuple[str, str], Operation] = {
    ("GET", "/"): Operation("Whether the daemon runs, as a sentence"),
    ("GET", "/api/version"): Operation("The version of the API", gives=native.VersionResponse),
    ("GET", "/api/status"): Operation("Whether cloud features are on", gives=native.StatusResponse),
    ("GET", "/api/tags"): Operation("The models in the store", gives=native.ListResponse),
    ("GET", "/api/ps"): Operation("The models that are loaded", gives=native.PsResponse),
    ("POST", "/api/generate"): Operation(
        "Complete a prompt", native.GenerateRequest, native.GenerateResponse, stream=_LINES
    ),
    ("POST", "/api/chat"): Operation("Answer in a chat", native.ChatRequest, native.ChatResponse, stream=_LINES),
    ("POST", "/api/embed"): Operation("Vectors of texts", native.EmbedRequest, native.EmbedResponse),
    ("POST", "/api/embeddings"): Operation(
        "The vector of a text (old form)", native.EmbeddingsRequest, native.EmbeddingsResponse
    ),
    ("POST", "/api/rerank"): Operation(
        "How well documents answer a query", native.RerankRequest, native.RerankResponse
    ),
    ("POST", "/api/tokenize"): Operation("The tokens of a text", native.TokenizeRequest, native.TokenizeResponse),
    ("POST", "/api/detokenize"): Operation("The text of tokens", native.DetokenizeRequest, native.DetokenizeResponse),
    ("POST", "/api/apply-template"): Operation(
        "The prompt that a chat would send", native.ChatRequest, native.ApplyTemplateResponse
    ),
    ("POST", "/api/show"): Operation("What a model is", native.ShowRequest, native.ShowResponse),
    ("POST", "/api/pull"): Operation("Fetch a model", native.PullRequest, native.Progress, stream=_LINES),
    ("POST", "/api/push"): Operation(
        "Bring a model to its registry", native.PushRequest, native.Progress, stream=_LINES
    ),
    ("POST", "/api/create"): Operation("Make a model", native.CreateRequest, native.Progress, stream=_LINES),
    ("POST", "/api/copy"): Operation("Give a model another name", native.CopyRequest),
    ("DELETE", "/api/delete"): Operation("Remove a model", native.DeleteRequest),
    ("HEAD", "/api/blobs/{digest}"): Operation("Whether a blob is there"),
    ("POST", "/api/blobs/{digest}"): Operation("Upload a blob", bytes),
    ("POST", "/api/link"): Operation("Make an uploaded manifest a model", care.LinkRequest, care.Linked),
    ("POST", "/api/fsck"): Operation("Check the store", care.FsckRequest, care.FsckLine, stream=_LINES),
    ("GET", "/api/df"): Operation("What the models take of the disk", gives=care.DiskUsage),
    ("POST", "/api/gc"): Operation("Remove what no model uses", gives=care.Removed),
    ("POST", "/api/resolve"): Operation("Where a model's files lie", care.ResolveRequest, care.Resolved),
    ("GET", "/metrics"): Operation("Counts of requests, tokens and memory, for Prometheus"),
    ("GET", "/openapi.json"): Operation("This description"),
    ("GET", "/docs"): Operation("This description as a page"),
    ("GET", "/v2/"): Operation("Whether this is a registry (OCI)"),
    ("GET", "/v2/_catalog"): Operation("The repositories in the store (OCI)"),
    ("GET", "/v2/{repository}/tags/list"): Operation("The tags of a repository (OCI)"),
    ("GET", "/v2/{repository}/manifests/{reference}"): Operation("A manifest by its tag or digest (OCI)"),
    ("GET", "/v2/{repository}/blobs/{digest}"): Operation("A blob, whole or a range of it (OCI)"),
    ("GET", "/api/experimental/model-recommendations"): Operation("None: this is a feature of Ollama's cloud"),
    ("POST", "/api/experimental/web_search"): Operation("Refused: this is a feature of Ollama's cloud"),
    ("POST", "/api/experimental/web_fetch"): Operation("Refused: this is a feature of Ollama's cloud"),
    ("GET", "/api/jobs"): Operation("Pulls in progress, and those that ended lately", gives=jobs.JobList),
    ("POST", "/api/jobs"): Operation("Fetch a model in the background", native.PullRequest, jobs.ListedJob),
    ("POST", "/api/jobs/{id}/pause"): Operation("Let a pull wait: no more bytes come", gives=jobs.ListedJob),
    ("POST", "/api/jobs/{id}/resume"): Operation("Let a pull go on", gives=jobs.ListedJob),
    ("DELETE", "/api/jobs/{id}"): Operation(
        "Cancel a pull, what came stays; forget one that is over", gives=jobs.ListedJob
    ),
    ("GET", "/api/outdated"): Operation("Pulled models, compared with where they came from", gives=sources.Outdated),
    ("GET", "/api/search"): Operation("Models that can be pulled", gives=sources.SearchAnswer, query=("q",)),
    ("POST", "/v1/chat/completions"): Operation(
        "Answer in a chat (OpenAI)", openai.ChatCompletionRequest, openai.ChatCompletion, stream=_EVENTS
    ),
    ("POST", "/v1/completions"): Operation(
        "Complete a prompt (OpenAI)", openai.CompletionRequest, openai.Completion, stream=_EVENTS
    ),
    ("POST", "/v1/responses"): Operation(
        "Answer in a chat (OpenAI, newer form)", responses.ResponsesRequest, responses.Response, stream=_EVENTS
    ),
    ("POST", "/v1/embeddings"): Operation("Vectors of texts (OpenAI)", openai.EmbeddingRequest, openai.EmbeddingList),
    ("POST", "/v1/audio/transcriptions"): Operation(
        "What is said in a sound file (OpenAI)",
        openai.TranscriptionForm,
        openai.Transcription,
        sent="multipart/form-data",
    ),
    ("POST", "/v1/rerank"): Operation(
        "How well documents answer a query (Cohere, Jina)", openai.RerankRequest, openai.RerankAnswer
    ),
    ("GET", "/v1/models"): Operation("The models in the store (OpenAI)", gives=openai.ModelList),
    ("GET", "/v1/models/{model}"): Operation("One model (OpenAI)", gives=openai.Model),
    ("POST", "/infill"): Operation(
        "Fill a gap in a file (llama.cpp's server)", infill.InfillRequest, infill.InfillAnswer, stream=_EVENTS
    ),
    ("POST", "/v1/messages"): Operation(
        "Answer in a chat (Anthropic)", anthropic.MessagesRequest, anthropic.Message, stream=_EVENTS
    ),
    ("POST", "/v1/messages/count_tokens"): Operation(
        "How many tokens a prompt has (Anthropic)", anthropic.CountRequest, anthropic.TokenCount
    ),
}


def add_routes(router: web.UrlDispatcher) -> None:
    """Adds the description and its page."""
    router.add_get("/openapi.json", openapi, allow_head=False)
    router.add_get("/docs", docs, allow_head=False)


async def openapi(request: web.Request) -> web.Response:
    body = msgspec.json.encode(describe(routes_of(request.app.router)))
    return web.Response(body=body, content_type="application/json")


async def docs(request: web.Request) -> web.FileResponse:
    return web.FileResponse(_PAGE)


def routes_of(router: web.UrlDispatcher) -> list[tuple[str, str]]:
    """Method and path of each route. HEAD beside a GET of the same path, and routes for any method, are left out."""
    found = [(route.method, route.resource.canonical) for route in router.routes() if route.resource]
    return [
        (method, path) for method, path in found if method != "*" and not (method == "HEAD" and ("GET", path) in found)
    ]


def describe(routes: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of these routes."""
    operations = {route: DESCRIBED.get(route, Operation(route[1])) for route in routes}
    schemas, components = _schemas(operations.values())
    paths: dict[str, Any] = {}
    for (method, path), operation in operations.items():
        paths.setdefault(path, {})[method.lower()] = _operation(path, operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "ollamapy", "version": EMULATED_VERSION},
        "paths": paths,
        "components": {"schemas": components},
    }


def _schemas(operations: Iterable[Operation]) -> tuple[dict[type, Any], dict[str, Any]]:
    """The schema of each type that the operations name, and those that the schemas name in turn."""
    named = [kind for operation in operations for kind in (operation.takes, operation.gives)]
    types = sorted({kind for kind in (*named, *_ERRORS.values()) if kind and kind is not bytes}, key=str)
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    return dict(zip(types, schemas, strict=True)), components


def _operation(path: str, operation: Operation, schemas: Mapping[type, Any]) -> dict[str, Any]:
    error = {"application/json": {"schema": schemas[_error_of(path)]}}
    described: dict[str, Any] = {
        "summary": operation.summary,
        "responses": {
            "200": {"description": "The answer"} | _answer(operation, schemas),
            "default": {"description": "Why there is no answer", "content": error},
        },
    }
    if parameters := [_parameter(name, "path") for name in re.findall(r"{(\w+)}", path)] + [
        _parameter(name, "query") for name in operation.query
    ]:
        described["parameters"] = parameters
    if operation.takes is bytes:
        described["requestBody"] = {"content": {"application/octet-stream": {}}, "required": True}
    elif operation.takes:
        content = {operation.sent: {"schema": schemas[operation.takes]}}
        described["requestBody"] = {"content": content, "required": True}
    return described


def _parameter(name: str, place: str) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": {"type": "string"}}


def _answer(operation: Operation, schemas: Mapping[type, Any]) -> dict[str, Any]:
    if not operation.gives:
        return {}
    content = {"application/json": {"schema": schemas[operation.gives]}}
    if operation.stream == _LINES:
        content[_LINES] = {"schema": schemas[operation.gives]}
    elif operation.stream:
        content[operation.stream] = {"schema": {"type": "string"}}
    return {"content": content}


_ERRORS: Mapping[str, type] = {
    "/v1/messages": anthropic.ErrorResponse,
    "/v1/": openai.ErrorResponse,
    "/infill": infill.InfillError,
    "/": native.ErrorResponse,
}
"""The shape of an error by what a path begins with; the first that fits counts."""


def _error_of(path: str) -> type:
    return next(kind for start, kind in _ERRORS.items() if path.startswith(start))
