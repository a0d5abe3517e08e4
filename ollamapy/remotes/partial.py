"""A file on its way here, kept across interruptions.

    <path>        the bytes so far, always a prefix of one version of the remote file
    <path>.json   the mark: which version that is

Owns both files. The mark is written before the first byte of its version, so bytes of two versions never mix.
Everything here blocks: call it in a thread.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ollamapy.remotes.disk import disk_faults


class Mark(msgspec.Struct, frozen=True):
    """A version of a remote file: its size in bytes, and its `validator`, a strong ETag or a date.

    `digest` is what the server promises of its content, if anything.
    """

    url: str
    size: int | None = None
    validator: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Partial:
    """The two files of one transfer."""

    path: Path

    def load(self) -> tuple[Mark, int] | None:
        """The version that is being fetched and the bytes of it that are here; None to begin anew."""
        try:
            mark = msgspec.json.decode(self._sidecar.read_bytes(), type=Mark)
            offset = self.path.stat().st_size
        except (OSError, msgspec.DecodeError):
            return None
        return (mark, offset) if mark.size is not None and offset <= mark.size else None

    def restart(self, mark: Mark) -> None:
        """Empties the file and begins the version `mark`."""
        with disk_faults(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(b"")
            fresh = self._sidecar.with_suffix(".new")
            fresh.write_bytes(msgspec.json.encode(mark))
            fresh.replace(self._sidecar)

    def append(self, chunk: bytes) -> None:
        """Adds bytes, and touches the mark: both files must grow old together for the store's pruning."""
        with disk_faults(self.path), open(self.path, "ab", buffering=0) as file:
            view = memoryview(chunk)
            while view:
                view = view[file.write(view) :]
            os.utime(self._sidecar)

    def discard(self) -> None:
        """Removes what is there of the two files."""
        with disk_faults(self.path):
            self.path.unlink(missing_ok=True)
            self._sidecar.unlink(missing_ok=True)

    @property
    def _sidecar(self) -> Path:
        return self.path.with_name(self.path.name + ".json")
