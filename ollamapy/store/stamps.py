"""Which blobs have been read and found to hold what their name says, so that each is verified once, not at each load.

Owns one file beside the blobs. A stamp is the size, the time of change and the inode of the file that was verified;
a file that differs in any of them is verified again. Losing the stamps costs time and nothing else.
"""

import contextlib
import logging
import os
import threading
from pathlib import Path

import msgspec

from ollamapy.names import Digest
from ollamapy.store.files import StagedFile
from ollamapy.store.layout import Layout

_MAX_BYTES = 16 << 20

Stamp = tuple[int, int, int]
MTIME_NS = 1
"""Where a stamp has the time of change."""

log = logging.getLogger(__name__)


class Stamps:
    """The stamps of one model directory. Blocks; safe from any thread."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._lock = threading.Lock()
        self._stamps: dict[str, Stamp] | None = None

    def holds(self, digest: Digest) -> bool:
        """True when the blob is the file that was verified, unchanged."""
        found = _stamp(self._layout.blob(digest))
        with self._lock:
            return found is not None and self._read().get(digest.hex) == found

    def put(self, digest: Digest) -> None:
        """The blob as it is now has been verified."""
        found = _stamp(self._layout.blob(digest))
        with self._lock:
            stamps = self._read()
            if found is None or stamps.get(digest.hex) == found:
                return
            stamps[digest.hex] = found
            self._write({hex_: kept for hex_, kept in stamps.items() if self._layout.blob(Digest(hex_)).exists()})

    def drop(self, digest: Digest) -> None:
        """The blob must be verified before it is used again."""
        with self._lock:
            if self._read().pop(digest.hex, None):
                self._write(self._read())

    def _read(self) -> dict[str, Stamp]:
        if self._stamps is None:
            self._stamps = {}
            with contextlib.suppress(OSError, msgspec.DecodeError), self._layout.stamps.open("rb") as file:
                self._stamps = msgspec.json.decode(file.read(_MAX_BYTES), type=dict[str, Stamp])
        return self._stamps

    def _write(self, stamps: dict[str, Stamp]) -> None:
        self._stamps = stamps
        try:
            with StagedFile(self._layout.temporary(self._layout.root)) as file:
                file.write(msgspec.json.encode(stamps))
                file.publish(self._layout.stamps)
        except OSError as error:  # a read-only store is verified once per daemon instead
            log.warning("stamps not written path=%s reason=%s", self._layout.stamps, error.strerror)


def stamp_of(found: os.stat_result) -> Stamp:
    """The stamp of a file that the disk says this of."""
    return found.st_size, found.st_mtime_ns, found.st_ino


def _stamp(path: Path) -> Stamp | None:
    try:
        return stamp_of(path.stat())
    except OSError:
        return None
