"""The store as a registry that others pull from: what the read-only routes of `/v2/` answer.

A repository is `namespace/model`, or `host/namespace/model` for models of other hosts. Only what a readable manifest
of a repository lists is given out. Everything blocks; the routes run it in threads.
"""

from pathlib import Path

from ollamapy.errors import InvalidDigest, NotFound, StoreError
from ollamapy.names import Digest, ModelName
from ollamapy.store.manifests import StoredManifest
from ollamapy.store.store import Store
from ollamapy.wire.manifest import MANIFEST_TYPE


def find_manifest(store: Store, repository: str, reference: str) -> StoredManifest:
    """The manifest under a tag or a digest. Raises InvalidName, NotFound, StoreError."""
    try:
        digest = Digest.parse(reference)
    except InvalidDigest:
        return store.manifests.read(ModelName.parse(f"{repository}:{reference}"))
    for stored in _manifests(store, repository):
        if stored.digest == digest.hex:
            return stored
    raise NotFound(f"{repository} has no manifest {reference}")


def find_blob(store: Store, repository: str, digest: Digest) -> Path:
    """The file of a blob that a model of the repository lists. Raises InvalidName, NotFound."""
    if any(digest in stored.blobs for stored in _manifests(store, repository)) and store.blobs.has(digest):
        return store.blobs.path(digest)
    raise NotFound(f'blob "{digest}" not found')


def tags(store: Store, repository: str) -> list[str]:
    """The tags of a repository, sorted. Raises InvalidName, NotFound."""
    found = sorted(stored.name.tag for stored in _manifests(store, repository))
    if not found:
        raise NotFound(f"repository {repository} not found")
    return found


def repositories(store: Store) -> list[str]:
    """Every repository, sorted."""
    return sorted({name.served_repository for name in store.manifests.names()})


def media_type(stored: StoredManifest) -> str:
    """What the manifest says it is: a model made by another program may be an OCI manifest."""
    return stored.manifest.media_type or MANIFEST_TYPE


def _manifests(store: Store, repository: str) -> list[StoredManifest]:
    """The readable manifests of a repository, in any case."""
    wanted = ModelName.parse(repository).key.rpartition(":")[0]
    found = []
    for name in store.manifests.names():
        if name.key.rpartition(":")[0] == wanted:
            try:
                found.append(store.manifests.read(name))
            except (NotFound, StoreError):
                continue
    return found
