"""How models were listed before, so that a list reads only what is new. Never touches the disk.

An entry is true while the file of its manifest is the same and all blobs of the manifest are there, because a blob
never changes.
"""

from dataclasses import dataclass, field

from ollamapy.names import ModelName
from ollamapy.store.manifests import StoredManifest
from ollamapy.store.stamps import MTIME_NS, Stamp
from ollamapy.wire.native import ListedModel

SETTLED_NS = 2 * 10**9
"""A file that changed a moment ago may change again within one tick of the disk's clock: it is read each time."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the disk has at one moment; `now_ns` is the Unix time."""

    manifests: dict[ModelName, Stamp]
    blobs: frozenset[str]
    now_ns: int


@dataclass(frozen=True, slots=True)
class _Entry:
    stamp: Stamp
    blobs: frozenset[str]
    listed: ListedModel


@dataclass(slots=True)
class Listings:
    """The models that were listed last."""

    _entries: dict[ModelName, _Entry] = field(default_factory=dict)

    def known(self, seen: Seen) -> dict[ModelName, ListedModel]:
        """Those that are still what they were; the others are forgotten."""
        self._entries = {
            name: entry
            for name, entry in self._entries.items()
            if seen.manifests.get(name) == entry.stamp and entry.blobs <= seen.blobs
        }
        return {name: entry.listed for name, entry in self._entries.items()}

    def put(self, manifest: StoredManifest, listed: ListedModel, seen: Seen) -> None:
        """Keeps how a model that is whole is listed, if its manifest has been left alone for a while."""
        stamp = seen.manifests[manifest.name]
        if seen.now_ns - stamp[MTIME_NS] > SETTLED_NS:
            blobs = frozenset(digest.filename for digest in manifest.blobs)
            self._entries[manifest.name] = _Entry(stamp, blobs, listed)
