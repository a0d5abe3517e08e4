"""`POST /api/copy`: a second name for a model. Only the manifest is copied, its blobs are shared."""

import asyncio

from ollamapy.actions.services import Services
from ollamapy.errors import InvalidInput, InvalidName, NotFound
from ollamapy.modelfile.options import go_quote
from ollamapy.names import ModelName
from ollamapy.wire.native import CopyRequest


async def copy(services: Services, request: CopyRequest) -> None:
    """Makes `destination` the same model as `source`. Raises InvalidInput, NotFound, StoreError."""
    source = _name("source", request.source)
    destination = _name("destination", request.destination)
    if source.key == destination.key:
        return
    try:
        await asyncio.to_thread(services.store.copy, source, destination)
    except NotFound as error:
        raise NotFound(f"model {go_quote(request.source)} not found") from error


def _name(which: str, text: str) -> ModelName:
    try:
        return ModelName.parse(text)
    except InvalidName as error:
        raise InvalidInput(f"{which} {go_quote(text)} is invalid", hint=error.hint) from error
