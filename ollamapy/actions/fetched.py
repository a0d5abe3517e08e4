"""Files that a pull has fetched become a model, and what was there before goes. Fetches nothing."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence

from ollamapy.actions import recipe as recipes
from ollamapy.actions.manifest import store_recipe
from ollamapy.actions.recipe import NewLayer, Recipe, Uploaded
from ollamapy.actions.services import Services
from ollamapy.errors import Error, ModelFileError, NotFound, StoreError
from ollamapy.modelfile.options import check_options
from ollamapy.names import Digest, ModelName
from ollamapy.remotes.base import Source
from ollamapy.remotes.threads import in_thread
from ollamapy.store.store import Store
from ollamapy.wire.manifest import encode_manifest
from ollamapy.wire.native import Progress

log = logging.getLogger(__name__)


async def made(
    services: Services, name: ModelName, sources: Sequence[Source], digests: Sequence[Digest]
) -> AsyncGenerator[Progress, None]:
    """The model that files make, which are blobs now."""
    recipe = await _checked(services, sources, digests)
    yield Progress("writing manifest")
    unused = await in_thread(lambda stop: link(services.store, name, lambda: _stored(services.store, recipe)))
    log.info("model pulled model=%s source=%s", name, sources[0].kind)
    async for line in remove(services, unused):
        yield line


async def remove(services: Services, unused: set[Digest]) -> AsyncGenerator[Progress, None]:
    """What the model of before leaves behind goes; a failure is a line, not an error."""
    if not unused or services.settings.noprune:
        return
    yield Progress("removing unused layers")
    try:
        await in_thread(lambda stop: services.store.remove_unused(unused))
    except StoreError as error:
        yield Progress(f"couldn't remove unused layers: {error}")


async def _checked(services: Services, sources: Sequence[Source], digests: Sequence[Digest]) -> Recipe:
    """The model that the fetched files make. Files that make none leave the store."""
    try:
        return await _recipe(services, sources, digests)
    except Error as error:
        await in_thread(lambda stop: services.store.remove_unused(digests))
        if not isinstance(error, ModelFileError):
            raise
        message = error.message
        for source, digest in zip(sources, digests, strict=True):
            message = message.replace(digest.filename, source.filename)
        raise ModelFileError(message, hint=error.hint) from error


async def _recipe(services: Services, sources: Sequence[Source], digests: Sequence[Digest]) -> Recipe:
    """The same model that `create` makes of the files, with what the catalogue adds."""
    source, blobs = sources[0], services.store.blobs
    files = []
    for part, digest in zip(sources, digests, strict=True):
        file = await services.headers.read(blobs.path(digest))
        files.append(Uploaded(part.filename, digest, await asyncio.to_thread(blobs.size, digest), file))
    recipe = recipes.of_files(files)
    if source.license:
        recipe = recipe.with_layers(NewLayer("license", source.license.encode()))
    return recipes.with_parameters(recipe, check_options(source.params))


def _stored(store: Store, recipe: Recipe) -> bytes:
    """The manifest of a recipe, its layers stored."""
    manifest, _ = store_recipe(store.blobs, recipe)
    return encode_manifest(manifest)


def link(store: Store, name: ModelName, make_manifest: Callable[[], bytes]) -> set[Digest]:
    """Makes the model visible; the blobs that only its predecessor lists.

    One step under the lock: a delete meanwhile could take a layer that the manifest is about to list.
    """
    with store.manifests.lock:
        try:
            before = set(store.manifests.read(name).blobs)
        except (NotFound, StoreError):
            before = set()
        linked = store.link(name, make_manifest(), noprune=True)
        return before - set(store.manifests.read(linked).blobs)
