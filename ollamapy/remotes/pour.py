"""A stream of known length becomes a blob.

Owns the copy loop, its bound and its checks. Blocks, so it runs in a thread.
"""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from typing import Protocol

from ollamapy.errors import InvalidDigest, RemoteError, StoreError
from ollamapy.names import Digest
from ollamapy.remotes.base import BlobSink
from ollamapy.remotes.threads import Stop
from ollamapy.units import format_bytes

NO_ROOM_HINT = "free some space, or let OLLAMA_MODELS name a folder on a larger disk"
_CHUNK_BYTES = 1 << 20


class Stream(Protocol):
    """Whatever can be read."""

    def read(self, count: int, /) -> bytes:
        """Up to `count` bytes, none at the end."""


def pour(
    stream: Stream,
    size: int,
    expected: Digest | None,
    blobs: BlobSink,
    on_bytes: Callable[[int], None],
    stop: Stop,
) -> Digest:
    """The digest of the blob that `stream` became.

    `on_bytes` gets the number of bytes so far. Raises RemoteError unless exactly `size` bytes come and their digest is
    the expected one, StoreError when there is no room, Cancelled.
    """
    require_room(blobs, size)
    done = 0
    with digest_checked(), blobs.writer(expected) as writer:
        while chunk := stream.read(min(_CHUNK_BYTES, size - done + 1)):
            stop.check()
            done += len(chunk)
            if done > size:
                raise RemoteError(f"the file is larger than the {size} bytes that were announced")
            writer.write(chunk)
            on_bytes(done)
        if done < size:
            raise RemoteError(f"the file ends after {done} of the {size} bytes that were announced")
        return writer.commit()


@contextlib.contextmanager
def digest_checked(who: str = "the catalogue") -> Iterator[None]:
    """Turns the store's InvalidDigest, a caller's mistake elsewhere, into the RemoteError that it is for a fetch."""
    try:
        yield
    except InvalidDigest as error:
        raise RemoteError(error.message, hint=f"what was fetched is not what {who} promises") from error


def require_room(blobs: BlobSink, wanted: int) -> None:
    """Raises StoreError when the disk of the store cannot take `wanted` more bytes."""
    folder = blobs.partial_path("room").parent
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise StoreError(
            f"no room for the model: {format_bytes(wanted)} needed, {format_bytes(free)} free in {folder}",
            hint=NO_ROOM_HINT,
        )
