"""`POST /api/link`: makes a manifest the model of a name, when every blob that it lists is here.

For `import` and `adopt`. Blobs come first, by `/api/blobs`. A manifest that lists
others is refused, so no model is ever half there.
"""

import asyncio

from ollamapy.actions.lookup import required_name
from ollamapy.actions.services import Services
from ollamapy.errors import InvalidInput, NotFound
from ollamapy.names import ModelName
from ollamapy.store.manifests import MAX_MANIFEST_BYTES, digests_of
from ollamapy.store.store import Store
from ollamapy.wire.care import Linked, LinkRequest
from ollamapy.wire.manifest import decode_manifest


async def link(services: Services, request: LinkRequest) -> Linked:
    """Raises InvalidName, InvalidInput for a manifest that is none or lists what is not here, StoreError."""
    name = ModelName.parse(required_name(request.model))
    raw = request.manifest.encode()
    return await asyncio.to_thread(_link, services.store, name, raw, services.settings.noprune)


def _link(store: Store, name: ModelName, raw: bytes, noprune: bool) -> Linked:
    with store.manifests.lock:  # no clean-up takes a blob between the look and the link
        _check(store, raw)
        return Linked(store.link(name, raw, noprune=noprune).short)


def _check(store: Store, raw: bytes) -> None:
    if len(raw) > MAX_MANIFEST_BYTES:
        raise InvalidInput(f"a manifest has at most {MAX_MANIFEST_BYTES} bytes, this one has {len(raw)}")
    manifest = decode_manifest(raw)
    if not manifest.layers:
        raise InvalidInput("the manifest lists no layers, so it is no model's")
    for digest, layer in digests_of(manifest).items():
        try:
            size = store.blobs.size(digest)
        except NotFound as error:
            raise InvalidInput(f"the manifest lists {digest}, which is not here", hint="upload it first") from error
        if size != layer.size:
            raise InvalidInput(f"the manifest says {digest} has {layer.size} bytes, it has {size}")
