"""A draft model's books, on the echo model: what it has of a sequence is found by comparing tokens."""

from collections.abc import Callable
from collections.abc import Sequence as List
from dataclasses import replace
from itertools import count

import pytest
from fakes.echo_loop import WatchedEcho, expected_echo, serve
from fakes.sequences import sequence
from hypothesis import given, settings
from hypothesis import strategies as st

from ollamapy.errors import LoadFailed
from ollamapy.runner.draft import Draft, misfit, open_draft
from ollamapy.runner.echo import END_OF_PROMPT
from ollamapy.runner.model import Chunk, Decoded
from ollamapy.runner.sequence import Sequence
from ollamapy.runner.speculate import Speculation
from ollamapy.wire.options import Options
from ollamapy.wire.runner import Generate, Load

NUM_WORDS = 258
LETTERS = "abcdefghijklmnopqrstuvwxyz"
PRINTABLE = "".join(map(chr, range(33, 127)))


def drafting(model: WatchedEcho, num_words: int = NUM_WORDS, clock: Callable[[], float] = lambda: 0.0) -> Draft:
    return Draft(model, num_words, clock)


_ids = count(1)


def asking(text: str, answer: str = "", most: int = -1, scope: str = "") -> Sequence:
    """A sequence with a prompt for the echo model, and the answer so far. It guesses from later answers alone."""
    new = sequence(next(_ids), num_prompt=0, num_ctx=4000, scope=scope)
    new.tokens = [*text.encode(), END_OF_PROMPT, *answer.encode()]
    new.num_output = len(answer)
    new.speculation = Speculation([], most)
    return new


def answer(one: Sequence, text: str) -> None:
    for token in text.encode():
        one.append(token, bytes([token]))


def guess(draft: Draft, *sequences: Sequence, limit: int = 31) -> list[str]:
    found = draft.guess([*sequences], limit)
    draft.check()
    return [bytes(tokens).decode() for tokens in found]


def computed(model: WatchedEcho) -> list[int]:
    """Tokens of each batch."""
    return [sum(len(chunk.tokens) for chunk in step) for step in model.steps]


# Guesses


def test_a_guess_is_what_the_draft_model_says_next() -> None:
    assert guess(drafting(WatchedEcho()), asking(LETTERS)) == ["abcdefg"]


@pytest.mark.parametrize(
    ("most", "limit", "wanted"), [(0, 31, ""), (2, 31, "ab"), (12, 31, LETTERS[:12]), (-1, 3, "abc")]
)
def test_a_guess_keeps_to_its_limits(most: int, limit: int, wanted: str) -> None:
    assert guess(drafting(WatchedEcho()), asking(LETTERS, most=most), limit=limit) == [wanted]


def test_a_guess_ends_where_the_answer_would() -> None:
    assert guess(drafting(WatchedEcho()), asking("abc")) == ["abc"]


def test_only_tokens_that_both_vocabularies_have_are_guessed_and_read() -> None:
    draft = drafting(WatchedEcho(), num_words=300)
    odd = asking(LETTERS)
    odd.tokens[3] = 300

    assert guess(draft, odd) == [""]
    assert guess(drafting(WatchedEcho(), ord("d")), asking("abcdefgh")) == [""], "the mark is past its words"


@pytest.mark.parametrize(
    ("probabilities", "wanted"),
    [([0.3], ""), ([0.5, 0.1, 0.1, 1.0], "abc"), ([0.8] * 4, LETTERS[:7]), ([0.7] * 4, "abc")],
)
def test_a_draft_ends_where_it_is_likelier_wrong(probabilities: list[float], wanted: str) -> None:
    """In fours with the token before, which is what a step computes best."""

    class Doubting(WatchedEcho):
        def likeliest(self, row: int) -> tuple[int, float]:
            return super().likeliest(row)[0], probabilities.pop(0) if probabilities else 0.1

    assert guess(drafting(Doubting()), asking(LETTERS)) == [wanted]


def test_what_stood_in_the_texts_goes_first() -> None:
    model, one = WatchedEcho(), asking("one two three", "one two")
    one.speculation = Speculation(one.tokens)

    assert guess(drafting(model), one) == [" th"]
    assert model.steps == []


def test_sequences_of_a_step_are_computed_together() -> None:
    model = WatchedEcho()

    assert guess(drafting(model), asking(LETTERS), asking(LETTERS[::-1]), asking("xy")) == [
        LETTERS[:7],
        LETTERS[:-8:-1],
        "xy",
    ]
    assert computed(model) == [27 + 27 + 3, 3, 3, *[2] * 4]


# What is computed


def test_tokens_that_were_guessed_right_are_not_computed_again() -> None:
    model = WatchedEcho()
    draft, one = drafting(model), asking(LETTERS)
    guess(draft, one)
    model.steps.clear()
    answer(one, "abcdefgh")

    assert guess(draft, one) == ["ijklmno"]
    assert computed(model) == [2, *[1] * 6], "the last guess and the token after it"


