"""What a sequence knows of itself, and which tokens go when there are too many."""

import pytest
from fakes.sequences import sequence
from hypothesis import given
from hypothesis import strategies as st

from ollamapy.runner.sequence import cut_prompt, shift_range

NUM_CTX = st.integers(2, 60)


@pytest.mark.parametrize(
    ("num_ctx", "num_keep", "adds_bos", "expected"),
    [
        (10, 4, False, (4, 7)),
        (10, 4, True, (5, 7)),
        (10, 0, False, (0, 5)),
        (10, 0, True, (1, 5)),
        (11, 4, False, (4, 7)),
        (4096, 4, True, (5, 2050)),
        (10, 7, False, (7, 8)),
        (10, 8, False, (8, 9)),
        (10, 9, False, (8, 9)),
        (10, 1000, True, (8, 9)),
        (4, 4, True, (2, 3)),
        (2, 0, False, (0, 1)),
        (2, 4, True, (0, 1)),
    ],
)
def test_a_shift_drops_half_of_what_is_not_kept(
    num_ctx: int, num_keep: int, adds_bos: bool, expected: tuple[int, int]
) -> None:
    assert shift_range(num_ctx, num_ctx, num_keep, adds_bos) == expected


@given(NUM_CTX, st.integers(0, 80), st.booleans())
def test_a_shift_makes_room_and_leaves_the_newest_token(num_ctx: int, num_keep: int, adds_bos: bool) -> None:
    start, end = shift_range(num_ctx, num_ctx, num_keep, adds_bos)

    assert 0 <= start < end <= num_ctx - 1


@given(NUM_CTX, st.data(), st.booleans())
def test_a_shift_keeps_the_front_that_was_asked_for(num_ctx: int, data: st.DataObject, adds_bos: bool) -> None:
    num_keep = data.draw(st.integers(0, num_ctx - 2 - int(adds_bos)) if num_ctx > 3 else st.just(0))

    start, end = shift_range(num_ctx, num_ctx, num_keep, adds_bos)

    assert start == min(num_keep + int(adds_bos), num_ctx - 2)
    assert end - start == max((num_ctx - start) // 2, 1)


@pytest.mark.parametrize(
    ("num_tokens", "num_ctx", "num_keep", "adds_bos", "expected"),
    [
        (20, 10, 4, False, [0, 1, 2, 3, 17, 18, 19]),
        (20, 10, 4, True, [0, 1, 2, 3, 4, 17, 18, 19]),
        (20, 10, 0, False, [15, 16, 17, 18, 19]),
        (20, 11, 4, False, [0, 1, 2, 3, 16, 17, 18, 19]),
        (10, 10, 4, False, [0, 1, 2, 3, 7, 8, 9]),
        (20, 10, 8, False, [0, 1, 2, 3, 4, 5, 6, 7, 19]),
        (20, 10, 9, False, [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        (20, 10, 500, True, [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        (20, 10, -1, False, [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        (20, 10, -1, True, [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        (20, 4, 4, False, [0, 1, 2]),
        (20, 2, 0, False, [19]),
        (20, 2, 4, True, [0]),
    ],
)
def test_a_long_prompt_is_cut_in_the_middle(
    num_tokens: int, num_ctx: int, num_keep: int, adds_bos: bool, expected: list[int]
) -> None:
    assert cut_prompt(list(range(num_tokens)), num_ctx, num_keep, adds_bos) == expected


@given(NUM_CTX, st.integers(-1, 80), st.booleans(), st.integers(0, 100))
def test_a_cut_prompt_has_a_token_and_room_for_one_more(
    num_ctx: int, num_keep: int, adds_bos: bool, num_over: int
) -> None:
    tokens = list(range(num_ctx + num_over))

    cut = cut_prompt(tokens, num_ctx, num_keep, adds_bos)

    assert 1 <= len(cut) <= num_ctx - 1
    assert cut == sorted(set(cut)), "what is left keeps its order, and nothing comes twice"


@given(NUM_CTX, st.integers(-1, 80), st.booleans(), st.integers(0, 100))
def test_a_cut_keeps_the_front_and_the_newest_end(num_ctx: int, num_keep: int, adds_bos: bool, num_over: int) -> None:
    tokens = list(range(num_ctx + num_over))
    keep = num_ctx - 1 if num_keep < 0 else min(num_keep + int(adds_bos), num_ctx - 1)

    cut = cut_prompt(tokens, num_ctx, num_keep, adds_bos)

    assert len(cut) == num_ctx - max((num_ctx - keep) // 2, 1)
    assert cut[:keep] == tokens[:keep]
    assert cut[keep:] == tokens[len(tokens) - (len(cut) - keep) :]


def test_a_new_sequence_has_its_whole_prompt_to_compute() -> None:
    new = sequence(num_prompt=7)

    assert (new.num_pending, new.num_computed, new.num_prompt, new.num_output) == (7, 0, 7, 0)
    assert repr(new) == "<Sequence 1 waiting 0/7 slot -1>"


def test_a_sampled_token_is_known_and_not_computed() -> None:
    running = sequence(num_prompt=7, first_token=0)
    running.num_computed = 7

    running.append(65, b"A")

    assert (running.num_pending, running.num_output, running.answer) == (1, 1, [65])
    assert running.tokens == [0, 1, 2, 3, 4, 5, 6, 65]
    assert running.prompt_tokens == [0, 1, 2, 3, 4, 5, 6], "the prompt must stay whole"


@pytest.mark.parametrize(
    ("num_predict", "expected"), [(-1, 1000), (-2, 1000), (5, 5), (1000, 1000), (1001, 1000), (0, 0)]
)
def test_an_answer_is_at_most_ten_contexts_long(num_predict: int, expected: int) -> None:
    assert sequence(num_ctx=100, num_predict=num_predict).max_output == expected


def test_a_sequence_is_full_when_its_context_holds_no_token_more() -> None:
    almost = sequence(num_prompt=9, num_ctx=10)
    assert not almost.is_full

    almost.append(65, b"A")

    assert almost.is_full


@pytest.mark.parametrize(("num_keep", "expected"), [(4, 4), (0, 0), (-1, 10), (50, 50)])
def test_minus_one_keeps_the_whole_prompt_on_a_shift(num_keep: int, expected: int) -> None:
    assert sequence(num_prompt=10, num_keep=num_keep).num_keep == expected


def pieces_until_stuck(max_repeats: int, pieces: list[bytes]) -> int | None:
    """How many pieces it takes until the sequence counts as stuck."""
    running = sequence(max_repeats=max_repeats)
    for count, piece in enumerate(pieces, 1):
        running.append(count, piece)
        if running.is_stuck:
            return count
    return None


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([b"a"] * 40, 31),
        ([b"b", *[b"a"] * 40], 32),
        ([b" a", b"a", b"a ", b"\na"] * 10, 31),
        ([b"\n", b" ", b"\t", b""] * 10, 31),
        ([b"a", b"b"] * 40, None),
        ([b"a"] * 30, None),
        ([*[b"a"] * 30, b"b", *[b"a"] * 30], None),
    ],
)
def test_more_than_thirty_alike_pieces_are_too_many(pieces: list[bytes], expected: int | None) -> None:
    """White space around a piece does not count: a loop of line breaks and blanks is a loop."""
    assert pieces_until_stuck(30, pieces) == expected


def test_nobody_is_stuck_who_may_repeat_at_will() -> None:
    assert pieces_until_stuck(0, [b"a"] * 1000) is None
