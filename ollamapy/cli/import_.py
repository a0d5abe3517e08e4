"""`ollamapy import`: takes the models out of an archive into the daemon's store.

Owns the reading of archives, which may come from anybody. Nothing is written by a member's name: blobs go to the
daemon, which computes their digests, and manifests are linked when all of them have come. Order: every blob that the
daemon lacks, then the models.
"""

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ollamapy.cli import progress
from ollamapy.cli.daemon import connect
from ollamapy.client import Client
from ollamapy.errors import InvalidInput
from ollamapy.names import Digest, ModelName
from ollamapy.settings import Settings
from ollamapy.wire import archive
from ollamapy.wire.archive import Index, Member
from ollamapy.wire.manifest import decode_manifest
from ollamapy.wire.native import Progress

_CHUNK_BYTES = 1 << 20
_STREAM_HINT = "give the archive as a file: its index comes after blobs, and a stream cannot be read twice"


def import_(settings: Settings, path: str) -> None:
    """Imports every model of the archive at `path`, or on stdin for `-`. Raises Error."""
    with _opened(path) as file, connect(settings) as client, progress.display() as shown:
        index = None
        if path != "-":
            index = find_index(file)
            file.seek(0)

        def tell(member: Member, done: int) -> None:
            assert member.digest is not None
            status = f"importing {member.digest.short}"
            shown.update(Progress(status, str(member.digest), member.size, done))

        found = take(file, client, index, tell)
        linked = [client.link(name.full, manifest).model for name, manifest in found]
    for name in linked:
        print(f"imported {name}")


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    if path == "-":
        if sys.stdin.isatty():
            raise InvalidInput("name the archive, or send it on stdin", hint="ollamapy import models.tar")
        yield sys.stdin.buffer
        return
    with Path(path).open("rb") as file:
        yield file


def find_index(file: BinaryIO) -> Index:
    """The index of an archive that can be read twice. Raises InvalidInput."""
    for member in members(file):
        if member.path == archive.INDEX:
            return archive.decode_index(read(file, member.size))
        file.seek(member.size + archive.padding(member.size), 1)
    raise InvalidInput("the archive has no index.json, so it is no OCI image layout")


@dataclass(slots=True)
class _Taken:
    """What has come out of the archive: the sizes of blobs, and the manifests that the index lists."""

    index: Index | None
    manifests: dict[Digest, bytes] = field(default_factory=dict)

    def wanted(self) -> dict[Digest, int]:
        entries = self.index.manifests if self.index else ()
        return {Digest.parse(entry.digest): entry.size for entry in entries}


def take(
    file: BinaryIO, client: Client, index: Index | None, tell: Callable[[Member, int], None]
) -> list[tuple[ModelName, bytes]]:
    """Uploads the blobs of the archive; its models, ready to be linked. Raises InvalidInput, Error."""
    taken = _Taken(index)
    for member in members(file):
        digest = member.digest
        if member.path == archive.INDEX:
            taken.index = archive.decode_index(read(file, member.size))
        elif digest is None:
            skip(file, member.size)
        elif taken.index is None:
            raise InvalidInput("the archive does not begin with its index.json", hint=_STREAM_HINT)
        elif digest in (wanted := taken.wanted()):
            taken.manifests[digest] = _manifest(file, member, wanted[digest])
        elif client.has_blob(digest):
            skip(file, member.size)
        else:
            client.put_stream(digest, _body(file, member, tell), member.size)
        skip(file, archive.padding(member.size))
    return _models(taken)


def _manifest(file: BinaryIO, member: Member, size: int) -> bytes:
    if member.size != size:
        raise InvalidInput(f"the archive's {member.path} has {member.size} bytes, its index says {size}")
    raw = read(file, size)
    if member.digest != Digest(hashlib.sha256(raw).hexdigest()):
        raise InvalidInput(f"the archive's {member.path} is not what its name says")
    decode_manifest(raw)
    return raw


def _models(taken: _Taken) -> list[tuple[ModelName, bytes]]:
    found = []
    for entry in taken.index.manifests if taken.index else ():
        raw = taken.manifests.get(Digest.parse(entry.digest))
        if raw is None:
            raise InvalidInput(f"the archive lists {entry.name}, and does not hold its manifest {entry.digest}")
        found.append((ModelName.parse(entry.name), raw))
    if not found:
        raise InvalidInput("the archive has no index.json, so it is no OCI image layout")
    return found


# Reading a tar: the file is always at a header, at the beginning of a body, or behind one


def members(file: BinaryIO) -> Iterator[Member]:
    """The members of an archive; the caller reads or passes over each body and its padding before the next.

    Raises InvalidInput for what is no archive of models, or ends too early.
    """
    while member := archive.parse_header(read(file, archive.BLOCK_BYTES)):
        if not member.is_ignored:
            yield member
        else:
            skip(file, member.size + archive.padding(member.size))


def read(file: BinaryIO, size: int) -> bytes:
    """Exactly `size` bytes. Raises InvalidInput."""
    data = file.read(size)
    if len(data) != size:
        raise InvalidInput("the archive ends too early: it was cut, or is not complete yet")
    return data


def skip(file: BinaryIO, size: int) -> None:
    """Passes over `size` bytes, which must be there."""
    while size:
        size -= len(read(file, min(size, _CHUNK_BYTES)))


def _body(file: BinaryIO, member: Member, tell: Callable[[Member, int], None]) -> Iterator[bytes]:
    done = 0
    while done < member.size:
        chunk = read(file, min(_CHUNK_BYTES, member.size - done))
        done += len(chunk)
        tell(member, done)
        yield chunk
