"""The gate before an answer: where reasoning ends, who ends it, and what the grammar gets to see."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamapy.runner.thinking import ThinkingGate, ThinkingSampler
from ollamapy.wire.runner import Thinking

END = 0
"""The token that ends an answer; the others are characters."""


class Script:
    """A sampler whose model writes a text when it is free, and another when a grammar holds it."""

    def __init__(self, free: Iterable[str], held: str) -> None:
        self.pieces: list[bytes] = [b""]
        self._free = [self.token(text.encode()) for text in free]
        self._held = [self.token(char.encode()) for char in held]
        self.num_held = 0

    def token(self, piece: bytes) -> int:
        self.pieces.append(piece)
        return len(self.pieces) - 1

    def sample(self, row: int) -> int:
        self.num_held += 1
        return self._held.pop(0) if self._held else END

    def choose_free(self, row: int) -> int:
        return self._free[0] if self._free else END

    def accept_free(self, token: int) -> None:
        if self._free and token == self._free[0]:
            self._free.pop(0)

    def close(self) -> None: ...


def answer(free: Iterable[str], held: str, gate: ThinkingGate, limit: int = 200) -> str:
    """What is written by a model that thinks `free` and answers `held`."""
    script = Script(free, held)
    sampler = ThinkingSampler(
        script,
        gate,
        lambda text: [script.token(char.encode()) for char in text],
        lambda token: script.pieces[token],
        lambda token: token == END,
    )
    written = []
    for _ in range(limit):
        token = sampler.sample(0)
        if token == END:
            return b"".join(written).decode()
        written.append(script.pieces[token])
    return b"".join(written).decode()


def gate(budget: int = -1, *, is_open: bool = False, is_held: bool = True, ending: str = "") -> ThinkingGate:
    return ThinkingGate(Thinking("<think>", "</think>", ending, is_open, budget), is_held=is_held)


def test_the_grammar_starts_where_the_reasoning_ends() -> None:
    assert answer("<think>why</think>\n\nfree", "{}", gate()) == "<think>why</think>\n\n{}"


def test_an_answer_without_reasoning_is_under_the_grammar_from_its_first_token() -> None:
    assert answer("Sure! Here", "{}", gate()) == "{}"


def test_the_end_of_an_answer_that_never_began_is_left_to_the_grammar() -> None:
    assert answer("", "{}", gate()) == "{}"


def test_a_prompt_that_opened_the_reasoning_needs_no_opening() -> None:
    assert answer("why</think>", "{}", gate(is_open=True)) == "why</think>{}"


def test_a_model_that_ends_while_it_thinks_still_answers() -> None:
    held = gate()

    assert answer("<think>why", "{}", held) == "<think>why</think>{}"
    assert held.is_cut


def test_a_tag_that_was_begun_is_ended() -> None:
    assert answer(["<thi", "ngs>"], "{}", gate()) == "<think>ngs></think>{}"


def test_a_token_that_runs_past_the_closing_tag_is_not_taken() -> None:
    assert answer(["<think>", "a", "</think>Sure"], "{}", gate()) == "<think>a</think>{}"
    assert answer(["<think>", "a</", "think>Sure"], "{}", gate()) == "<think>a</think>{}"


def test_white_space_before_the_held_part_is_bounded() -> None:
    assert answer([*["\n"] * 50], "{}", gate()) == "\n" * 4 + "{}"
    assert answer(["<think>", "</think>", *["\n"] * 50], "{}", gate()) == "<think></think>" + "\n" * 4 + "{}"


def test_a_spent_budget_closes_the_reasoning_with_the_ending() -> None:
    held = gate(3, ending="\n</think>\n\n")

    assert answer("<think>abcdef", "{}", held) == "<think>abc\n</think>\n\n{}"
    assert held.is_cut


def test_a_budget_of_nothing_closes_at_once() -> None:
    assert answer("<think>abc", "{}", gate(0)) == "<think></think>{}"
    assert answer("abc", "{}", gate(0, is_open=True)) == "</think>{}"


def test_a_budget_that_is_not_reached_changes_nothing() -> None:
    held = gate(3)

    assert answer("<think>abc</think>", "{}", gate(11)) == "<think>abc</think>{}"
    assert not held.is_cut


def test_a_closing_tag_that_was_begun_at_the_budget_is_ended() -> None:
    assert answer(["<think>", "a", "</"], "{}", gate(2, ending="\n</think>\n\n")) == "<think>a</think>\n\n{}"


def test_without_a_grammar_the_gate_only_minds_the_budget() -> None:
    """What comes after it is the sampler's own again."""
    assert answer("S", "ure!", gate(3, is_held=False)) == "Sure!"
    assert answer("<think>a</think>", "b", gate(20, is_held=False)) == "<think>a</think>b"
    assert answer("<think>abc", "d", gate(2, is_held=False)) == "<think>ab</think>d"


@pytest.mark.parametrize("budget", [-1, 0, 2, 30])
@given(
    text=st.text(alphabet="<think>/ a\n", max_size=40),
    cuts=st.sets(st.integers(1, 39)),
    is_open=st.booleans(),
)
def test_what_the_grammar_holds_always_comes_whole_and_last(
    budget: int, text: str, cuts: set[int], is_open: bool
) -> None:
    """However the model words its reasoning, and however its tokens cut it."""
    bounds = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    pieces = [text[start:end] for start, end in pairwise(bounds) if start < end]

    written = answer(pieces, "{}", gate(budget, is_open=is_open))

    before, found, after = written.rpartition("{}")
    assert (found, after) == ("{}", "")
    assert is_open or not before.strip() or before.strip().startswith("<think>")
    assert not before.strip() or before.count("</think>") == 1
