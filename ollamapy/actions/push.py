"""`POST /api/push`: bring a model of the store to the registry that its name says.

    read the manifest → every blob that the registry lacks, one after the other → the manifest, last

Nothing is visible there before the manifest is. A push that is left half-way leaves blobs, and the next one skips them.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from ollamapy.actions.services import Services
from ollamapy.errors import Error, InvalidInput, RemoteError
from ollamapy.names import ModelName
from ollamapy.remotes.base import pushing
from ollamapy.remotes.hosts import Hosts
from ollamapy.remotes.oci.remote import Registry
from ollamapy.remotes.transfers import alone
from ollamapy.settings import Settings
from ollamapy.store.manifests import StoredManifest
from ollamapy.wire.manifest import MANIFEST_TYPE
from ollamapy.wire.native import Progress, PushRequest

log = logging.getLogger(__name__)


async def push(services: Services, request: PushRequest) -> AsyncGenerator[Progress, None]:
    """Sends the model, a line for each step. Raises InvalidInput before the first line; then Error, RemoteError."""
    text = request.model or request.name
    if not text:
        raise InvalidInput("model is required")
    yield Progress("retrieving manifest")
    try:
        name = ModelName.parse(text)
        stored = await asyncio.to_thread(services.store.manifests.read, name)
    except Error as error:
        yield Progress("couldn't retrieve manifest")
        raise Error(error.message, hint=error.hint) from error
    registry = await asyncio.to_thread(_registry, services.settings, name, insecure=request.insecure)
    lines = _send(services, registry, stored)
    async with aclosing(lines):
        async for line in lines:
            yield line
    yield Progress("success")


def _registry(settings: Settings, name: ModelName, *, insecure: bool) -> Registry:
    if settings.offline:
        raise RemoteError(f"no connection to {name.host} is made", hint="OLLAMAPY_OFFLINE forbids it")
    hosts = Hosts.load(settings.config_file)
    return Registry(name, settings.key_file, insecure=insecure, hosts=hosts)


async def _send(services: Services, registry: Registry, stored: StoredManifest) -> AsyncGenerator[Progress, None]:
    with services.store.holding(stored.blobs):
        for digest, layer in stored.blobs.items():
            work = partial(registry.put_blob, layer, services.store.blobs.path(digest))
            async with alone(work, pushing(digest, layer.size, 0)) as transfer:
                async with aclosing(transfer.progress()) as lines:
                    async for line in lines:
                        yield line
                transfer.result()
        yield Progress("pushing manifest")
        await registry.put_manifest(stored.raw, stored.manifest.media_type or MANIFEST_TYPE)
    log.info("model pushed model=%s", registry.name.full)
