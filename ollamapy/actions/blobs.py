"""`/api/blobs/:digest`: files that a client uploads before it creates a model of them.

Never believes the digest in the request: it is computed while the bytes come in.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack

from ollamapy.actions.services import Services
from ollamapy.errors import InvalidDigest, NotFound
from ollamapy.names import Digest
from ollamapy.remotes.pour import require_room
from ollamapy.remotes.threads import in_thread
from ollamapy.store.blobs import Blobs

_WRITE_BYTES = 1 << 20
"""Bytes that go to the disk with one hop to a thread."""


async def require(services: Services, text: str) -> None:
    """Returns when the blob is there. Raises InvalidDigest, NotFound."""
    digest = Digest.parse(text)
    if not await asyncio.to_thread(services.store.blobs.has, digest):
        raise NotFound(f'blob "{text}" not found')


async def put(services: Services, text: str, chunks: AsyncIterator[bytes], *, size_bytes: int | None) -> bool:
    """Stores what `chunks` brings as the blob `text`; False, and nothing is read, when it is there already.

    `size_bytes` is what the client announced. Raises InvalidDigest when the content is another (a blob under its real
    digest stays then), StoreError when the disk is full.
    """
    wanted = Digest.parse(text)
    blobs = services.store.blobs
    if await asyncio.to_thread(blobs.has, wanted):
        return False
    if size_bytes:
        await asyncio.to_thread(require_room, blobs, size_bytes)
    found = await _receive(blobs, chunks)
    if found != wanted:
        raise InvalidDigest(f'digest mismatch, expected "{text}", got "{found}"')
    return True


async def _receive(blobs: Blobs, chunks: AsyncIterator[bytes]) -> Digest:
    """The digest of the blob that the bytes became. Whatever goes wrong, nothing half-written stays."""
    stack = ExitStack()
    try:
        writer = await in_thread(lambda stop: stack.enter_context(blobs.writer()))
        pending = bytearray()
        async for chunk in chunks:
            pending += chunk
            if len(pending) >= _WRITE_BYTES:
                full, pending = bytes(pending), bytearray()
                await in_thread(lambda stop, data=full: writer.write(data))  # type: ignore[misc]
        rest = bytes(pending)
        await in_thread(lambda stop: writer.write(rest))
        return await in_thread(lambda stop: writer.commit())
    finally:
        await in_thread(lambda stop: stack.close())