def test_tokens_that_were_guessed_wrong_are_forgotten() -> None:
    model = WatchedEcho()
    draft, one = drafting(model), asking(LETTERS)
    guess(draft, one)
    model.steps.clear()
    answer(one, "az")

    assert guess(draft, one) == ["cdefghi"], "the echo model counts what was answered"
    assert computed(model)[0] == 1
    assert model.held(0)[: len(one.tokens)] == one.tokens


def test_a_context_shift_needs_no_word() -> None:
    model = WatchedEcho()
    draft, one = drafting(model), asking("12345" + LETTERS)
    guess(draft, one)
    del one.tokens[:5]

    assert guess(draft, one) == [LETTERS[:7]]
    assert model.held(0)[: len(one.tokens)] == one.tokens


def test_a_long_prompt_is_read_in_parts() -> None:
    model = WatchedEcho()
    draft, one = drafting(model), asking(PRINTABLE * 2)

    assert [guess(draft, one) for _ in range(3)] == [[""], [""], ["!\"#$%&'"]]
    assert computed(model)[:3] == [64, 64, 61]


def test_a_long_prompt_holds_up_nobody_elses_guesses() -> None:
    model = WatchedEcho()

    assert guess(drafting(model), asking(PRINTABLE), asking(LETTERS)) == ["", LETTERS[:7]]
    assert computed(model)[0] == 64


def test_a_next_turn_goes_on_where_the_last_one_ended() -> None:
    model = WatchedEcho()
    draft, first = drafting(model), asking(LETTERS * 2)
    guess(draft, first)
    model.steps.clear()
    second = asking(LETTERS * 2, "abc")
    second.tokens += [*b"new", END_OF_PROMPT]

    assert guess(draft, second) == [LETTERS[:7]]
    assert computed(model)[0] == 4


def test_nothing_is_shared_between_scopes() -> None:
    model = WatchedEcho()
    draft = drafting(model)
    guess(draft, asking(LETTERS * 2, scope="one"))
    model.steps.clear()

    guess(draft, asking(LETTERS * 2, scope="other"))

    assert computed(model)[0] == 53


def test_a_sequence_that_runs_keeps_its_place() -> None:
    """Others with the same beginning take another one."""
    model = WatchedEcho()
    draft, first = drafting(model), asking(LETTERS)
    guess(draft, first)
    model.steps.clear()
    answer(first, "abcdefgh")

    guess(draft, asking(LETTERS), first)

    assert computed(model)[0] == 27 + 2


def test_the_place_that_was_used_longest_ago_is_taken() -> None:
    model = WatchedEcho()
    draft = drafting(model)
    texts = [letter * 40 for letter in "abcd"]
    for text in texts:
        guess(draft, asking(text, most=1))

    guess(draft, asking("e" * 40, most=1))
    model.steps.clear()
    guess(draft, *(asking(text, most=1) for text in texts[1:]))

    assert computed(model) == [3], "only the last token of each"


# What does not fit


def test_a_sequence_longer_than_the_pool_gets_no_guess() -> None:
    draft = drafting(WatchedEcho(pool_tokens=64))

    assert guess(draft, asking(LETTERS * 3)) == [""]
    assert guess(draft, asking(LETTERS)) == [LETTERS[:7]]


def test_what_nobody_uses_gives_way() -> None:
    draft = drafting(WatchedEcho(pool_tokens=64))

    assert [guess(draft, asking(letter + LETTERS)) for letter in "123"] == [[letter + LETTERS[:6]] for letter in "123"]


def test_a_sequence_in_the_step_gives_way_to_none() -> None:
    draft = drafting(WatchedEcho(pool_tokens=48))
    one, other = asking(LETTERS), asking(LETTERS[::-1])

    assert guess(draft, one, other) == [LETTERS[:7], ""]
    answer(one, LETTERS[:7])
    assert guess(draft, other, one) == ["", LETTERS[7:14]]


def test_a_sequence_longer_than_what_was_trained_gets_no_guess() -> None:
    model = WatchedEcho()
    model.info = replace(model.info, num_ctx_train=30)

    assert guess(drafting(model), asking(LETTERS)) == [""]


def test_an_engine_without_cells_loses_what_it_has_and_goes_on() -> None:
    model = WatchedEcho(num_missing=4046)
    draft = drafting(model)

    assert guess(draft, asking(LETTERS * 2)) == [""]
    assert model.num_used == 0
    assert guess(draft, asking(LETTERS)) == [LETTERS[:7]]


