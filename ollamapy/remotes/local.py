"""A model file of this machine that a catalogue names.

Owns the copy into the store. Never links to the file: its owner may change it later.
"""

import os
import stat
from dataclasses import dataclass
from typing import BinaryIO

from ollamapy.errors import RemoteError
from ollamapy.names import Digest
from ollamapy.remotes.base import BlobSink, Entry, Report, already_there, pulling
from ollamapy.remotes.pour import pour
from ollamapy.remotes.threads import Stop, in_thread


@dataclass(frozen=True, slots=True)
class LocalRemote:
    """The file at `entry.source.location`, an absolute path."""

    entry: Entry

    async def fetch(self, blobs: BlobSink, report: Report) -> Digest:
        """Copies the file into `blobs`."""
        return await in_thread(lambda stop: self._copy(blobs, report, stop))

    def _copy(self, blobs: BlobSink, report: Report, stop: Stop) -> Digest:
        source = self.entry.source
        if digest := already_there(source, blobs, report):
            return digest
        with _opened(source.location) as file:
            size = source.size or os.fstat(file.fileno()).st_size
            report(pulling(source, 0, size))
            return pour(file, size, source.digest, blobs, lambda done: report(pulling(source, done, size)), stop)


def _opened(path: str) -> BinaryIO:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise RemoteError(f"cannot read {path}: not a file")
        return open(path, "rb")
    except OSError as error:
        raise RemoteError(f"cannot read {path}: {error.strerror}") from error
