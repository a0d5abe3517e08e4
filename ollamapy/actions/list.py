"""`GET /api/tags`: the models in the store, as the disk has them at this moment.

Each time the disk is asked which manifests and blobs are there; only what is new or has changed is read.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from ollamapy.actions import lookup
from ollamapy.actions.headers import Subject, describe
from ollamapy.actions.listings import Seen
from ollamapy.actions.services import Services
from ollamapy.errors import Error
from ollamapy.names import ModelName
from ollamapy.store.manifests import StoredManifest
from ollamapy.store.stamps import MTIME_NS
from ollamapy.store.store import Store, StoredModel
from ollamapy.units import format_local
from ollamapy.weights.gguf import GgufFile
from ollamapy.wire.manifest import Config
from ollamapy.wire.native import Details, ListedModel, ListResponse

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Found:
    """`model` is None when blobs are missing: such a model is listed, and cannot be used."""

    manifest: StoredManifest
    config: Config
    model: StoredModel | None


async def tags(services: Services) -> ListResponse:
    """Every model with a readable manifest, newest first."""
    seen = await asyncio.to_thread(_look, services.store)
    known = services.listings.known(seen)
    missing = [name for name in seen.manifests if name not in known]
    for found in await asyncio.to_thread(_read, services.store, missing) if missing else ():
        subject = await _described(services, found.model)
        listed = known[found.manifest.name] = _listed(found, subject)
        if subject:
            services.listings.put(found.manifest, listed, seen)
    by_path = [(seen.manifests[name], known[name]) for name in seen.manifests if name in known]
    newest_first = sorted(by_path, key=lambda item: -(item[0][MTIME_NS] // 10**9))
    return ListResponse(tuple([listed for _, listed in newest_first]))


def _look(store: Store) -> Seen:
    return Seen(store.manifests.stamped(), store.blobs.names(), time.time_ns())


def _read(store: Store, names: Iterable[ModelName]) -> list[_Found]:
    return [_found(store, manifest) for manifest in store.manifests.all(names)]


def _found(store: Store, manifest: StoredManifest) -> _Found:
    config = Config()
    try:
        config = store.config(manifest)
        return _Found(manifest, config, store.resolve(manifest.name))
    except Error as error:
        log.debug("model incomplete name=%s reason=%r", manifest.name, error.message)
        return _Found(manifest, config, None)


def _listed(found: _Found, subject: Subject | None) -> ListedModel:
    manifest, config = found.manifest, subject.model.config if subject else found.config
    details = lookup.details_of(config, lookup.parent_of(manifest.manifest))
    return ListedModel(
        name=manifest.name.short,
        model=manifest.name.short,
        modified_at=format_local(manifest.modified),
        size=manifest.manifest.size_bytes,
        digest=manifest.digest,
        details=_details(details, config, subject.file if subject else None),
        capabilities=subject.capabilities if subject else config.capabilities,
    )


async def _described(services: Services, model: StoredModel | None) -> Subject | None:
    """What the weights say, or None when they cannot be read."""
    if model is None:
        return None
    try:
        return await describe(services, model)
    except Error as error:
        log.debug("weights unreadable name=%s reason=%r", model.name, error.message)
        return None


def _details(details: Details, config: Config, file: GgufFile | None) -> Details:
    """With the two lengths, and a quantization that the config does not know, from the weights."""
    quantization = details.quantization_level
    if file and quantization in ("", "unknown"):
        quantization = file.file_type
    return msgspec.structs.replace(
        details,
        quantization_level=quantization,
        context_length=config.context_length or (file.context_length if file else 0) or msgspec.UNSET,
        embedding_length=config.embedding_length or (file.embedding_length if file else 0) or msgspec.UNSET,
    )
