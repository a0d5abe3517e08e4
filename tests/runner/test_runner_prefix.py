"""The books of shared cells, held against a pool that only knows tags: what each slot holds is what it should."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ollamapy.runner.prefix import Copy, PrefixTree, Remove, Spill, num_shared


class Cells:
    """A unified pool: cells with a position, a token and the tags of the slots that hold them."""

    def __init__(self) -> None:
        self.cells: list[tuple[int, int, set[int]]] = []
        self.spilled: list[Spill] = []

    def carry_out(self, tree: PrefixTree) -> None:
        for move in tree.take_moves():
            match move:
                case Copy(source, target, start, end):
                    for position, _, slots in self.cells:
                        if source in slots and start <= position < end:
                            slots.add(target)
                case Remove(slot, start, end):
                    for position, _, slots in self.cells:
                        if position >= start and (end < 0 or position < end):
                            slots.discard(slot)
                    self.cells = [cell for cell in self.cells if cell[2]]
                case Spill(_, slot, tokens, start):
                    assert self.held(slot) == tokens
                    assert 0 <= start < len(tokens)
                    self.spilled.append(move)

    def compute(self, slot: int, tokens: list[int], start: int) -> None:
        self.cells += [(position, tokens[position], {slot}) for position in range(start, len(tokens))]

    def held(self, slot: int) -> list[int]:
        """The tokens of a slot; its positions must follow each other."""
        held = sorted((position, token) for position, token, slots in self.cells if slot in slots)
        assert [position for position, _ in held] == list(range(len(held)))
        return [token for _, token in held]


class Pool:
    """A tree with its cells: what the scheduler and the loop do with them."""

    def __init__(self, num_slots: int = 4) -> None:
        self.tree = PrefixTree(num_slots)
        self.cells = Cells()

    def begin(self, text: str, scope: str = "") -> int:
        """A sequence that has computed `text`."""
        tokens = [*text.encode()]
        slot = self.tree.open(scope, tokens, len(tokens))
        self.cells.carry_out(self.tree)
        self.cells.compute(slot, tokens, self.tree.length(slot))
        self.tree.extend(slot, tokens, len(tokens))
        self.settle()
        return slot

    def keep(self, *texts: str) -> None:
        """Sequences that have come and gone, one after the other."""
        for text in texts:
            self.tree.close(self.begin(text))
            self.settle()

    def settle(self) -> None:
        self.cells.carry_out(self.tree)
        self.tree.check()
        assert len(self.cells.cells) == self.tree.num_cells

    def match(self, text: str, scope: str = "") -> int:
        return self.tree.match(scope, [*text.encode()], len(text))


def test_what_a_sequence_leaves_is_found_by_the_next() -> None:
    pool = Pool()
    pool.keep("abcdef")

    assert (pool.match("abcxyz"), pool.match("abcdefgh"), pool.match("xabc")) == (3, 6, 0)


def test_scopes_never_share() -> None:
    pool = Pool()
    pool.keep("abcdef")

    assert pool.match("abcdef", "somebody else") == 0


def test_sequences_share_the_cells_of_their_common_beginning() -> None:
    pool = Pool()

    slots = [pool.begin(text) for text in ("abcdef", "abcxy", "abcdzz")]

    assert pool.tree.num_cells == 6 + 2 + 2
    assert [bytes(pool.cells.held(slot)) for slot in slots] == [b"abcdef", b"abcxy", b"abcdzz"]


def test_two_that_computed_the_same_keep_it_once() -> None:
    pool = Pool()
    first, second = (pool.tree.open("", [], 0) for _ in range(2))
    for slot, text in ((first, b"abcd"), (second, b"abcxyz")):
        pool.cells.compute(slot, [*text], 0)
        pool.tree.extend(slot, [*text], len(text))
    pool.settle()

    assert pool.tree.num_cells == 7
    assert [bytes(pool.cells.held(slot)) for slot in (first, second)] == [b"abcd", b"abcxyz"]


def test_a_holder_inside_the_path_of_another_slot_is_freed() -> None:
    pool = Pool()
    pool.keep("abcd", "abcdef", "ab")

    assert repr(pool.tree) == "<PrefixTree 6 cells, 0 slots run, 1 hold>"


def test_the_end_of_the_oldest_goes_first() -> None:
    pool = Pool()
    pool.keep("abcdef", "uvwxyz")

    assert pool.tree.evict(2) == 2
    pool.settle()

    assert (pool.match("abcdef"), pool.match("uvwxyz")) == (4, 6)


def test_using_a_prefix_again_makes_it_young() -> None:
    pool = Pool()
    pool.keep("abcdef", "uvwxyz", "abcdef")

    pool.tree.evict(4)
    pool.settle()

    assert (pool.match("abcdef"), pool.match("uvwxyz")) == (6, 2)


def test_a_prefix_of_many_outlives_the_rest_of_each() -> None:
    pool = Pool()
    pool.keep("system one", "system two", "system six")

    pool.tree.evict(7)
    pool.settle()

    assert [pool.match(f"system {end}") for end in ("one", "two", "six")] == [7, 7, 9]


def test_trimming_leaves_so_many_cells_that_nobody_uses_the_latest_among_them() -> None:
    pool = Pool()
    pool.keep("abcdef", "uvwxyz", "123456")

    pool.tree.trim(8)
    pool.settle()

    assert [pool.match(text) for text in ("abcdef", "uvwxyz", "123456")] == [0, 2, 6]


def test_trimming_leaves_the_last_prefix_whole() -> None:
    pool = Pool()
    pool.keep("abcdef", "uvwxyz")

    pool.tree.trim(0, num_spared=1)
    pool.settle()

    assert (pool.match("abcdef"), pool.match("uvwxyz")) == (0, 6)


def test_nothing_is_spared_when_another_prompt_needs_the_place() -> None:
    pool = Pool()
    pool.keep("abcdef", "uvwxyz")

    pool.tree.trim(2)
    pool.settle()

    assert (pool.match("abcdef"), pool.match("uvwxyz")) == (0, 2)


def test_what_a_running_sequence_holds_is_not_evicted() -> None:
    pool = Pool()
    pool.keep("abcdef")
    slot = pool.begin("abcx")

    assert pool.tree.num_evictable == 3
    assert pool.tree.evict(100) == 3
    pool.settle()
    assert bytes(pool.cells.held(slot)) == b"abcx"


def test_what_is_evicted_is_said_before_it_goes() -> None:
    pool = Pool()
    pool.keep("abcdef")
    pool.tree.evict(2)
    pool.settle()

    (spill,) = pool.cells.spilled
    assert (bytes(spill.tokens), spill.start) == (b"abcdef", 4)


def test_without_a_free_slot_the_oldest_holder_gives_its_own() -> None:
    pool = Pool(num_slots=2)
    pool.keep("abc", "xyz")

    slot = pool.begin("abd")

    assert bytes(pool.cells.held(slot)) == b"abd"
    assert (pool.match("abc"), pool.match("xyz")) == (2, 3)


def test_a_sequence_may_be_forgotten_when_it_ends() -> None:
    pool = Pool()
    pool.tree.close(pool.begin("abc"), keep=False)
    pool.settle()

    assert pool.tree.num_cells == 0


def test_cells_that_are_cut_out_of_the_books_stay_with_their_slot() -> None:
    pool = Pool()
    slot = pool.begin("abcdef")

    assert pool.tree.cut(slot, 2)
    pool.cells.carry_out(pool.tree)

    assert (pool.tree.length(slot), pool.tree.num_cells, bytes(pool.cells.held(slot))) == (2, 2, b"abcdef")


def test_cells_that_others_hold_too_cannot_be_cut_out() -> None:
    """Moving them would move the others' as well."""
    pool = Pool()
    slot, other = pool.begin("abcdef"), pool.begin("abcdxy")

    assert not pool.tree.cut(slot, 2)
    pool.settle()

    assert (bytes(pool.cells.held(slot)), bytes(pool.cells.held(other))) == (b"ab", b"abcdxy")


