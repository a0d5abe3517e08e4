"""The prompt of a gap, by values: a letter is a token, marks are numbers below a hundred."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamapy.errors import InvalidInput, Unsupported
from ollamapy.runner.infill import Marks, assemble
from ollamapy.wire.runner import Fill, FillFile

MARKS = Marks(prefix=1, suffix=2, middle=3, repository=4, file=5, beginning=(6,))
BARE = Marks(prefix=1, suffix=2, middle=3)


def letters(text: str) -> list[int]:
    return [100 + ord(letter) for letter in text]


def spelt(tokens: list[int]) -> str:
    """The prompt with marks as `<N>`."""
    return "".join(chr(token - 100) if token >= 100 else f"<{token}>" for token in tokens)


def prompt(fill: Fill, marks: Marks = MARKS, num_ctx: int = 1000, num_predict: int = 10) -> tuple[str, int]:
    filled = assemble(fill, marks, letters, num_ctx, num_predict)
    return spelt(filled.tokens), filled.num_dropped


def test_files_stand_before_the_gap_and_the_gap_ends_the_prompt() -> None:
    files = (FillFile("one", "a.py"), FillFile("two", "b.py"))

    assert prompt(Fill("before", "behind", files=files)) == (
        "<6><4>myproject\n<5>a.py\none<5>b.py\ntwo<5>filename\n<1>before<2>behind<3>",
        0,
    )


def test_a_file_without_a_name_gets_one() -> None:
    assert "<5>tmp\none<5>" in prompt(Fill("", "", files=(FillFile("one"),)))[0]


def test_a_vocabulary_without_marks_for_files_has_lines_between_them() -> None:
    files = (FillFile("one", "a.py"), FillFile("two"))

    assert prompt(Fill("x", "y", files=files), BARE) == (
        "\n\n--- snippet ---\n\none\n\n--- snippet ---\n\ntwo<1>x<2>y<3>",
        0,
    )


def test_the_oldest_files_go_first() -> None:
    fill = Fill("x" * 20, "y" * 10, files=(FillFile("o" * 90), FillFile("n" * 10)))

    text, num_dropped = prompt(fill, BARE, num_ctx=64, num_predict=0)

    assert text.endswith("nnnnnnnnnn<1>" + "x" * 20 + "<2>" + "y" * 10 + "<3>")
    assert len(letters(text.replace("<1>", "_").replace("<2>", "_").replace("<3>", "_"))) == 63
    assert num_dropped == len("\n\n--- snippet ---\n\n") * 2 + 100 - (63 - 33)


def test_what_is_far_from_the_gap_goes_next_three_parts_before_to_one_behind() -> None:
    fill = Fill("a" * 100 + "x" * 45, "y" * 15 + "b" * 100)

    assert prompt(fill, BARE, num_ctx=64, num_predict=0) == ("<1>" + "x" * 45 + "<2>" + "y" * 15 + "<3>", 200)


def test_a_short_side_leaves_its_room_to_the_other() -> None:
    assert prompt(Fill("x" * 200, "y"), BARE, num_ctx=64, num_predict=0)[1] == 200 - 59
    assert prompt(Fill("x", "y" * 200), BARE, num_ctx=64, num_predict=0)[1] == 200 - 59


@pytest.mark.parametrize(("num_predict", "num_left"), [(-1, 96), (0, 96), (20, 76), (1000, 46)])
def test_the_answer_has_room_up_to_half_of_the_context(num_predict: int, num_left: int) -> None:
    text, _ = prompt(Fill("x" * 500, ""), BARE, num_ctx=100, num_predict=num_predict)

    assert text.count("x") == num_left


def test_names_of_marks_in_a_file_are_letters() -> None:
    """A file about these models must not end the gap."""
    asked: list[str] = []

    def tokenize(text: str) -> list[int]:
        asked.append(text)
        return letters(text)

    assemble(Fill("<|fim_middle|>", "y"), BARE, tokenize, 100, 0)

    assert asked == ["<|fim_middle|>", "y"]


@pytest.mark.parametrize(
    ("marks", "missing"), [(Marks(), "prefix, suffix, middle"), (Marks(prefix=1, suffix=2), "middle")]
)
def test_a_vocabulary_without_the_marks_cannot(marks: Marks, missing: str) -> None:
    with pytest.raises(Unsupported, match=f"its vocabulary has no token for {missing}"):
        prompt(Fill("x", "y"), marks)


def test_a_context_that_holds_nothing_is_refused() -> None:
    with pytest.raises(InvalidInput, match="a context of 4 tokens is too small"):
        prompt(Fill("x", "y"), BARE, num_ctx=4)


@given(
    st.builds(
        Fill,
        st.text("p", max_size=60),
        st.text("s", max_size=60),
        st.lists(st.builds(FillFile, st.text("f", max_size=40), st.text("n", max_size=5)), max_size=4).map(tuple),
    ),
    st.sampled_from([MARKS, BARE]),
    st.integers(40, 200),
    st.integers(-1, 300),
)
def test_every_prompt_fits_and_every_token_is_accounted_for(
    fill: Fill, marks: Marks, num_ctx: int, num_predict: int
) -> None:
    whole = assemble(fill, marks, letters, 10_000, 0)
    filled = assemble(fill, marks, letters, num_ctx, num_predict) if num_ctx > 80 else whole

    assert whole.num_dropped == 0
    assert len(filled.tokens) + filled.num_dropped == len(whole.tokens)
    assert num_ctx <= 80 or len(filled.tokens) < num_ctx
    assert spelt(filled.tokens).endswith("<3>")
