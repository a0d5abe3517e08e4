"""One blob into the store, from one source or several: parts in parallel, resumed, tried again, hashed while it comes.

Owns the partial files of the blob while it runs. Nothing counts as a blob before its digest was found right.

1. parts that were begun: go on with them; else the size from a HEAD, and a plan
2. room for what is missing, before the first byte
3. the direct URL of each source: where the registry redirects to on another host, or its own
4. every part on its own connection, at most NUM_PARTS at once; from a server without ranges all of it in one
5. all bytes hashed, in order, from memory while they come in order and from the file where they did not
6. a wrong digest of what several sent: their bytes are replaced until it is right
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ollamapy.errors import InvalidDigest
from ollamapy.names import Digest
from ollamapy.remotes.base import BlobSink, Report
from ollamapy.remotes.oci import parts as plans
from ollamapy.remotes.oci.crew import Crew, NoRanges
from ollamapy.remotes.oci.hashing import PartialFile
from ollamapy.remotes.oci.mend import Mending
from ollamapy.remotes.oci.origins import Origins
from ollamapy.remotes.oci.parts import Part
from ollamapy.remotes.oci.source import Source
from ollamapy.remotes.oci.tries import Sleep
from ollamapy.remotes.pour import require_room
from ollamapy.remotes.threads import in_thread
from ollamapy.wire.native import Progress

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Download:
    """The blob `digest` of `size` bytes on its way. `min_part_bytes` is what a part has at least."""

    sources: Sequence[Source]
    digest: Digest
    size: int
    blobs: BlobSink
    report: Report
    sleep: Sleep = asyncio.sleep
    min_part_bytes: int = plans.MIN_PART_BYTES
    parts: list[Part] = field(default_factory=list)

    async def run(self) -> Digest:
        """Brings the blob into the store. Raises RemoteError, StoreError, InvalidDigest; what came so far stays."""
        crew = Crew(self.sources, self.sleep)
        partial = await in_thread(lambda stop: self.blobs.partial_path(self.digest.filename))
        self.parts = await in_thread(lambda stop: self._begun(partial))
        if not self.parts:
            await crew.ready(Source.check_size)
            self.parts = plans.plan(self.size, self.min_part_bytes)
            await in_thread(lambda stop: plans.begin(partial, self.parts))
        missing = self.size - plans.completed(self.parts)
        await in_thread(lambda stop: require_room(self.blobs, missing))
        file = await in_thread(lambda stop: PartialFile(partial, self.size))
        try:
            found = await self._fetch(crew, file, partial)
        finally:
            await in_thread(lambda stop: file.close())
        return await in_thread(lambda stop: self._commit(partial, found))

    def _begun(self, partial: Path) -> list[Part]:
        """The parts that are here already; none when they are of a blob of another size."""
        parts = plans.load(partial)
        if plans.total(parts) == self.size:
            return parts
        plans.discard(partial, data=True)
        return []

    async def _fetch(self, crew: Crew, file: PartialFile, partial: Path) -> Digest:
        """The digest of what all parts are in the end."""
        arrivals = _Arrivals(self, file, partial, Origins(self.size))
        arrivals.tell()
        try:
            await crew.fetch(self.parts, arrivals)
        except NoRanges:
            log.info("no ranges, fetching in one part digest=%s", self.digest.short)
            self.parts = plans.whole(self.size)
            await in_thread(lambda stop: plans.begin(partial, self.parts))
            file.restart()
            await crew.fetch(self.parts, arrivals)
        found = await in_thread(lambda stop: file.finish(stop.check))
        if found == self.digest:
            return found
        return await Mending(crew, arrivals.origins, file, self.digest).run(found)

    def _commit(self, partial: Path, found: Digest) -> Digest:
        if found != self.digest:
            plans.discard(partial, data=True)
            raise InvalidDigest(f"digest mismatch, file must be downloaded again: want {self.digest}, got {found}")
        self.blobs.promote(partial, found)
        plans.discard(partial, data=False)
        return found


@dataclass(slots=True)
class _Arrivals:
    """What comes goes to the disk, and it is written down how far each part is and who sent it."""

    download: Download
    file: PartialFile
    partial: Path
    origins: Origins

    async def take(self, part: Part, pieces: list[bytes], source: Source) -> None:
        start = part.offset + part.completed
        try:
            await in_thread(lambda stop: self._write(part, pieces))
        finally:  # who is cancelled here has written all the same
            if part.offset + part.completed > start:
                self.origins.note(start, part.offset + part.completed, source)
        self.tell()

    def _write(self, part: Part, pieces: list[bytes]) -> None:
        self.file.write(part.offset + part.completed, pieces)
        part.completed += sum(map(len, pieces))
        plans.save(self.partial, part)
        self.file.catch_up(plans.frontier(self.download.parts))

    def restart(self) -> None:
        self.file.restart()

    def tell(self) -> None:
        """Reports how much is here."""
        digest, size = self.download.digest, self.download.size
        done = plans.completed(self.download.parts)
        self.download.report(Progress(f"pulling {digest.short}", digest=str(digest), total=size, completed=done))
