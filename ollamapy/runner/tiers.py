"""Where prefixes go when the KV pool has no room for them: to host memory, and to files when the runner ends.

A prefix is kept in blocks of `BLOCK_TOKENS`, each under a key that hashes all tokens up to its end, so that prefixes
share their blocks. Where an engine cannot cut, a block is a whole prefix. What cannot be restored is computed again.
"""

import hashlib
import logging
import time
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ollamapy.runner.model import Chunk, Decoded, Model
from ollamapy.runner.prefix import Restore, Spill
from ollamapy.runner.snapshots import Snapshots
from ollamapy.wire.runner import Load

BLOCK_TOKENS = 16
_EARLY_SECONDS = 0.25
"""How long a running model may take for saving, while nobody asks for anything."""
_SAVE_SECONDS = 2.0
"""How long the end of a runner may take for saving; the daemon waits longer than that."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Block:
    """The positions [start, end) of a prefix, and the key of all tokens up to `end`."""

    start: int
    end: int
    key: str


def blocks(scope: str, tokens: Sequence[int], size: int = BLOCK_TOKENS) -> Iterator[Block]:
    """The whole blocks of a prefix, from its beginning. A key ends with its `end`, as eight digits.

    Tokens that stand for an image are negative: what comes with them stays in the pool alone, because it could not be
    computed again from its tokens.
    """
    digest = hashlib.sha256(scope.encode()).digest()
    for end in range(size, len(tokens) + 1, size):
        if min(tokens[end - size : end]) < 0:
            return
        digest = hashlib.sha256(digest + array("i", tokens[end - size : end]).tobytes()).digest()
        yield Block(end - size, end, f"{digest.hex()}{end:08x}")


class HostMemory:
    """Blocks in memory, up to `budget_bytes`; what was used longest ago goes first."""

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self._size_bytes = 0
        self._held: OrderedDict[str, bytes] = OrderedDict()

    def get(self, key: str) -> bytes | None:
        if key in self._held:
            self._held.move_to_end(key)
        return self._held.get(key)

    def put(self, key: str, data: bytes) -> None:
        if not data or len(data) > self.budget_bytes or key in self._held:
            return
        self._held[key] = data
        self._size_bytes += len(data)
        while self._size_bytes > self.budget_bytes:
            self._size_bytes -= len(self._held.popitem(last=False)[1])

    def drop(self, key: str) -> None:
        data = self._held.pop(key, None)
        self._size_bytes -= len(data) if data else 0

    def items(self) -> Iterator[tuple[str, bytes]]:
        """The latest first."""
        return ((key, self._held[key]) for key in reversed(self._held))

    def __repr__(self) -> str:
        return f"<HostMemory {len(self._held)} blocks, {self._size_bytes} of {self.budget_bytes} bytes>"


class Tiers:
    """What lies below the KV pool of `model`. Without `files` nothing outlives the runner."""

    def __init__(self, model: Model, host: HostMemory, files: Snapshots | None = None) -> None:
        self._model = model
        self._host = host
        self._files = files
        self._lengths = {int(key[-8:], 16) for key in files} if files is not None else set()

    @property
    def has_memory(self) -> bool:
        """True when what leaves the pool is kept in memory."""
        return self._host.budget_bytes > 0

    def reach(self, scope: str, tokens: Sequence[int], end: int, length: int) -> int:
        """How much of `tokens[:end]` can be had when the first `length` are in the pool; `length` when not more."""
        if not self._model.info.can_cut:
            return self._longest(scope, tokens, end, length)
        found = length
        for block in blocks(scope, tokens[:end]):
            if block.end > length:
                if block.key not in self:
                    break
                found = block.end
        return found

    def _longest(self, scope: str, tokens: Sequence[int], end: int, length: int) -> int:
        """As `reach`, among prefixes that are kept whole."""
        for one in sorted((one for one in self._lengths if length < one <= end), reverse=True):
            if any(block.key in self for block in self._blocks(scope, tokens[:one])):
                return one
        return length

    def spill(self, spill: Spill) -> None:
        """Keeps in host memory what is about to leave the pool."""
        for block in self._blocks(spill.scope, spill.tokens):
            if block.end > spill.start and block.key not in self:
                self._host.put(block.key, self._model.save(spill.slot, block.start, block.end))
                self._lengths.add(block.end)

    def restore(self, move: Restore) -> None:
        """Brings a prefix back into a slot; what turns out to be missing is computed."""
        can_cut = self._model.info.can_cut
        for block in self._blocks(move.scope, move.tokens):
            start = max(block.start, move.start) if can_cut else 0
            if block.end > move.start and not self._restore_block(move.slot, start, block):
                self._compute(move.slot, move.tokens, start, block.end)

    def save(self, held: Iterable[tuple[int, str, list[int]]]) -> None:
        """Writes what is in the pool (slot, scope, tokens; the latest first) and in host memory to the files."""
        if self._files is None:
            return
        deadline = time.monotonic() + _SAVE_SECONDS
        if self._save_held(held, lambda: time.monotonic() > deadline):
            for key, data in self._host.items():
                if time.monotonic() > deadline or not self._files.save(key, data):
                    break
        self._files.prune()

    def save_early(self, held: Iterable[tuple[int, str, list[int]]], is_wanted: Callable[[], bool]) -> None:
        """Writes what is in the pool to the files, so that no crash loses it; not for long, and not when `is_wanted`
        says that there is other work."""
        if self._files is None:
            return
        deadline = time.monotonic() + _EARLY_SECONDS
        self._save_held(held, lambda: is_wanted() or time.monotonic() > deadline)
        self._files.prune()

    def _save_held(self, held: Iterable[tuple[int, str, list[int]]], is_over: Callable[[], bool]) -> bool:
        """False when there was no time for all, or no place."""
        assert self._files is not None
        num_saved = 0
        for slot, scope, tokens in held:
            for block in self._blocks(scope, tokens):
                num_saved += block.key not in self._files
                if is_over() or not self._write(slot, block):
                    return False
        log.info("snapshots saved blocks=%d", num_saved)
        return True

    def __contains__(self, key: str) -> bool:
        return self._host.get(key) is not None or (self._files is not None and key in self._files)

    def _blocks(self, scope: str, tokens: Sequence[int]) -> Iterator[Block]:
        if self._model.info.can_cut:
            return blocks(scope, tokens)
        return self._whole(scope, tokens)

    def _whole(self, scope: str, tokens: Sequence[int]) -> Iterator[Block]:
        """The prefix as one block."""
        return blocks(scope, tokens, len(tokens)) if tokens else iter(())

    def _write(self, slot: int, block: Block) -> bool:
        assert self._files is not None
        if block.key in self._files:
            return True
        data = self._host.get(block.key) or self._model.save(slot, block.start, block.end)
        return self._files.save(block.key, data)

    def _restore_block(self, slot: int, start: int, block: Block) -> bool:
        data = self._host.get(block.key)
        if data is None and self._files is not None and block.key in self._files:
            data = self._files.load(block.key)
            if data is not None:
                self._host.put(block.key, data)
        if data is not None and self._model.restore(slot, start, block.end, data):
            return True
        log.warning("prefix not restored slot=%d start=%d end=%d", slot, start, block.end)
        self._host.drop(block.key)
        if self._files is not None:
            self._files.drop(block.key)
        return False

    def _compute(self, slot: int, tokens: Sequence[int], start: int, end: int) -> None:
        self._model.remove(slot, start, -1)
        size = self._model.info.max_batch
        for at in range(start, end, size):
            chunk = Chunk(slot, at, tokens[at : min(at + size, end)], False)
            while (outcome := self._model.decode([chunk])) is Decoded.ABORTED:
                self._model.remove(slot, at, -1)
            assert outcome is Decoded.OK, "the books promised cells for what is restored"


def open_tiers(request: Load, model: Model) -> Tiers:
    """The tiers that a `Load` asks for."""
    files = None
    if request.snapshot_folder:
        identity = f"{request.snapshot_key}\n{model.info.identity}"
        files = Snapshots(Path(request.snapshot_folder), identity, request.snapshot_bytes)
    return Tiers(model, HostMemory(request.host_cache_bytes), files)
