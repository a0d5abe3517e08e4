"""`/api/tokenize`, `/api/detokenize` and `/api/apply-template`: what a model's file says of texts. Never loads weights.

The model's runner answers when it is there already; else a runner that has read the vocabulary alone. Such runners have
a pool of their own, so that counting tokens never unloads a model.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ollamapy.actions import inference, prompting
from ollamapy.actions.chat import prepared
from ollamapy.actions.headers import Subject
from ollamapy.actions.services import Services
from ollamapy.engines.base import Runner
from ollamapy.errors import InvalidInput
from ollamapy.pool.state import Demand
from ollamapy.wire.native import (
    ApplyTemplateResponse,
    ChatRequest,
    DetokenizeRequest,
    DetokenizeResponse,
    TokenizeRequest,
    TokenizeResponse,
)

MAX_TOKEN = 2**31 - 1


async def tokenize(services: Services, request: TokenizeRequest) -> TokenizeResponse:
    """The token ids of a text. Raises InvalidInput, NotFound."""
    subject = await inference.resolve(services, request.model)
    async with _vocabulary(services, subject) as runner:
        return TokenizeResponse(request.model, tuple(await runner.tokenize(request.text, request.add_special)))


async def detokenize(services: Services, request: DetokenizeRequest) -> DetokenizeResponse:
    """The text of token ids, special tokens written out. Raises InvalidInput, NotFound."""
    if not all(0 <= token <= MAX_TOKEN for token in request.tokens):
        raise InvalidInput("a token id is a number from 0 on")
    subject = await inference.resolve(services, request.model)
    async with _vocabulary(services, subject) as runner:
        return DetokenizeResponse(request.model, await runner.detokenize(request.tokens))


async def apply_template(services: Services, request: ChatRequest) -> ApplyTemplateResponse:
    """The prompt that a chat would send to the model, before any truncation. Refuses what `chat` refuses."""
    subject = await inference.resolve(services, request.model)
    conversation = prepared(subject, request)
    async with _vocabulary(services, subject) as runner:
        return ApplyTemplateResponse(request.model, await prompting.render(services, subject, runner, conversation))


@asynccontextmanager
async def _vocabulary(services: Services, subject: Subject) -> AsyncIterator[Runner]:
    """A runner that knows the model's words."""
    label = inference.label_of(subject)
    loaded = services.pool.ready_load(str(subject.model.model_path))
    if loaded:
        async with services.pool.lease(Demand(loaded), label) as runner:
            yield runner
        return
    options = inference.options_of(subject, {})
    demand = inference.demand_of(services, subject, options, None, mode="vocabulary")
    async with services.vocabularies.lease(demand, label) as runner:
        yield runner