def test_everything_can_be_let_go() -> None:
    pool = Pool()
    pool.keep("abc", "abd", "xyz")

    pool.tree.clear()
    pool.settle()

    assert pool.tree.num_cells == 0


def test_the_holders_are_told_the_latest_first() -> None:
    pool = Pool()
    pool.keep("abc", "abd")

    assert [(scope, bytes(tokens)) for _, scope, tokens in pool.tree.holders()] == [("", b"abd"), ("", b"abc")]


@pytest.mark.parametrize(
    ("one", "other", "shared"), [("", "abc", 0), ("abc", "abc", 3), ("abd", "abc", 2), ("b", "a", 0)]
)
def test_common_beginnings_are_counted(one: str, other: str, shared: int) -> None:
    assert num_shared([*one.encode()], [*b"..", *other.encode()], 2, 2 + len(other)) == shared


def test_check_sees_a_lost_cell() -> None:
    pool = Pool()
    pool.keep("abc")
    pool.tree.num_cells += 1

    with pytest.raises(AssertionError, match="cells are lost"):
        pool.tree.check()


class AnyHistory(RuleBasedStateMachine):
    """Any order of everything, against a model that is a dict of texts."""

    TEXTS = st.text("ab", max_size=8).map(lambda text: [*text.encode()])
    SCOPES = st.sampled_from(["", "key"])

    def __init__(self) -> None:
        super().__init__()
        self.pool = Pool(num_slots=5)
        self.running: dict[int, tuple[str, list[int]]] = {}
        self.known: dict[str, list[list[int]]] = {"": [], "key": []}
        """All that was ever in the books: what is found must be a beginning of one of these."""

    @precondition(lambda self: len(self.running) < 5)
    @rule(tokens=TEXTS, scope=SCOPES)
    def open(self, tokens: list[int], scope: str) -> None:
        tree = self.pool.tree
        found = tree.match(scope, tokens, len(tokens))
        free = len(self.running) + len(list(tree.holders())) < 5

        slot = tree.open(scope, tokens, len(tokens))

        shared = tree.length(slot)
        assert shared == found if free else shared <= found
        self.pool.cells.carry_out(tree)
        assert self.pool.cells.held(slot) == tokens[:shared]
        assert any(one[:shared] == tokens[:shared] for one in [*self.known[scope], []])
        self.running[slot] = (scope, tokens[:shared])

    @precondition(lambda self: self.running)
    @rule(data=st.data(), more=TEXTS, is_told=st.booleans())
    def compute(self, data: st.DataObject, more: list[int], is_told: bool) -> None:
        slot = data.draw(st.sampled_from(sorted(self.running)))
        scope, tokens = self.running[slot]
        tokens = tokens + more
        self.pool.cells.compute(slot, tokens, len(tokens) - len(more))
        self.running[slot] = (scope, tokens)
        if is_told:
            self.tell(slot)

    def tell(self, slot: int) -> None:
        scope, tokens = self.running[slot]
        self.pool.tree.extend(slot, tokens, len(tokens))
        self.known[scope].append(tokens)
        assert self.pool.tree.match(scope, tokens, len(tokens)) == len(tokens)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), is_told=st.booleans(), keep=st.booleans())
    def close(self, data: st.DataObject, is_told: bool, keep: bool) -> None:
        slot = data.draw(st.sampled_from(sorted(self.running)))
        if is_told:
            self.tell(slot)
        self.pool.tree.close(slot, keep=keep)
        del self.running[slot]

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def cut(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from(sorted(self.running)))
        scope, tokens = self.running[slot]
        start = data.draw(st.integers(0, len(tokens)))
        if not self.pool.tree.cut(slot, start):
            self.running[slot] = (scope, tokens[:start])
        assert self.pool.tree.length(slot) <= start

    @rule(count=st.integers(1, 12))
    def evict(self, count: int) -> None:
        evictable = self.pool.tree.num_evictable

        assert self.pool.tree.evict(count) >= min(count, evictable)

        assert self.pool.tree.num_evictable <= max(evictable - count, 0)

    @rule(count=st.integers(0, 12), num_spared=st.integers(0, 2))
    def trim(self, count: int, num_spared: int) -> None:
        evictable = self.pool.tree.num_evictable
        latest = list(self.pool.tree.holders())[:num_spared]

        self.pool.tree.trim(count, num_spared)

        assert list(self.pool.tree.holders())[: len(latest)] == latest
        assert self.pool.tree.num_evictable <= max(count, min(evictable, sum(len(one[2]) for one in latest)))

    @invariant()
    def the_cells_are_those_of_the_books(self) -> None:
        pool = self.pool
        pool.cells.carry_out(pool.tree)
        pool.tree.check()
        own = sum(len(tokens) - pool.tree.length(slot) for slot, (_, tokens) in self.running.items())
        assert len(pool.cells.cells) == pool.tree.num_cells + own
        for slot, (_, tokens) in self.running.items():
            assert pool.cells.held(slot) == tokens
            assert pool.tree.tokens(slot) == tokens[: pool.tree.length(slot)]
        for slot, scope, tokens in pool.tree.holders():
            assert pool.cells.held(slot) == tokens
            assert pool.tree.match(scope, tokens, len(tokens)) == len(tokens)

    def teardown(self) -> None:
        for slot in self.running:
            self.pool.tree.close(slot, keep=False)
        self.pool.tree.clear()
        self.pool.settle()
        assert self.pool.tree.num_cells == 0


TestAnyHistory = AnyHistory.TestCase
