"""GGUF files out of the tar archive that an image's layer is. Only files with the right first bytes are looked at, and
nothing is written but blobs, so names and links in the archive lead nowhere.
"""

import gzip
import lzma
import tarfile
import zlib
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from ollamapy.errors import RemoteError
from ollamapy.names import Digest
from ollamapy.remotes.base import BlobSink
from ollamapy.remotes.pour import pour
from ollamapy.remotes.threads import Stop

_MAGIC = b"GGUF"
_MAX_MEMBERS = 100_000
_MAX_HEADER_BYTES = 1 << 20
_LONG_HEADERS = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, b"X")


class _Member(tarfile.TarInfo):
    """Refuses headers that would be read into memory whole, and are larger than any honest one."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _LONG_HEADERS and self.size > _MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        found: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
        return found


@dataclass(slots=True)
class _Whole:
    """A stream whose first bytes have been read already."""

    head: bytes
    rest: IO[bytes]

    def read(self, count: int, /) -> bytes:
        head, self.head = self.head[:count], self.head[count:]
        return head or self.rest.read(count)


def unpack(path: Path, blobs: BlobSink, stop: Stop) -> list[tuple[str, Digest]]:
    """The names and digests of the GGUF files in the archive at `path`, which are blobs now. Blocks.

    Raises RemoteError for what is no such archive, StoreError when there is no room, Cancelled.
    """
    found = []
    try:
        with tarfile.open(path, "r|*", tarinfo=_Member) as archive:
            for number, member in enumerate(archive):
                stop.check()
                if number >= _MAX_MEMBERS:
                    raise RemoteError(f"the archive has more than {_MAX_MEMBERS} files")
                stream = archive.extractfile(member) if member.isreg() else None
                if stream is not None:
                    found += _taken(member, stream, blobs, stop)
    except (tarfile.TarError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError, UnicodeError) as error:
        raise RemoteError(f"the layer {path.name} is no archive that can be read: {error}") from error
    return found


def _taken(member: tarfile.TarInfo, stream: IO[bytes], blobs: BlobSink, stop: Stop) -> list[tuple[str, Digest]]:
    with closing(stream):
        head = stream.read(len(_MAGIC))
        if head != _MAGIC:
            return []
        digest = pour(_Whole(head, stream), member.size, None, blobs, lambda done: None, stop)
    return [(PurePosixPath(member.name).name, digest)]
