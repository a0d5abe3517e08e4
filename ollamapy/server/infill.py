"""`/infill`, as llama.cpp's server has it: the handler turns a request into a native one, and its answer back."""

import msgspec
from aiohttp import web

from ollamapy.actions import generate as generate_action
from ollamapy.actions import list as list_action
from ollamapy.actions import ps as ps_action
from ollamapy.actions.services import Services
from ollamapy.dialects import infill
from ollamapy.dialects.body import decode
from ollamapy.errors import Error, InvalidInput
from ollamapy.server import incoming, reply, sse
from ollamapy.server.incoming import services
from ollamapy.wire.infill import InfillRequest


def error_frame(failure: Error) -> bytes:
    """An error after the stream has begun."""
    return sse.data_frame(infill.error_of(failure))


FRAMING = sse.Framing(sse.data_frame, error_frame)


def add_routes(router: web.UrlDispatcher) -> None:
    """Adds the route."""
    router.add_post("/infill", fill)


async def fill(request: web.Request) -> web.StreamResponse:
    wanted = decode(await incoming.body(request), InfillRequest)
    model = wanted.model or await _only_model(services(request))
    answers = [generate_action.generate(services(request), infill.request_of(wanted, model))]
    if wanted.stream:
        return await sse.answer(request, answers, infill.InfillStream(wanted), FRAMING)
    [answer] = await sse.wholes(answers)
    whole = infill.answer_of(wanted, answer)
    if wanted.response_fields is None:
        return reply.plain(whole)
    body = msgspec.json.encode(infill.fields_of(whole, wanted.response_fields))
    return web.Response(body=body, content_type="application/json")


async def _only_model(services: Services) -> str:
    """Editors made for a server of one model name none: it is the one that is loaded, else the one in the store.

    Raises InvalidInput when that is not clear.
    """
    names = {model.name for model in ps_action.ps(services).models}
    names = names or {model.name for model in (await list_action.tags(services)).models}
    if len(names) != 1:
        known = f"one of {', '.join(sorted(names))}" if names else "pull one first"
        raise InvalidInput("model is required", hint=f"name the model that is to fill the gap: {known}")
    return names.pop()
