"""`POST /api/create`: a new model from one that is here or in the catalogue, or from uploaded GGUF files.

    check → pull what is not here → read the uploaded headers → decide (recipe.py) → store the layers → link

Nothing is visible before the manifest is linked, which comes last.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

from ollamapy.actions import lookup
from ollamapy.actions import recipe as recipes
from ollamapy.actions.manifest import store_recipe
from ollamapy.actions.pull import pull
from ollamapy.actions.recipe import Recipe, Uploaded
from ollamapy.actions.services import Services
from ollamapy.actions.warm import warm
from ollamapy.errors import InvalidInput, ModelFileError, NotFound, StoreError
from ollamapy.modelfile.options import check_options
from ollamapy.names import Digest, ModelName
from ollamapy.store.blobs import Blobs
from ollamapy.weights.gguf import GgufFile, is_gguf
from ollamapy.wire.manifest import Layer, encode_manifest
from ollamapy.wire.native import CreateRequest, Progress, PullRequest


async def create(services: Services, request: CreateRequest) -> AsyncGenerator[Progress, None]:
    """Makes the model, a line for each step. No line but those of a pull comes before everything is checked.

    Raises InvalidInput, InvalidDigest, Refused, RemoteError, StoreError, Unsupported.
    """
    name = ModelName.parse(request.model or request.name)
    recipes.check_request(request)
    await _check_grammar(services, request.parameters)
    files = recipes.checked_files(request.files or {})
    adapters, drafts = recipes.checked_files(request.adapters), recipes.checked_files(request.draft_files)
    source = _source(request)

    if source and not await _is_here(services, source):
        async with aclosing(_pulled(services, request.from_)) as lines:
            async for line in lines:
                yield line
    files = {} if source else await asyncio.to_thread(_gguf_among, services.store.blobs, files)
    wanted = (*files.items(), *adapters.items(), *drafts.items())
    uploads = {(path, digest): await _inspected(services, path, digest) for path, digest in wanted}

    recipe = await _of_source(services, source) if source else recipes.of_files(uploads[file] for file in files.items())
    recipe = recipes.with_adapters(recipe, [uploads[file] for file in adapters.items()])
    if drafts:
        uploaded = [uploads[file] for file in drafts.items()]
        recipe = recipes.with_draft(recipe, uploaded, await _weights(services, recipe))
    recipe = recipes.with_request(recipe, request)

    _, statuses = await asyncio.to_thread(store_recipe, services.store.blobs, recipe)
    for status in (*["parsing GGUF"] * len(uploads), *statuses, "writing manifest"):
        yield Progress(status)
    await asyncio.to_thread(_link, services, name, recipe)
    if request.warm:
        yield Progress("computing the beginning of all prompts")
        await warm(services, name.full)
    yield Progress("success")


async def _check_grammar(services: Services, parameters: Mapping[str, Any]) -> None:
    """Raises InvalidInput for a PARAMETER grammar that is none or not safe to run, OptionError for one of no text."""
    grammar = check_options(parameters).get("grammar")
    if grammar:
        await services.grammars.checked(grammar)


def _source(request: CreateRequest) -> ModelName | None:
    """The model that the new one starts from, None for files. Raises InvalidInput, Refused."""
    if request.from_:
        return ModelName.parse_local(request.from_)
    if request.files is None:
        raise InvalidInput("neither 'from' or 'files' was specified")
    return None


async def _is_here(services: Services, name: ModelName) -> bool:
    try:
        await asyncio.to_thread(services.store.manifests.read, name)
    except NotFound:
        return False
    return True


async def _pulled(services: Services, source: str) -> AsyncGenerator[Progress, None]:
    """The lines of a pull without its last: the client waits for one success, that of the creation."""
    async with aclosing(pull(services, PullRequest(model=source))) as lines:
        async for line in lines:
            if line.status != "success":
                yield line


async def _of_source(services: Services, name: ModelName) -> Recipe:
    model = await lookup.stored_model(services, name)
    return recipes.of_model(model, await services.headers.weights(model))


def _gguf_among(blobs: Blobs, files: Mapping[str, Digest]) -> dict[str, Digest]:
    return recipes.choose_gguf(
        files, {path: is_gguf(_blob_path(blobs, path, digest)) for path, digest in files.items()}
    )


async def _inspected(services: Services, path: str, digest: Digest) -> Uploaded:
    """What an uploaded file says of itself. Raises InvalidInput for a file that is not GGUF, or lies; StoreError."""
    blob, size_bytes = await asyncio.to_thread(_gguf_blob, services.store.blobs, path, digest)
    try:
        return Uploaded(path, digest, size_bytes, await services.headers.read(blob))
    except ModelFileError as error:
        raise InvalidInput(error.message.replace(blob.name, path), hint=error.hint) from error


def _gguf_blob(blobs: Blobs, path: str, digest: Digest) -> tuple[Path, int]:
    blob = _blob_path(blobs, path, digest)
    if not is_gguf(blob):
        raise InvalidInput("supplied file was not in GGUF format", hint=f"the file {path} begins otherwise")
    return blob, blobs.size(digest)


def _blob_path(blobs: Blobs, path: str, digest: Digest) -> Path:
    if not blobs.has(digest):
        raise StoreError(
            f'blob "{digest}" of the file {path} not found', hint=f"upload it first: POST /api/blobs/{digest}"
        )
    return blobs.path(digest)


async def _weights(services: Services, recipe: Recipe) -> GgufFile:
    """The header of a recipe's weights, which are there."""
    digest = next(layer.digest for layer in recipe.layers if isinstance(layer, Layer) and layer.kind == "model")
    return await services.headers.read(services.store.blobs.path(Digest.parse(digest)))


def _link(services: Services, name: ModelName, recipe: Recipe) -> None:
    """Makes the model visible.

    Its texts are stored once more, in one step with the link: a delete meanwhile may have taken one that it shares.
    """
    store = services.store
    with store.manifests.lock:
        manifest, _ = store_recipe(store.blobs, recipe)
        store.link(name, encode_manifest(manifest), noprune=services.settings.noprune)
