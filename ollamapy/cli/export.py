"""`ollamapy export`: models of the daemon in one tar file.

Any OCI tool can read it, and `ollamapy import` takes it back. What a broken run wrote is kept as far as it is right,
found by comparing and hashing; the rest is fetched.
"""

import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ollamapy import units
from ollamapy.cli import progress
from ollamapy.cli.daemon import connect
from ollamapy.errors import Error, InvalidInput
from ollamapy.names import Digest, ModelName
from ollamapy.settings import Settings
from ollamapy.wire import archive
from ollamapy.wire.manifest import decode_manifest
from ollamapy.wire.native import Progress

_CHUNK_BYTES = 1 << 20

Fetch = Callable[["Part", int], Iterator[bytes]]
"""The bytes of a blob from a position on."""


@dataclass(frozen=True, slots=True)
class Part:
    """A file of the archive: its bytes, or for a blob of `model` its digest and size."""

    path: str
    size: int
    content: bytes = b""
    digest: Digest | None = None
    model: ModelName | None = None


def export(settings: Settings, models: Sequence[str], output: str) -> None:
    """Writes the models into the file `output`, or to stdout for `-`. Raises Error."""
    if output == "-" and sys.stdout.isatty():
        raise InvalidInput("an archive is nothing for a terminal", hint="send it into a pipe, or name a file with -o")
    names = [ModelName.parse_local(model) for model in models]
    with connect(settings) as client, progress.display() as shown:
        parts = plan([(name, client.manifest(name)) for name in names])

        def fetch(part: Part, start: int) -> Iterator[bytes]:
            assert part.model
            assert part.digest
            return client.read_blob(part.model, part.digest, start)

        def tell(part: Part, done: int) -> None:
            assert part.digest is not None
            shown.update(Progress(f"exporting {part.digest.short}", str(part.digest), part.size, done))

        if output == "-":
            write(sys.stdout.buffer, parts, fetch, tell, is_new=True)
            return
        _write_file(Path(output), parts, fetch, tell)
    total = sum(part.size for part in parts)
    print(f"exported {', '.join(name.short for name in names)} to {output}, {units.format_bytes(total)}")


def _write_file(target: Path, parts: list[Part], fetch: Fetch, tell: Callable[[Part, int], None]) -> None:
    """The file appears under its name when it is whole; until then it has `.partial` at its end."""
    partial = target.with_name(target.name + ".partial")
    with open(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), "r+b") as file:
        write(file, parts, fetch, tell)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
    partial.replace(target)


def plan(models: Sequence[tuple[ModelName, bytes]]) -> list[Part]:
    """The files of an archive of these models, given their manifests, in order. Every blob is there once."""
    blobs: dict[Digest, Part] = {}
    index: dict[str, archive.Descriptor] = {}
    for name, raw in models:
        manifest, digest = decode_manifest(raw), Digest(hashlib.sha256(raw).hexdigest())
        index[name.key] = archive.descriptor(name.full, manifest.media_type, digest, len(raw))
        blobs[digest] = Part(archive.blob_path(digest), len(raw), raw)
        for layer in manifest.blobs:
            blob = Digest.parse(layer.digest)
            blobs.setdefault(blob, Part(archive.blob_path(blob), layer.size, digest=blob, model=name))
    head = archive.encode_index(tuple(index[key] for key in sorted(index)))
    texts = [(archive.LAYOUT, archive.LAYOUT_TEXT), (archive.INDEX, head)]
    return [*(Part(path, len(text), text) for path, text in texts), *(blobs[digest] for digest in sorted(blobs))]


def write(
    file: BinaryIO, parts: Sequence[Part], fetch: Fetch, tell: Callable[[Part, int], None], *, is_new: bool = False
) -> None:
    """Makes `file` the archive of `parts`; what it holds already is kept as far as it is right.

    Raises Error when a blob is not what its digest says, OSError.
    """
    out = _Output(file, is_new)
    for part in parts:
        out.put(archive.header(part.path, part.size))
        if part.digest is None:
            out.put(part.content)
        else:
            _write_blob(out, part, part.digest, fetch, tell)
        out.put(bytes(archive.padding(part.size)))
    out.put(archive.END)


def _write_blob(out: "_Output", part: Part, digest: Digest, fetch: Fetch, tell: Callable[[Part, int], None]) -> None:
    """Goes on behind what is there; when that turns out wrong, begins the blob again."""
    kept, found = out.keep(part.size)
    done = kept
    if done < part.size:
        for chunk in fetch(part, done):
            out.put(chunk)
            found.update(chunk)
            done += len(chunk)
            tell(part, done)
    if (done, found.hexdigest()) == (part.size, digest.hex):
        return
    if not kept:
        hint = "ollamapy fsck --deep --repair mends it"
        raise Error(f"the blob {digest} of {part.model} is damaged in the daemon's store", hint=hint)
    out.take_back(done)
    _write_blob(out, part, digest, fetch, tell)


class _Output:
    """A file that is compared while it agrees with what is put into it, and written from the first difference on."""

    def __init__(self, file: BinaryIO, is_new: bool) -> None:
        self._file = file
        self._is_writing = is_new

    def put(self, data: bytes) -> None:
        """Makes `data` what comes next."""
        if not self._is_writing:
            start = self._file.tell()
            if self._file.read(len(data)) == data:
                return
            self._cut(start)
        self._file.write(data)

    def keep(self, size: int) -> "tuple[int, hashlib._Hash]":
        """Passes over up to `size` bytes that are there; how many, and their hash so far."""
        found, kept = hashlib.sha256(), 0
        while not self._is_writing and kept < size:
            chunk = self._file.read(min(_CHUNK_BYTES, size - kept))
            found.update(chunk)
            kept += len(chunk)
            self._is_writing = not chunk
        return kept, found

    def take_back(self, size: int) -> None:
        """Removes the last `size` bytes, and whatever comes behind them."""
        self._cut(self._file.tell() - size)

    def _cut(self, position: int) -> None:
        self._file.seek(position)
        self._file.truncate()
        self._is_writing = True
