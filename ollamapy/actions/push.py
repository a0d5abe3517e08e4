"""`POST /api/push`: bring a model of the store to the registry that its name says.

    read the manifest → every blob that the registry lacks, one after the other → the manifest, last

Nothing is visible there before the manifest is. A push that is left half-way leaves blobs, and the next one skips them.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from ollamapy.actions import lookup
from ollamapy.actions.docker import docker_artefact
from ollamapy.actions.headers import describe
from ollamapy.actions.services import Services
from ollamapy.errors import Error, InvalidInput, RemoteError
from ollamapy.names import Digest, ModelName
from ollamapy.remotes.base import pushing
from ollamapy.remotes.hosts import Hosts
from ollamapy.remotes.oci.remote import Registry
from ollamapy.remotes.threads import in_thread
from ollamapy.remotes.transfers import alone
from ollamapy.settings import Settings
from ollamapy.store.manifests import StoredManifest
from ollamapy.wire.artefact import DOCKER_CONFIG, OCI_MANIFEST
from ollamapy.wire.manifest import MANIFEST_TYPE, Layer
from ollamapy.wire.native import Progress, PushRequest

FORMATS = ("", "docker")

log = logging.getLogger(__name__)


async def push(services: Services, request: PushRequest) -> AsyncGenerator[Progress, None]:
    """Sends the model, a line for each step. Raises InvalidInput before the first line; then Error, RemoteError."""
    text = request.model or request.name
    if not text:
        raise InvalidInput("model is required")
    if request.format not in FORMATS:
        raise InvalidInput(f"the format {request.format!r} is not known", hint=f"wanted {' or '.join(FORMATS[1:])}")
    yield Progress("retrieving manifest")
    try:
        name = ModelName.parse(text)
        stored = await asyncio.to_thread(services.store.manifests.read, name)
    except Error as error:
        yield Progress("couldn't retrieve manifest")
        raise Error(error.message, hint=error.hint) from error
    if request.format == "docker":
        name = replace(name, scheme="oci")
    registry = await asyncio.to_thread(_registry, services.settings, name, insecure=request.insecure)
    lines = _send_docker(services, registry, stored) if request.format else _send(services, registry, stored)
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
    """The model as it is, byte for byte."""
    media_type = stored.manifest.media_type or MANIFEST_TYPE
    async with aclosing(_send_all(services, registry, stored.blobs, stored.raw, media_type)) as lines:
        async for line in lines:
            yield line


async def _send_docker(
    services: Services, registry: Registry, stored: StoredManifest
) -> AsyncGenerator[Progress, None]:
    """The model as Docker's artefact, and what of it has no place there."""
    subject = await describe(services, await lookup.stored_model(services, stored.name))
    artefact = docker_artefact(subject)
    if artefact.left_out:
        kinds = ", ".join(artefact.left_out)
        log.warning("layers left out of an artefact model=%s kinds=%s", stored.name, kinds)
        yield Progress(f"left out, Docker's format has no place for it: {kinds}")
    digest, size = await asyncio.to_thread(services.store.blobs.put, artefact.config)
    blobs = {Digest.parse(layer.digest): layer for layer in artefact.layers}
    blobs[digest] = Layer(DOCKER_CONFIG, str(digest), size)
    try:
        lines = _send_all(services, registry, blobs, artefact.manifest(str(digest)), OCI_MANIFEST)
        async with aclosing(lines):
            async for line in lines:
                yield line
    finally:
        await in_thread(lambda stop: services.store.remove_unused([digest]))


async def _send_all(
    services: Services, registry: Registry, blobs: Mapping[Digest, Layer], manifest: bytes, media_type: str
) -> AsyncGenerator[Progress, None]:
    with services.store.holding(blobs):
        for digest, layer in blobs.items():
            work = partial(registry.put_blob, layer, services.store.blobs.path(digest))
            async with alone(work, pushing(digest, layer.size, 0)) as transfer:
                async with aclosing(transfer.progress()) as lines:
                    async for line in lines:
                        yield line
                transfer.result()
        yield Progress("pushing manifest")
        await registry.put_manifest(manifest, media_type)
    log.info("model pushed model=%s", registry.name.full)
