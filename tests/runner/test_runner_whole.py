"""The books for engines that cannot cut: a prefix is found whole or not at all."""

from ollamapy.runner.prefix import Copy, Remove, Spill
from ollamapy.runner.whole import WholePrefixes


def books(*texts: str, num_slots: int = 4) -> WholePrefixes:
    """Books with a holder for each text, the first the oldest."""
    new = WholePrefixes(num_slots)
    for text in texts:
        slot = new.open("", [*text.encode()], 0)
        new.extend(slot, [*text.encode()], len(text))
        new.close(slot)
    new.take_moves()
    return new


def match(cache: WholePrefixes, text: str, scope: str = "") -> int:
    return cache.match(scope, [*text.encode()], len(text))


def test_the_longest_holder_that_the_text_goes_on_from_is_found() -> None:
    cache = books("ab", "abcd", "abx")

    assert [match(cache, text) for text in ("abcdef", "abc", "abcd", "a", "xab")] == [4, 2, 4, 0, 0]
    assert match(cache, "abcd", "somebody else") == 0


def test_a_sequence_goes_on_from_a_holder_that_stays() -> None:
    cache = books("ab", "abcd")

    slot = cache.open("", [*b"abcdef"], 6)

    assert cache.take_moves() == [Copy(1, slot, 0, 4)]
    assert (cache.length(slot), cache.tokens(slot), list(cache.running())) == (4, [*b"abcd"], [slot])
    cache.check()


def test_a_state_can_be_kept_under_way() -> None:
    cache = books()
    slot = cache.open("", [*b"abc"], 3)
    cache.extend(slot, [*b"abc"], 2)

    cache.checkpoint(slot)

    assert [(kept, bytes(tokens)) for kept, _, tokens in cache.holders()] == [(1, b"ab")]
    assert Copy(slot, 1, 0, 2) in cache.take_moves()


def test_without_a_slot_no_state_is_kept() -> None:
    cache = books(num_slots=1)
    slot = cache.open("", [*b"abc"], 3)

    cache.checkpoint(slot)

    assert list(cache.holders()) == []


def test_the_oldest_goes_first_and_says_so() -> None:
    cache = books("ab", "cde")

    assert (cache.num_evictable, cache.evict(1), cache.num_cells) == (5, 2, 3)
    assert cache.take_moves() == [Spill("", 0, [*b"ab"], 0), Remove(0)]


def test_the_same_state_is_kept_once() -> None:
    assert repr(books("ab", "ab")) == "<WholePrefixes 2 cells, 0 slots run, 1 hold>"


def test_a_sequence_takes_the_slot_of_the_oldest_when_all_are_taken() -> None:
    cache = books("ab", "abcd", num_slots=2)

    slot = cache.open("", [*b"abcde"], 5)

    assert (slot, cache.length(slot), match(cache, "abx")) == (0, 4, 0)
    cache.check()


def test_with_one_slot_the_state_itself_has_to_go() -> None:
    cache = books("ab", num_slots=1)

    assert cache.length(cache.open("", [*b"abc"], 3)) == 0


def test_a_slot_that_must_be_cut_begins_anew() -> None:
    cache = books("ab")
    slot = cache.open("", [*b"abc"], 3)
    cache.take_moves()

    assert not cache.cut(slot, 1)
    assert (cache.take_moves(), cache.length(slot)) == ([Remove(slot)], 0)
    cache.check()


def test_what_was_cut_or_failed_is_not_kept() -> None:
    cache = books()
    slots = [cache.open("", [], 0) for _ in range(2)]
    for slot in slots:
        cache.extend(slot, [1, 2], 2)
    cache.cut(slots[0], 1)

    cache.close(slots[0])
    cache.close(slots[1], keep=False)

    assert (list(cache.holders()), cache.num_cells) == ([], 0)


def test_everything_can_be_let_go() -> None:
    cache = books("ab", "cd")
    cache.clear()

    assert (cache.num_cells, cache.num_pinned("", [*b"ab"], 2)) == (0, 0)
    cache.check()
