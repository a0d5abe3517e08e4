"""`DELETE /api/delete`: forget a model. A runner that serves it runs on until it expires."""

import asyncio

from ollamapy.actions import lookup
from ollamapy.actions.services import Services
from ollamapy.errors import InvalidInput, InvalidName, NotFound
from ollamapy.modelfile.options import go_quote
from ollamapy.names import ModelName
from ollamapy.wire.native import DeleteRequest


async def delete(services: Services, request: DeleteRequest) -> None:
    """Removes the manifest and the blobs that only it used. Raises InvalidInput, NotFound, StoreError."""
    text = lookup.required_name(request.model or request.name)
    try:
        name = ModelName.parse_local(text)
    except InvalidName as error:
        raise InvalidInput(f"name {go_quote(text)} is invalid", hint=error.hint) from error
    try:
        await asyncio.to_thread(services.store.delete, name)
    except NotFound as error:
        raise lookup.not_found(text) from error
