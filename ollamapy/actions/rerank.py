"""`POST /api/rerank`: how well each of some documents answers a query. For models that pool to a rank."""

from ollamapy.actions import inference
from ollamapy.actions.embed import context_of, count, resolve, vectors
from ollamapy.actions.headers import Subject
from ollamapy.actions.inference import Timing
from ollamapy.actions.services import Services
from ollamapy.errors import InvalidInput
from ollamapy.units import parse_keep_alive
from ollamapy.wire.native import RerankRequest, RerankResponse, RerankResult
from ollamapy.wire.runner import Embed

_RANK = 4
"""llama.cpp's number of the pooling that ranks."""


async def rerank(services: Services, request: RerankRequest) -> RerankResponse:
    """The documents by their scores, best first. Raises InvalidInput for a model that cannot rank, NotFound."""
    timing = Timing.begin()
    parse_keep_alive(request.keep_alive)
    _check(request)
    subject = await resolve(services, request.model)
    _require_rank(subject, request.model)
    options = inference.options_of(subject, request.options)
    demand = inference.demand_of(services, subject, options, request.keep_alive, mode="embed")
    async with services.pool.lease(demand, inference.label_of(subject)) as runner:
        timing.mark_loaded()
        wanted = Embed(
            id=0,
            texts=request.documents,
            num_ctx=context_of(services, options),
            truncate=request.truncate,
            normalise=False,
            query=request.query,
        )
        found = await vectors(runner, wanted)
    count(services, subject, found)
    results = [RerankResult(index, scores[0]) for index, scores in enumerate(found.vectors)]
    results.sort(key=lambda result: -result.relevance_score)
    return RerankResponse(
        request.model,
        tuple(results[: request.top_n or None]),
        **timing.loading(),
        prompt_eval_count=found.num_prompt,
        prompt_dropped_count=found.num_dropped,
    )


def _check(request: RerankRequest) -> None:
    if not request.query:
        raise InvalidInput("query is required")
    if not request.documents:
        raise InvalidInput("documents are required", hint="documents is a list of texts")
    if request.top_n < 0:
        raise InvalidInput(f"top_n must not be negative: found {request.top_n}")


def _require_rank(subject: Subject, sent: str) -> None:
    if subject.file.of_architecture("pooling_type") != _RANK:
        hint = "a reranker is a model whose GGUF file says pooling type rank, such as bge-reranker"
        raise InvalidInput(f'"{sent}" cannot rank documents', hint=hint)
