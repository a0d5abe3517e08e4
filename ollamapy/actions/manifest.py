"""From a recipe to a manifest: stores what is new of a model's layers. Never links the manifest."""

import hashlib

from ollamapy.actions.recipe import NewLayer, Recipe
from ollamapy.names import Digest
from ollamapy.store.blobs import Blobs
from ollamapy.wire.manifest import CONFIG_TYPE, Layer, Manifest, encode_config, layer_type


def store_recipe(blobs: Blobs, recipe: Recipe) -> tuple[Manifest, list[str]]:
    """Stores what is new of the recipe: the manifest, and what happened to each layer. Blocks. Raises StoreError."""
    layers, statuses = [], []
    for part in recipe.layers:
        is_new = isinstance(part, NewLayer) and not blobs.has(_digest_of(part.data))
        layer = _stored(blobs, part)
        layers.append(layer)
        statuses.append(f"{'creating new' if is_new else 'using existing'} layer {layer.digest}")
    digest, size = blobs.put(encode_config(recipe.config))
    config = Layer(CONFIG_TYPE, str(digest), size)
    return Manifest(schema_version=2, config=config, layers=tuple(layers)), statuses


def _stored(blobs: Blobs, part: Layer | NewLayer) -> Layer:
    if isinstance(part, Layer):
        blobs.reuse(Digest.parse(part.digest), part.size)
        return part
    digest, size = blobs.put(part.data)
    return Layer(layer_type(part.kind), str(digest), size)


def _digest_of(data: bytes) -> Digest:
    return Digest(hashlib.sha256(data).hexdigest())
