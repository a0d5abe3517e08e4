"""Which prefixes are in the KV pool, and which slots hold them: a radix tree over token ids for each scope.

Owns the slots and the books of all shared cells. It decides and never touches an engine: what is to be done with the
cells comes out of `take_moves`, in the order in which it must be done.

A slot is running (a sequence computes in it) or a holder (it only keeps a prefix in the pool) or free.
1. A node is a run of tokens, each in exactly one cell that carries the tags of all the node's slots. Who holds a node
   holds its parents; a node that nobody holds is gone. Children of a node begin with different tokens.
2. The path of a slot ends with a node, its tip. A running slot may have computed more cells behind its tip: they are
   its own and not in these books until `extend` adds them.
3. A holder is the only one that holds its tip; it is freed as soon as another slot's path covers its own.
4. What is evicted is the end of the path of the holder that became one first, as far as nobody else holds it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Copy:
    """The cells of `source` at the positions [start, end) are those of `target` as well."""

    source: int
    target: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Remove:
    """`slot` lets go of its cells at [start, end); end -1 is "to the last"."""

    slot: int
    start: int = 0
    end: int = -1


@dataclass(frozen=True, slots=True)
class Spill:
    """The cells of `slot` from `start` on are about to go. `tokens` is all that they and those before them hold."""

    scope: str
    slot: int
    tokens: list[int]
    start: int


@dataclass(frozen=True, slots=True)
class Restore:
    """The cells of `slot` from `start` on come back from the tiers below; `tokens` is all that the slot holds then."""

    scope: str
    slot: int
    tokens: list[int]
    start: int


Move = Copy | Remove | Spill | Restore


def num_shared(tokens: Sequence[int], others: Sequence[int], at: int, end: int) -> int:
    """How many tokens `tokens` and `others[at:end]` have in common at their beginnings."""
    high = min(len(tokens), end - at)
    if tokens[:high] == others[at : at + high]:
        return high
    low = 0
    while high - low > 1:
        middle = (low + high) // 2
        if tokens[low:middle] == others[at + low : at + middle]:
            low = middle
        else:
            high = middle
    return low


@dataclass(slots=True, eq=False)
class _Node:
    """`start` is the position of its first token. A root has no parent, no tokens, and every slot of its scope."""

    start: int
    tokens: list[int]
    parent: "_Node | None"
    scope: str
    slots: set[int] = field(default_factory=set)
    children: dict[int, "_Node"] = field(default_factory=dict)

    @property
    def end(self) -> int:
        return self.start + len(self.tokens)

    def path(self) -> "Iterator[_Node]":
        """This node and those above it, without the root."""
        node = self
        while node.parent is not None:
            yield node
            node = node.parent


class PrefixTree:
    """All prefixes of a pool. `num_cells` counts the cells that are in the books."""

    def __init__(self, num_slots: int) -> None:
        self.num_slots = num_slots
        self.num_cells = 0
        self._roots: dict[str, _Node] = {}
        self._tips: dict[int, _Node] = {}
        self._holders: dict[int, None] = {}  # in the order in which they became holders
        self._free = list(range(num_slots - 1, -1, -1))
        self._moves: list[Move] = []

    def take_moves(self) -> list[Move]:
        """What is to be done before the next step, in this order."""
        moves, self._moves = self._moves, []
        return moves

    # Questions

    def match(self, scope: str, tokens: Sequence[int], end: int) -> int:
        """How many of the first `end` tokens are in the pool."""
        root = self._roots.get(scope)
        return self._walk(root, tokens, end)[1] if root else 0

    def num_pinned(self, scope: str, tokens: Sequence[int], end: int) -> int:
        """How many of those tokens running sequences hold."""
        root = self._roots.get(scope)
        if root is None:
            return 0
        node, shared = self._walk(root, tokens, end)
        held = next((node for node in node.path() if node.slots - self._holders.keys()), None)
        return min(shared, held.end) if held else 0

    def length(self, slot: int) -> int:
        """Tokens of the slot's path that are in the books."""
        return self._tips[slot].end

    def running(self) -> Iterator[int]:
        """The slots in which sequences compute."""
        return (slot for slot in self._tips if slot not in self._holders)

    @property
    def num_evictable(self) -> int:
        """Cells that no running sequence holds."""
        pinned = {id(node): node for slot in self.running() for node in self._tips[slot].path()}
        return self.num_cells - sum(len(node.tokens) for node in pinned.values())

    # Changes

    def open(self, scope: str, tokens: Sequence[int], end: int) -> int:
        """A slot for a sequence that begins with `tokens`: it shares as many of the first `end` as are in the pool.

        `length` says how many. There must be a slot that is not running.
        """
        if not self._free:
            self._evict_holder(next(iter(self._holders)))
        slot = self._free.pop()
        root = self._roots.setdefault(scope, _Node(0, [], None, scope))
        root.slots.add(slot)
        node, shared = self._walk(root, tokens, end)
        if shared < node.end:
            node = self._split(node, shared)
        self._tips[slot] = node
        if shared:
            self._moves.append(Copy(next(iter(node.slots)), slot, 0, shared))
            for held in node.path():
                held.slots.add(slot)
            self._free_covered(node)
        return slot

    def extend(self, slot: int, tokens: Sequence[int], end: int) -> None:
        """Adds what a running slot has computed: `tokens[:end]` is all that it holds.

        Where others hold the same already, the slot takes theirs and gives its own up.
        """
        node = self._tips[slot]
        while node.end < end:
            at = node.end
            child = node.children.get(tokens[at])
            if child is None:
                node = self._grow(node, slot, tokens[at:end])
                break
            shared = num_shared(child.tokens, tokens, at, end)
            if shared < len(child.tokens):
                child = self._split(child, at + shared)
            self._moves += [Remove(slot, at, child.end), Copy(next(iter(child.slots)), slot, at, child.end)]
            child.slots.add(slot)
            self._free_covered(child)
            node = child
        self._tips[slot] = node

    def restore(self, slot: int, tokens: Sequence[int], end: int) -> None:
        """As `extend`, for cells that come from the tiers below."""
        self._moves.append(Restore(self._tips[slot].scope, slot, list(tokens[:end]), self.length(slot)))
        self.extend(slot, tokens, end)

    def cut(self, slot: int, start: int) -> bool:
        """Takes the cells of a running slot from `start` on out of the books.

        True: they are its own now. False: others hold some of them, so the slot lost them all.
        """
        node = self._tips[slot]
        if node.end <= start:
            return True
        self._split_at(slot, start)
        is_own = all(held.slots == {slot} for held in node.path() if held.start >= start)
        self._tips[slot] = self._leave(slot, node, start)
        if not is_own:
            self._moves.append(Remove(slot, start))
        self._free_covered(self._tips[slot])
        return is_own

    def close(self, slot: int, *, keep: bool = True) -> None:
        """The sequence in `slot` has ended: its path stays in the pool while there is room, or goes at once."""
        tip = self._tips[slot]
        if not keep or tip.parent is None:
            self._release(slot)
            return
        self._moves.append(Remove(slot, tip.end))
        self._holders[slot] = None
        self._free_covered(tip)

    def evict(self, count: int) -> int:
        """Frees `count` cells or as many as no running sequence holds; answers how many it freed."""
        before = self.num_cells
        while self._holders and before - self.num_cells < count:
            self._evict_tail(next(iter(self._holders)), count - (before - self.num_cells))
        return before - self.num_cells

    def trim(self, count: int, num_spared: int = 0) -> None:
        """Evicts until about `count` of the cells are left that no running sequence holds; the last holders stay."""
        while len(self._holders) > num_spared and (num_surplus := self.num_evictable - count) > 0:
            self._evict_tail(next(iter(self._holders)), num_surplus)

    def clear(self) -> None:
        """Lets every holder go, without a word to the tiers below."""
        for slot in list(self._holders):
            self._release(slot)

    def holders(self) -> Iterator[tuple[int, str, list[int]]]:
        """Slot, scope and tokens of everything that is only kept, the latest first."""
        for slot in reversed(self._holders):
            yield slot, self._tips[slot].scope, self.tokens(slot)

    def tokens(self, slot: int) -> list[int]:
        """The tokens of a slot's path."""
        nodes = list(self._tips[slot].path())
        return [token for node in reversed(nodes) for token in node.tokens]

    def check(self) -> None:
        """Raises AssertionError if the books do not balance."""
        nodes = [node for root in self._roots.values() for node in _below(root)]
        assert sum(len(node.tokens) for node in nodes) == self.num_cells, "cells are lost or counted twice"
        assert sorted([*self._tips, *self._free]) == list(range(self.num_slots)), "a slot is lost or shared"
        nodes += self._roots.values()
        held: dict[int, set[int]] = {id(node): set() for node in nodes}
        for slot, tip in self._tips.items():
            held[id(self._roots[tip.scope])].add(slot)
            for node in tip.path():
                held[id(node)].add(slot)
        for node in nodes:
            assert node.slots == held[id(node)], "a tag is wrong"
            assert node.slots, "a node that nobody holds"
            assert all(child.tokens[0] == first for first, child in node.children.items()), "a child is misplaced"
            assert all(child.start == node.end for child in node.children.values()), "a position is wrong"
        for slot in self._holders:
            tip = self._tips[slot]
            assert tip.parent is not None, "a holder holds nothing"
            assert tip.slots == {slot}, "a holder holds what another does"

    def __repr__(self) -> str:
        num_running = len(self._tips) - len(self._holders)
        return f"<PrefixTree {self.num_cells} cells, {num_running} slots run, {len(self._holders)} hold>"

    # Inside

    def _walk(self, root: _Node, tokens: Sequence[int], end: int) -> tuple[_Node, int]:
        """The last node that `tokens[:end]` reaches, and how many tokens that makes; it may end inside the node."""
        node, at = root, 0
        while at == node.end and at < end and (child := node.children.get(tokens[at])) is not None:
            node = child
            at += num_shared(child.tokens, tokens, at, end)
        return node, at

    def _split(self, node: _Node, at: int) -> _Node:
        """Makes two of a node, at position `at`; answers the upper one. Tips stay with the lower one."""
        assert node.parent is not None
        assert node.start < at < node.end
        upper = _Node(node.start, node.tokens[: at - node.start], node.parent, node.scope, set(node.slots))
        node.parent.children[upper.tokens[0]] = upper
        node.start, node.tokens, node.parent = at, node.tokens[at - node.start :], upper
        upper.children[node.tokens[0]] = node
        return upper

    def _split_at(self, slot: int, at: int) -> None:
        """Makes a node of the slot's path begin at `at`."""
        inside = next((node for node in self._tips[slot].path() if node.start < at < node.end), None)
        if inside is not None:
            self._split(inside, at)

    def _grow(self, node: _Node, slot: int, tokens: Sequence[int]) -> _Node:
        """Adds cells that only `slot` holds behind `node`; answers the node that they are in."""
        self.num_cells += len(tokens)
        if node.parent is not None and node.slots == {slot}:
            node.tokens.extend(tokens)
            return node
        child = node.children[tokens[0]] = _Node(node.end, list(tokens), node, node.scope, {slot})
        return child

    def _free_covered(self, node: _Node) -> None:
        """Frees holders whose tip is `node` while somebody else holds it too; one of them stays."""
        for slot in [slot for slot in node.slots if slot in self._holders and self._tips[slot] is node]:
            if node.parent is None or len(node.slots) > 1:
                self._release(slot)

    def _release(self, slot: int) -> None:
        """Makes a slot free."""
        root = self._leave(slot, self._tips[slot], 0)
        del self._tips[slot]
        self._holders.pop(slot, None)
        root.slots.discard(slot)
        if not root.slots:
            del self._roots[root.scope]
        self._free.append(slot)
        self._moves.append(Remove(slot))

    def _leave(self, slot: int, tip: _Node, start: int) -> _Node:
        """Takes the slot's tag off all nodes from `start` on, where one begins; answers the tip that is left."""
        node = tip
        while node.parent is not None and node.start >= start:
            node.slots.discard(slot)
            if not node.slots:
                del node.parent.children[node.tokens[0]]
                self.num_cells -= len(node.tokens)
            node = node.parent
        return node

    def _evict_holder(self, slot: int) -> None:
        """Evicts everything that only this holder keeps."""
        self._evict_tail(slot, self._tips[slot].end)
        if slot in self._tips:
            self._release(slot)

    def _evict_tail(self, slot: int, count: int) -> None:
        """Cuts up to `count` cells off the end of a holder's path, as far as they are its alone; then frees it if
        nothing of its own is left."""
        tip = self._tips[slot]
        own = [node for node in tip.path() if node.slots == {slot}]
        start = max(tip.end - count, own[-1].start)
        self._moves += [Spill(tip.scope, slot, self.tokens(slot), start), Remove(slot, start)]
        self._split_at(slot, start)
        self._tips[slot] = self._leave(slot, tip, start)
        self._free_covered(self._tips[slot])


def _below(root: _Node) -> Iterator[_Node]:
    """All nodes under a root."""
    for child in root.children.values():
        yield child
        yield from _below(child)
