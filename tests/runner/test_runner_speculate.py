"""Guesses are what stood behind the same tokens before; how long they are depends on how the last ones did."""

from hypothesis import given
from hypothesis import strategies as st

from ollamapy.runner.speculate import Speculation


def guess(text: str, limit: int = 100, most: int = -1) -> str:
    return bytes(Speculation([*text.encode()], most).guess(limit)).decode()


def told(speculation: Speculation, num_drafted: int, num_right: int) -> None:
    """It hears of a guess what the loop tells it."""
    speculation.drafted(num_drafted)
    for _ in range(num_right):
        speculation.accepted()
    speculation.learn(num_drafted, num_right)


def follow(tokens: list[int], answer: list[int]) -> Speculation:
    """A sequence whose answer was computed with all the guesses that came up."""
    speculation, at = Speculation(tokens), 0
    while at < len(answer):
        drafts = speculation.guess(len(answer) - at - 1)
        pairs = zip(drafts, answer[at:], strict=False)
        num_right = next((n for n, (one, other) in enumerate(pairs) if one != other), len(drafts))
        for token in answer[at : at + num_right + 1]:
            speculation.append(token)
        if drafts:
            told(speculation, len(drafts), num_right)
        at += num_right + 1
    return speculation


def test_a_guess_is_what_followed_the_same_tokens() -> None:
    assert guess("abcdefgh abcd") == "efg"


def test_the_longer_ending_counts_more_than_the_later_place() -> None:
    assert guess("abcdefgh1 --efgh2 abcdefgh") == "1 -"
    assert guess("abcdefgh1 --efgh2 ++efgh") == "2 +"


def test_the_later_of_two_places_counts() -> None:
    assert guess("abcd1 abcd2 abcd") == "2 a"


def test_what_repeats_itself_is_thought_to_go_on() -> None:
    assert guess("abababab") == "aba"


def test_nothing_is_guessed_where_nothing_is_alike() -> None:
    assert [guess(text) for text in ("", "a", "ab", "abc", "abcdefgh")] == [""] * 5


def test_a_guess_keeps_to_its_limits() -> None:
    text = "abcdefgh abcd"

    assert [guess(text, limit) for limit in (-5, 0, 1, 2)] == ["", "", "e", "ef"]
    assert [guess(text, most=most) for most in (0, 1, 2, 99)] == ["", "e", "ef", "efg"]


def test_a_draft_model_may_guess_as_many_as_was_asked_and_few_by_itself() -> None:
    def draftable(most: int, limit: int) -> int:
        return Speculation([], most).num_draftable(limit)

    assert [draftable(most, 100) for most in (-1, 0, 3, 12, 99)] == [7, 0, 3, 12, 31]
    assert [draftable(-1, limit) for limit in (-3, 0, 2)] == [0, 0, 2]


def test_how_a_draft_model_does_is_counted_and_changes_no_guess_of_the_texts() -> None:
    speculation = Speculation([*b"abcdefgh abcd"])
    speculation.append(ord("?"))
    assert speculation.guess(100) == ()

    for _ in range(5):
        told(speculation, 7, 0)
    told(speculation, 7, 3)

    assert (speculation.num_drafted, speculation.num_accepted) == (42, 3)
    for token in b" abcd":
        speculation.append(token)
    assert bytes(speculation.guess(100)) == b"? a"


def test_without_room_nobody_guesses_for_a_while() -> None:
    speculation = Speculation([*b"abababab"])

    speculation.rest()

    assert (speculation.guess(9), speculation.num_draftable(9)) == ((), 0)
    for token in b"ab" * 64:
        speculation.append(token)
    assert (bytes(speculation.guess(9)), speculation.num_draftable(9)) == (b"aba", 7)


def test_tokens_that_stand_for_an_image_are_never_guessed() -> None:
    assert Speculation([1, 2, 3, 4, 5, -7, 1, 2, 3, 4]).guess(9) == (5,)


def test_guesses_that_are_right_get_longer() -> None:
    text = list(range(100))

    speculation = follow(text, text[:60])

    assert speculation.num_accepted == speculation.num_drafted > 45
    assert len(speculation.guess(100)) == 31


def test_guesses_that_are_wrong_get_rare() -> None:
    """Four known tokens and one that nobody can know, again and again."""
    answer = [token for n in range(400) for token in (1, 2, 3, 4, 1000 + n)]

    speculation = follow([1, 2, 3, 4, 5], answer)

    assert speculation.num_accepted < speculation.num_drafted < 60


def test_guesses_come_back_after_a_rest() -> None:
    text = list(range(100, 180))

    speculation = follow([1, 2, 3, 4, 5, *text], [1, 2, 3, 4, 6, *text])

    assert speculation.num_accepted > 50


@given(st.text("ab", max_size=60), st.text("ab", max_size=60), st.integers(0, 20))
def test_a_guess_is_found_among_the_tokens_however_they_came(text: str, more: str, limit: int) -> None:
    grown = Speculation([*text.encode()])
    for token in more.encode():
        grown.guess(limit)
        grown.append(token)
    whole = Speculation([*(text + more).encode()])

    drafts = bytes(grown.guess(limit)).decode()

    assert tuple(drafts.encode()) == whole.guess(limit)
    assert len(drafts) <= limit
    assert not drafts or any(text_after(text + more, length).startswith(drafts[:1]) for length in (8, 4))


def text_after(text: str, length: int) -> str:
    """What follows the last place where the last `length` letters stood before."""
    at = text.rfind(text[-length:], 0, len(text) - 1) if len(text) > length else -1
    return text[at + length :] if at >= 0 else ""
