"""A blob whose parts came from several places and whose digest is wrong: who lied, and the right bytes from others.

The digest tells only at the end that some byte is wrong. So the bytes of one sender after the other are fetched again
from the rest, the least first, and the blob is hashed after each; what an earlier run left counts as a sender that
nobody knows. When that does not help, because several lie, every source that is left sends the whole blob alone.

What is replaced leaves its hash behind: once the blob is right, whoever sent something else is known, and dropped.
"""

import logging
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, field

from ollamapy.errors import InvalidDigest, RemoteError
from ollamapy.names import Digest
from ollamapy.remotes.oci.crew import Crew, NoRanges
from ollamapy.remotes.oci.hashing import PartialFile
from ollamapy.remotes.oci.origins import Origins, Span
from ollamapy.remotes.oci.parts import Part
from ollamapy.remotes.oci.source import Source
from ollamapy.remotes.threads import in_thread

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Sent:
    """What a source had sent for a span, by its hash."""

    source: Source
    span: Span
    digest: Digest


@dataclass(slots=True)
class Mending:
    """A whole `file` with wrong bytes in it. It is a target that keeps no account: who is killed here begins anew."""

    crew: Crew
    origins: Origins
    file: PartialFile
    digest: Digest
    _sent: list[_Sent] = field(default_factory=list)

    async def run(self, found: Digest) -> Digest:
        """The digest after all that can be done, the right one if one source tells the truth. Raises StoreError."""
        log.warning("wrong bytes, parts are fetched again from others digest=%s", self.digest.short)
        suspects: list[Hashable] = [*self.origins.senders(), None]
        for suspect in suspects:
            others = [source for source in self.crew.sources if source is not suspect and not source.is_dropped]
            found = await self._replace(self.origins.of(suspect), others, found)
        for source in sorted(self.crew.sources, key=lambda source: -source.rank):
            if not source.is_dropped and not self.origins.is_all(source):
                found = await self._replace([(0, source.size)], [source], found)
        if found == self.digest:
            await self._judge()
        return found

    async def _replace(self, spans: Sequence[Span], others: Collection[Source], found: Digest) -> Digest:
        """The digest with other bytes in `spans`; `found` as it is when that is right, or nothing can be done."""
        if found == self.digest or not spans or not others:
            return found
        await self._remember(spans)
        parts = [Part(n, start, end - start) for n, (start, end) in enumerate(spans)]
        try:
            await self.crew.fetch(parts, self, others)
        except (RemoteError, NoRanges) as error:
            log.info("bytes could not be had elsewhere digest=%s reason=%r", self.digest.short, str(error))
        self.file.restart()
        return await in_thread(lambda stop: self.file.finish(stop.check))

    async def _remember(self, spans: Sequence[Span]) -> None:
        for start, end in spans:
            for sender in self.origins.senders():
                for begin, until in self.origins.of(sender):
                    span = max(begin, start), min(until, end)
                    if span[0] < span[1] and isinstance(sender, Source):
                        self._sent.append(_Sent(sender, span, await self._digest_of(span)))

    async def _judge(self) -> None:
        for sent in self._sent:
            if sent.digest != await self._digest_of(sent.span):
                sent.source.drop(InvalidDigest("it sent other bytes than the digest says"))

    async def _digest_of(self, span: Span) -> Digest:
        return await in_thread(lambda stop: self.file.digest_of(*span))

    async def take(self, part: Part, pieces: list[bytes], source: Source) -> None:
        start = part.offset + part.completed
        await in_thread(lambda stop: self.file.write(start, pieces))
        part.completed += sum(map(len, pieces))
        self.origins.note(start, part.offset + part.completed, source)

    def restart(self) -> None:
        """Nothing is counted here."""
