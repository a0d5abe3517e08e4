"""What the store takes of the disk, what of it nobody needs, and where a model's files lie."""

import asyncio
import os
import shutil
import time
from collections import Counter
from pathlib import Path

from ollamapy.actions import lookup
from ollamapy.actions.services import Services
from ollamapy.names import Digest, ModelName
from ollamapy.store.store import Store
from ollamapy.wire.care import DiskUsage, Removed, Resolved, Usage


async def disk_usage(services: Services) -> DiskUsage:
    """`GET /api/df`. Sizes are those of the files that are there. Raises StoreError."""
    return await asyncio.to_thread(_disk_usage, services.store)


def _disk_usage(store: Store) -> DiskUsage:
    sizes = {digest: store.blobs.size(digest) for digest in store.blobs.digests()}
    lists = {stored.name.short: set(stored.blobs) for stored in store.manifests.all()}
    users = Counter(digest for digests in lists.values() for digest in digests)

    def total(digests: set[Digest]) -> int:
        return sum(sizes.get(digest, 0) for digest in digests)

    models = tuple(
        Usage(name, total(digests), total({digest for digest in digests if users[digest] == 1}))
        for name, digests in lists.items()
    )
    root = store.layout.root
    return DiskUsage(
        root=str(root),
        models=tuple(sorted(models, key=lambda usage: (-usage.size_bytes, usage.model))),
        total_bytes=sum(sizes.values()),
        shared_bytes=total({digest for digest, count in users.items() if count > 1}),
        unused_bytes=sum(_size(path) for path in store.blobs.files() if store.layout.digest_of(path) not in users),
        free_bytes=shutil.disk_usage(root).free,
    )


async def collect(services: Services) -> Removed:
    """`POST /api/gc`: removes what no model uses and nobody works on. Raises StoreError."""
    return await asyncio.to_thread(_collect, services.store)


def _collect(store: Store) -> Removed:
    sizes = {path: _size(path) for path in store.blobs.files()}
    removed = store.prune_unused(time.time())
    return Removed(tuple(path.name for path in removed), sum(sizes.get(path, 0) for path in removed))


async def resolve(services: Services, text: str) -> Resolved:
    """`POST /api/resolve`: the files of a model. Raises InvalidName, NotFound, StoreError."""
    model = await lookup.stored_model(services, ModelName.parse_local(lookup.required_name(text)))
    return Resolved(
        model=model.name.short,
        manifest=str(services.store.layout.manifest(model.name)),
        weights=str(model.model_path),
        shards=tuple(map(str, model.shard_paths)),
        draft=str(model.draft_path or ""),
        adapters=tuple(map(str, model.adapter_paths)),
        projectors=tuple(map(str, model.projector_paths)),
    )


def _size(path: Path) -> int:
    """Bytes that a file, or a folder of files, takes on the disk; a sparse file takes what was written."""
    files = [path, *path.rglob("*")] if path.is_dir() else [path]
    return sum(os.lstat(file).st_blocks * 512 for file in files if not file.is_dir())
