"""What a request means by a model's name: the texts and statuses of the contract for names that lead nowhere."""

import asyncio

from ollamapy.actions.services import Services
from ollamapy.errors import InvalidInput, NotFound, Refused
from ollamapy.names import ModelName
from ollamapy.store.store import Store, StoredModel
from ollamapy.wire.manifest import Config, Manifest
from ollamapy.wire.native import Details

REMOTE = "remote model is unavailable"


async def stored_model(services: Services, name: ModelName, remote: str = REMOTE) -> StoredModel:
    """The model of this name. Raises NotFound with its canonical name, StoreError, Refused, InvalidInput."""
    try:
        return await asyncio.to_thread(_resolve, services.store, name, remote)
    except NotFound as error:
        raise not_found(name.short, hint=error.hint) from error


def _resolve(store: Store, name: ModelName, remote: str) -> StoredModel:
    """A model of the cloud, or one that makes images, is refused before its weights, which it has not, are missed."""
    config = store.config(store.manifests.read(name))
    if config.remote_host or config.remote_model:
        raise refused(remote)
    if "image" in config.capabilities:
        raise InvalidInput("image generation models are not currently supported")
    return store.resolve(name)


def refused(remote: str = REMOTE) -> Refused:
    """The error for a model that lives in Ollama's cloud."""
    return Refused(f"ollama cloud is disabled: {remote}")


def required_name(text: str) -> str:
    """`text`, which a client must give. Raises InvalidInput when it is empty."""
    if not text.strip():
        raise InvalidInput("model is required")
    return text


def not_found(shown: str, *, hint: str = "") -> NotFound:
    """The error for a model that is not here."""
    return NotFound(f"model '{shown}' not found", hint=hint)


def details_of(config: Config, parent: str = "") -> Details:
    """The details that every list shows, as the config has them."""
    return Details(
        parent_model=parent,
        format=config.model_format,
        family=config.model_family,
        families=config.model_families,
        parameter_size=config.model_type,
        quantization_level=config.file_type,
    )


def parent_of(manifest: Manifest) -> str:
    """The short name of the model that the weights came from, empty when they came from a file."""
    weights = manifest.of_kind("model")
    source = weights[0].source if weights else ""
    return source if isinstance(source, str) else ""
