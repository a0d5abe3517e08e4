"""The books of prefixes for engines that cannot cut a sequence back: recurrent states, sliding windows.

Takes the place of `PrefixTree` there, with the same methods. A prefix is shared whole or not at all: with a sequence
that goes on where a holder ends. Cells that two slots share are counted twice, which errs on the safe side.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ollamapy.runner.prefix import Copy, Move, Remove, Restore, Spill


@dataclass(slots=True)
class _Entry:
    scope: str
    tokens: list[int]


class WholePrefixes:
    """All prefixes of a pool. A slot is running, a holder or free, as in `PrefixTree`."""

    def __init__(self, num_slots: int) -> None:
        self.num_slots = num_slots
        self.num_cells = 0
        self._entries: dict[int, _Entry] = {}
        self._holders: dict[int, None] = {}  # in the order in which they became holders
        self._free = list(range(num_slots - 1, -1, -1))
        self._moves: list[Move] = []

    def take_moves(self) -> list[Move]:
        """What is to be done before the next step, in this order."""
        moves, self._moves = self._moves, []
        return moves

    # Questions

    def match(self, scope: str, tokens: Sequence[int], end: int) -> int:
        """How many of the first `end` tokens a holder ends with."""
        found = self._find(scope, tokens, end)
        return 0 if found is None else self.length(found)

    def num_pinned(self, scope: str, tokens: Sequence[int], end: int) -> int:
        """None: what is shared is counted twice."""
        return 0

    def length(self, slot: int) -> int:
        """Tokens of the slot that are in the books."""
        return len(self._entries[slot].tokens)

    def tokens(self, slot: int) -> list[int]:
        """The tokens of a slot."""
        return self._entries[slot].tokens

    def running(self) -> Iterator[int]:
        """The slots in which sequences compute."""
        return (slot for slot in self._entries if slot not in self._holders)

    @property
    def num_evictable(self) -> int:
        """Cells that no running sequence holds."""
        return sum(map(self.length, self._holders))

    def holders(self) -> Iterator[tuple[int, str, list[int]]]:
        """Slot, scope and tokens of everything that is only kept, the latest first."""
        return ((slot, self._entries[slot].scope, self.tokens(slot)) for slot in reversed(self._holders))

    # Changes

    def open(self, scope: str, tokens: Sequence[int], end: int) -> int:
        """A slot for a sequence that begins with `tokens`: it goes on where the longest holder among them ends."""
        source = self._find(scope, tokens, end)
        slot = self._take_slot(source)
        entry = _Entry(scope, [])
        self._entries[slot] = entry
        if source in self._holders:  # it is still there
            self._share(source, slot)
            self._set(entry, self._entries[source].tokens)
        return slot

    def extend(self, slot: int, tokens: Sequence[int], end: int) -> None:
        """Adds what a running slot has computed: `tokens[:end]` is all that it holds."""
        self._set(self._entries[slot], tokens[:end])

    def restore(self, slot: int, tokens: Sequence[int], end: int) -> None:
        """As `extend`, for a state that comes from the tiers below."""
        self._moves.append(Restore(self._entries[slot].scope, slot, list(tokens[:end]), self.length(slot)))
        self.extend(slot, tokens, end)

    def checkpoint(self, slot: int) -> None:
        """Keeps the state of a running slot as it is now, if there is a slot for it."""
        if not (self._free or self._holders):
            return
        kept, entry = self._take_slot(None), self._entries[slot]
        held = self._entries[kept] = _Entry(entry.scope, [])
        self._share(slot, kept)
        self._set(held, entry.tokens)
        self._keep(kept)

    def cut(self, slot: int, start: int) -> bool:
        """Takes a running slot out of the books: nothing can be cut out of it, so it loses all that it holds."""
        self._set(self._entries[slot], [])
        self._moves.append(Remove(slot))
        return False

    def close(self, slot: int, *, keep: bool = True) -> None:
        """The sequence in `slot` has ended: its state is kept while there is room, or goes at once."""
        if keep and self._entries[slot].tokens:
            self._keep(slot)
        else:
            self._release(slot)

    def evict(self, count: int) -> int:
        """Frees `count` cells or more, whole holders at a time; answers how many."""
        before = self.num_cells
        while self._holders and before - self.num_cells < count:
            self._evict_holder(next(iter(self._holders)))
        return before - self.num_cells

    def trim(self, count: int, num_spared: int = 0) -> None:
        """Nothing: a state takes no more time for lying there."""

    def clear(self) -> None:
        """Lets every holder go, without a word to the tiers below."""
        for slot in list(self._holders):
            self._release(slot)

    def check(self) -> None:
        """Raises AssertionError if the books do not balance."""
        assert sum(map(self.length, self._entries)) == self.num_cells, "cells are lost or counted twice"
        assert sorted([*self._entries, *self._free]) == list(range(self.num_slots)), "a slot is lost or shared"
        assert all(self._entries[slot].tokens for slot in self._holders), "a holder holds nothing"

    def __repr__(self) -> str:
        num_running = len(self._entries) - len(self._holders)
        return f"<WholePrefixes {self.num_cells} cells, {num_running} slots run, {len(self._holders)} hold>"

    # Inside

    def _find(self, scope: str, tokens: Sequence[int], end: int) -> int | None:
        """The holder with the most of `tokens[:end]` and nothing else."""
        fitting = (
            slot
            for slot in self._holders
            if (entry := self._entries[slot]).scope == scope
            and len(entry.tokens) <= end
            and entry.tokens == tokens[: len(entry.tokens)]
        )
        return max(fitting, key=self.length, default=None)

    def _take_slot(self, wanted: int | None) -> int:
        """A free slot; without one the oldest holder goes, the `wanted` one last."""
        if not self._free:
            others = (slot for slot in self._holders if slot != wanted)
            self._evict_holder(next(others, wanted if wanted is not None else -1))
        return self._free.pop()

    def _share(self, source: int, target: int) -> None:
        self._moves.append(Copy(source, target, 0, self.length(source)))

    def _set(self, entry: _Entry, tokens: Sequence[int]) -> None:
        self.num_cells += len(tokens) - len(entry.tokens)
        entry.tokens = list(tokens)

    def _keep(self, slot: int) -> None:
        """Makes a slot a holder; an older one of the same tokens goes."""
        entry = self._entries[slot]
        twins = [other for other in self._holders if self._entries[other].tokens == entry.tokens]
        for other in twins:
            if self._entries[other].scope == entry.scope:
                self._release(other)
        self._holders[slot] = None

    def _evict_holder(self, slot: int) -> None:
        self._moves.append(Spill(self._entries[slot].scope, slot, self.tokens(slot), 0))
        self._release(slot)

    def _release(self, slot: int) -> None:
        """Makes a slot free."""
        self._set(self._entries[slot], [])
        del self._entries[slot]
        self._holders.pop(slot, None)
        self._free.append(slot)
        self._moves.append(Remove(slot))
