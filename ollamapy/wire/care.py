"""Requests and answers of the routes that look after the store. Shapes only."""

from typing import Literal

import msgspec

FaultKind = Literal["manifest", "missing", "size", "content", "unreadable", "orphan", "leftover", "stray"]


class FsckRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """`deep` reads every blob; `repair` mends what can be mended."""

    deep: bool = False
    repair: bool = False


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something wrong in the store: where, which models it touches, and what was done about it.

    `manifest`: cannot be read. `missing`, `size`, `content`: a blob that is not there, is cut, holds something else.
    `unreadable`: the system does not let us read it. `orphan`: a blob of no model. `leftover`: an unfinished file that
    nobody works on. `stray`: a file that does not belong into the store.
    """

    kind: FaultKind
    path: str
    text: str
    models: tuple[str, ...] = ()
    size_bytes: int = 0
    repair: str = ""
    """What mended it, or why it could not be mended; empty when nothing was tried."""
    is_repaired: bool = False


class FsckLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of the check: progress, a fault, or at the end `status` "success" with the counts."""

    status: str
    total: int = 0
    completed: int = 0
    fault: Fault | None = None
    num_models: int = 0
    num_blobs: int = 0
    num_faults: int = 0
    num_repaired: int = 0


class FsckReport(msgspec.Struct, frozen=True):
    """What a whole check found."""

    num_models: int
    num_blobs: int
    num_repaired: int
    faults: tuple[Fault, ...]


class Usage(msgspec.Struct, frozen=True):
    """Bytes of a model: all of them, and those that no other model shares."""

    model: str
    size_bytes: int
    unique_bytes: int


class DiskUsage(msgspec.Struct, frozen=True):
    """What the store takes. `unused_bytes` belong to no model; `free_bytes` are left on its disk."""

    root: str
    models: tuple[Usage, ...]
    total_bytes: int
    shared_bytes: int
    unused_bytes: int
    free_bytes: int


class Removed(msgspec.Struct, frozen=True):
    """What a clean-up removed."""

    files: tuple[str, ...]
    size_bytes: int


class ResolveRequest(msgspec.Struct, frozen=True):
    model: str = ""
    name: str = ""


class Resolved(msgspec.Struct, frozen=True):
    """Where the files of a model lie, for other programs."""

    model: str
    manifest: str
    weights: str
    adapters: tuple[str, ...]
    projectors: tuple[str, ...]
    shards: tuple[str, ...] = ()
    """All files of the weights in order, when they are several."""
    draft: str = ""
    """The file of the draft model; "" is none."""


class LinkRequest(msgspec.Struct, frozen=True):
    """`manifest` is the text of the manifest, which is stored byte for byte."""

    model: str
    manifest: str


class Linked(msgspec.Struct, frozen=True):
    """The name under which a model was linked, in the store's spelling."""

    model: str
