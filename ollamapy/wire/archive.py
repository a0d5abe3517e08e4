"""Models in one file: an OCI image layout inside a tar archive. Shapes and headers only; never a disk or a network.

    oci-layout, index.json, then blobs/sha256/<hex> sorted by digest

Ours is plain ustar without times and owners, so that the same models are the same bytes. What we read is somebody
else's: headers are parsed, sizes are bounded, and a member that is no regular file under one of these names is refused.
"""

import re
import tarfile
from dataclasses import dataclass

import msgspec

from ollamapy.errors import InvalidDigest, InvalidInput
from ollamapy.names import Digest, ModelName

BLOCK_BYTES = 512
END = bytes(2 * BLOCK_BYTES)
LAYOUT, INDEX = "oci-layout", "index.json"
LAYOUT_TEXT = b'{"imageLayoutVersion":"1.0.0"}'
MAX_JSON_BYTES = 4 << 20
"""The largest index or manifest that is read into memory."""
MAX_MODELS = 1000
_MAX_BLOB_BYTES = 1 << 50
_INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
_NAME_KEY = "org.opencontainers.image.ref.name"
_BLOB = re.compile(r"blobs/sha256/([0-9a-f]{64})\Z")
_IGNORED = {"manifest.json", "repositories", ""}
"""Members that other programs add to the layout for older readers."""


class Descriptor(msgspec.Struct, frozen=True, rename={"media_type": "mediaType"}):
    """A manifest of the archive: where it is, and under `name` what the model is called."""

    media_type: str
    digest: str
    size: int
    annotations: dict[str, str] = {}

    @property
    def name(self) -> str:
        return self.annotations.get(_NAME_KEY, "")


class Index(msgspec.Struct, frozen=True, rename={"schema_version": "schemaVersion", "media_type": "mediaType"}):
    """The models of an archive."""

    schema_version: int = 2
    media_type: str = _INDEX_TYPE
    manifests: tuple[Descriptor, ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an archive."""

    path: str
    size: int

    @property
    def digest(self) -> Digest | None:
        """The digest of a blob; None for the other files."""
        match = _BLOB.match(self.path)
        return Digest(match[1]) if match else None

    @property
    def is_ignored(self) -> bool:
        return self.path in _IGNORED


def blob_path(digest: Digest) -> str:
    """Where a blob lies in an archive."""
    return f"blobs/sha256/{digest.hex}"


def descriptor(name: str, media_type: str, digest: Digest, size: int) -> Descriptor:
    """The index's line for a model."""
    return Descriptor(media_type, str(digest), size, {_NAME_KEY: name})


def header(path: str, size: int) -> bytes:
    """The block in front of a file."""
    info = tarfile.TarInfo(path)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.GNU_FORMAT, "ascii", "strict")


def padding(size: int) -> int:
    """Zero bytes after a file of this size."""
    return -size % BLOCK_BYTES


def parse_header(block: bytes) -> Member | None:
    """The file that a block announces; None at the end of the archive, `is_ignored` for a folder.

    Raises InvalidInput for what no archive of models holds: links, devices, other names, absurd sizes.
    """
    if not any(block):
        return None
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise InvalidInput(f"this is not a tar archive, or it is damaged: {error}") from error
    path = info.name.removeprefix("./").rstrip("/")
    if info.isdir() and path in ("", ".", "blobs", "blobs/sha256"):
        return Member("", 0)
    if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        raise InvalidInput(f"the archive holds {info.name!r}, which is no regular file (type {info.type!r})")
    member = Member(path, info.size)
    if not (member.digest or path in (LAYOUT, INDEX) or path in _IGNORED):
        raise InvalidInput(f"the archive holds {info.name!r}, which does not belong into an OCI image layout")
    if not 0 <= info.size <= (_MAX_BLOB_BYTES if member.digest else MAX_JSON_BYTES):
        raise InvalidInput(f"the archive's {info.name!r} claims {info.size} bytes")
    return member


def encode_index(manifests: tuple[Descriptor, ...]) -> bytes:
    return msgspec.json.encode(Index(manifests=manifests))


def decode_index(data: bytes) -> Index:
    """The index in `data`, every name there and every digest good. Raises InvalidInput, InvalidName."""
    try:
        index = msgspec.json.decode(data, type=Index)
        for entry in index.manifests:
            Digest.parse(entry.digest)
    except (msgspec.DecodeError, RecursionError, InvalidDigest) as error:
        raise InvalidInput(f"the archive's index.json cannot be read: {error}") from error
    if not index.manifests or len(index.manifests) > MAX_MODELS:
        raise InvalidInput(f"the archive lists {len(index.manifests)} models; 1 to {MAX_MODELS} can be imported")
    for entry in index.manifests:
        if not 0 < entry.size <= MAX_JSON_BYTES:
            raise InvalidInput(f"the archive's manifest {entry.digest} claims {entry.size} bytes")
        if not entry.name:
            raise InvalidInput(f"the archive does not name its model {entry.digest} ({_NAME_KEY})")
        ModelName.parse(entry.name)
    return index
