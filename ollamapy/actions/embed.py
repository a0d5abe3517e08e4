"""`POST /api/embed` and `POST /api/embeddings`: texts become vectors.

    check → resolve → options → lease → (load only) → vectors

What an input may hold and what becomes of a longer one is the runner's to say, because it counts tokens.
"""

import logging
from collections.abc import Iterable
from typing import Any

import msgspec

from ollamapy.actions import inference, lookup
from ollamapy.actions.headers import Subject
from ollamapy.actions.inference import Timing
from ollamapy.actions.services import Services
from ollamapy.engines.base import Runner
from ollamapy.errors import Error, InvalidInput, NotFound
from ollamapy.pool.memory import DEFAULT_NUM_CTX
from ollamapy.units import parse_keep_alive
from ollamapy.weights.gguf import GgufFile
from ollamapy.wire.native import EmbeddingsRequest, EmbeddingsResponse, EmbedRequest, EmbedResponse
from ollamapy.wire.options import Options
from ollamapy.wire.runner import Embed, Embedding

_PART_TEXTS = 256

log = logging.getLogger(__name__)


async def embed(services: Services, request: EmbedRequest) -> EmbedResponse:
    """A vector for each input. No input, or an empty one that is not in a list, only loads the model.

    Raises InvalidInput, NotFound, Error.
    """
    timing = Timing.begin()
    texts = _texts(request.input)
    parse_keep_alive(request.keep_alive)
    subject = await resolve(services, request.model)
    options = inference.options_of(subject, request.options)
    demand = inference.demand_of(services, subject, options, request.keep_alive, mode="embed")
    async with services.pool.lease(demand, inference.label_of(subject)) as runner:
        timing.mark_loaded()
        if not texts:
            return EmbedResponse(request.model, ())
        wanted = Embed(
            id=0,
            texts=texts,
            num_ctx=context_of(services, options),
            truncate=request.truncate is not False,
            dimensions=request.dimensions,
        )
        found = await vectors(runner, wanted)
    count(services, subject, found)
    return EmbedResponse(
        request.model,
        found.vectors,
        **timing.loading(),
        prompt_eval_count=found.num_prompt,
        prompt_dropped_count=found.num_dropped,
    )


async def embeddings(services: Services, request: EmbeddingsRequest) -> EmbeddingsResponse:
    """One vector, as Ollama's older interface gives it: nothing is cut, and some models' are not of length 1."""
    parse_keep_alive(request.keep_alive)
    subject = await resolve(services, lookup.required_name(request.model))
    options = inference.options_of(subject, request.options)
    demand = inference.demand_of(services, subject, options, request.keep_alive, mode="embed")
    async with services.pool.lease(demand, inference.label_of(subject)) as runner:
        if not request.prompt:
            return EmbeddingsResponse(())
        num_ctx = context_of(services, options)
        wanted = Embed(0, (request.prompt,), num_ctx, truncate=False, normalise=not is_raw(subject.file))
        try:
            found = await runner.embed(wanted)
        except InvalidInput as error:
            raise Error(error.message, hint=error.hint) from error
    count(services, subject, found)
    return EmbeddingsResponse(found.vectors[0])


async def vectors(runner: Runner, wanted: Embed) -> Embedding:
    """What the runner makes of all texts. They go in parts, so that nobody else's request waits for a large one."""
    starts = range(0, len(wanted.texts), _PART_TEXTS)
    parts = [
        await runner.embed(msgspec.structs.replace(wanted, texts=wanted.texts[start : start + _PART_TEXTS]))
        for start in starts
    ]
    return Embedding(
        id=0,
        vectors=tuple(vector for part in parts for vector in part.vectors),
        num_prompt=sum(part.num_prompt for part in parts),
        num_dropped=sum(part.num_dropped for part in parts),
    )


def _texts(value: Any) -> tuple[str, ...]:
    """The texts of `input`. Raises InvalidInput."""
    if value is None or value == "":
        return ()
    texts = (value,) if isinstance(value, str) else value
    if not isinstance(texts, Iterable) or isinstance(texts, dict) or not all(isinstance(text, str) for text in texts):
        raise InvalidInput("invalid input type", hint="input is a text or a list of texts")
    return tuple(texts)


async def resolve(services: Services, text: str) -> Subject:
    """The model that a request names. Raises InvalidName, NotFound."""
    try:
        return await inference.resolve(services, text)
    except NotFound as error:
        if not text:
            raise
        raise NotFound(f'model "{text}" not found, try pulling it first', hint=error.hint) from error


def context_of(services: Services, options: Options) -> int:
    """The most tokens of one input, special ones included; the runner knows what the model was trained for."""
    return options.num_ctx or services.settings.context_length or DEFAULT_NUM_CTX


def is_raw(file: GgufFile) -> bool:
    """True for the models whose vectors the older interface leaves as they come."""
    normalises = file.of_architecture("normalize_embeddings")
    if file.architecture == "bert":
        return normalises is False or file.metadata.get("tokenizer.ggml.model") != "bert"
    return file.architecture.startswith("nomic-bert") and normalises is not True


def count(services: Services, subject: Subject, found: Embedding) -> None:
    """Keeps the books. An input that lost tokens is worth a line: the vector does not know what they said."""
    services.metrics.read(subject.model.name.short, found.num_prompt, found.num_dropped)
    if found.num_dropped:
        log.warning("input truncated model=%s dropped_tokens=%d", subject.model.name, found.num_dropped)