def test_an_engine_that_fails_is_not_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(WatchedEcho):
        def decode(self, chunks: List[Chunk]) -> Decoded:
            super().decode(chunks)
            raise RuntimeError("llama_decode failed with code -3")

    model = Broken()
    draft = drafting(model)

    assert [guess(draft, asking(LETTERS)) for _ in range(3)] == [[""]] * 3
    assert len(model.steps) == 1
    assert caplog.text.count("draft model failed and is not used any more") == 1


# Whether it pays


def drafted(seconds_of_a_draft: float) -> str:
    """Which of twenty steps have guesses (d), when others take a second. Three tokens of each are right."""
    now = 0.0
    draft, one, steps = drafting(WatchedEcho(), clock=lambda: now), asking(PRINTABLE), ""
    assert guess(draft, one) == [""], "it has not read all of the prompt"
    for letter in PRINTABLE[:-21:-1]:
        found = guess(draft, one)[0]
        answer(one, found[:3] + letter)
        now += seconds_of_a_draft if found else 1.0
        steps += "d" if found else "-"
    return steps


def test_drafts_have_a_rest_while_they_take_longer_than_they_save() -> None:
    assert drafted(3.9) == "d" * 8 + "-" * 4 + "d" * 8
    assert drafted(4.1) == "d" * 8 + "-" * 12


# Load


def test_vocabularies_must_be_the_same_but_for_padding_at_the_end() -> None:
    words = [b"%d" % n for n in range(1000)]

    assert misfit(words, words) == ""
    assert misfit(words, words[:900]) == misfit(words[:900], words) == ""
    assert misfit(words, words[:800]) == "its vocabulary has 800 tokens, that of the model 1000"
    assert misfit(words, [*words[:500], b"x", *words[501:]]) == (
        "its vocabulary differs from that of the model, first at token 500"
    )


def load(draft: str = "draft.gguf") -> Load:
    return Load("echo", "model.gguf", 512, 4096, 8, draft=draft)


def test_a_draft_model_has_cells_for_one_context_and_nothing_else_of_the_models() -> None:
    asked: list[Load] = []

    def loader(request: Load, _: object) -> WatchedEcho:
        asked.append(request)
        return WatchedEcho(pool_tokens=request.pool_tokens, num_parallel=request.num_parallel)

    full = load().__class__(
        "echo", "model.gguf", 512, 4096, 8, draft="draft.gguf", adapters=("a",), projector="p", num_thread=3, num_gpu=7
    )
    open_draft(full, WatchedEcho(), loader, lambda _: None).check()

    assert asked == [Load("echo", "draft.gguf", 512, 512, 4, num_thread=3, num_gpu=7)]


def test_memories_that_cannot_be_cut_back_take_no_draft_model() -> None:
    def loader(request: Load, _: object) -> WatchedEcho:
        return WatchedEcho(can_cut=False)

    with pytest.raises(LoadFailed, match="its memory cannot be cut back"):
        open_draft(load(), WatchedEcho(), loader, lambda _: None)
    with pytest.raises(LoadFailed, match="the memory of the model cannot be cut back"):
        open_draft(load(), WatchedEcho(can_cut=False), loader, lambda _: None)


# In the loop


def test_a_draft_model_saves_steps_and_changes_no_answer() -> None:
    """The letters are not alike, so only the draft model can guess the first ones."""
    alone, helped = WatchedEcho(), WatchedEcho()
    request = Generate(1, LETTERS, Options(), 4000)

    plain = serve(alone, [request])[1]
    quick = serve(helped, [request], draft=drafting(WatchedEcho()))[1]

    assert quick.text == plain.text == LETTERS
    assert quick.finished.num_accepted > plain.finished.num_accepted
    assert len(helped.steps) < len(alone.steps)


def test_a_request_turns_the_draft_model_off() -> None:
    model = WatchedEcho()

    end = serve(WatchedEcho(), [Generate(1, LETTERS, Options(draft_num_predict=0), 4000)], draft=drafting(model))[1]

    assert (end.text, end.finished.num_drafted) == (LETTERS, 0)
    assert model.steps == []


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.text("abcdef ", max_size=60), min_size=1, max_size=7),
    pool=st.sampled_from([100, 4096]),
    cells=st.sampled_from([64, 4096]),
    is_true=st.booleans(),
)
def test_whatever_the_draft_model_says_the_answers_are_those_of_the_model(
    texts: list[str], pool: int, cells: int, is_true: bool
) -> None:
    class Lying(WatchedEcho):
        def likeliest(self, row: int) -> tuple[int, float]:
            return (super().likeliest(row)[0] if is_true else ord("b")), 1.0

    requests = [Generate(n, text, Options(), 90) for n, text in enumerate(texts)]

    served = serve(WatchedEcho(pool_tokens=pool), requests, draft=drafting(Lying(pool_tokens=cells)))

    for request in requests:
        assert served[request.id].text == expected_echo(request)[0]
