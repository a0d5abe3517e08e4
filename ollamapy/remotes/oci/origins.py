"""Who sent which bytes of a blob: numbers only. What nobody here sent is from an earlier run."""

from collections.abc import Hashable, Iterable

Span = tuple[int, int]
"""First byte and end."""


class Origins:
    """The senders of the bytes of a blob of `size`."""

    __slots__ = ("_size", "_spans")

    def __init__(self, size: int) -> None:
        self._size = size
        self._spans: list[tuple[int, int, Hashable]] = []

    def note(self, start: int, end: int, sender: Hashable) -> None:
        """These bytes are `sender`'s now, whoever's they were."""
        left = []
        for begin, stop, who in self._spans:
            if stop <= start or begin >= end:
                left.append((begin, stop, who))
                continue
            if begin < start:
                left.append((begin, start, who))
            if stop > end:
                left.append((end, stop, who))
        for n, (begin, stop, who) in enumerate(left):
            if stop == start and who == sender:  # most bytes come in order
                left[n] = (begin, end, who)
                break
        else:
            left.append((start, end, sender))
        self._spans = left

    def of(self, sender: Hashable | None) -> list[Span]:
        """What `sender` sent, in order; what nobody here sent for None."""
        if sender is not None:
            return sorted((start, end) for start, end, who in self._spans if who == sender)
        gaps, at = [], 0
        for start, end, _ in sorted(self._spans, key=lambda span: span[:2]):
            if start > at:
                gaps.append((at, start))
            at = end
        return gaps + ([(at, self._size)] if at < self._size else [])

    def senders(self) -> list[Hashable]:
        """Everybody who sent some of it, those who sent the least first."""
        sums: dict[Hashable, int] = {}
        for start, end, who in self._spans:
            sums[who] = sums.get(who, 0) + end - start
        return sorted(sums, key=lambda who: sums[who])

    def is_all(self, sender: Hashable) -> bool:
        """True when `sender` sent every byte."""
        return _total(self.of(sender)) == self._size


def _total(spans: Iterable[Span]) -> int:
    return sum(end - start for start, end in spans)
