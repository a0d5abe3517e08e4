"""What a benchmark asks, by values."""

import pytest

from ollamapy.bench.plan import TASK, Scale, Script, Workload, order, parse_clients, words
from ollamapy.errors import InvalidInput

SCALE = Scale(30.0, 1.5)


def test_the_scale_goes_through_both_measured_prompts() -> None:
    scale = Scale.of((20, 60), (80, 150))

    assert scale == Scale(30.0, 1.5)
    assert scale.num_words(150, is_whole_prompt=True) == 80
    assert scale.num_words(150, is_whole_prompt=False) == 100


@pytest.mark.parametrize("counts", [((20, 0), (80, 0)), ((20, 60), (80, 60)), ((20, 60), (80, 10)), ((5, 1), (5, 9))])
def test_a_server_that_reports_no_lengths_gets_a_guess(counts: tuple[tuple[int, int], tuple[int, int]]) -> None:
    assert Scale.of(*counts) == Scale(20.0, 1.3)


def test_a_prompt_shorter_than_its_template_still_has_a_word() -> None:
    assert SCALE.num_words(3, is_whole_prompt=True) == 1


def test_the_same_numbers_give_the_same_texts() -> None:
    script = Script(Workload(shared_prefix=60), SCALE, "a", 1)

    assert script.question(2, 0) == Script(Workload(shared_prefix=60), SCALE, "a", 1).question(2, 0)
    assert script.opening() == Script(Workload(shared_prefix=60), SCALE, "a", 1).opening()


def test_no_two_questions_begin_alike() -> None:
    asked = {
        " ".join(Script(Workload(), SCALE, name, run).question(client, turn).content.split()[:12])
        for name in ("a", "b")
        for run in range(3)
        for client in range(16)
        for turn in range(2)
    }

    assert len(asked) == 2 * 3 * 16 * 2


def test_the_first_prompt_counts_the_templates_tokens_and_later_turns_do_not() -> None:
    script = Script(Workload(prompt_tokens=150), SCALE, "a", 0)

    assert len(script.question(0, 0).content.removesuffix(TASK).split()) == 80
    assert len(script.question(0, 1).content.removesuffix(TASK).split()) == 100


def test_every_run_has_a_shared_prefix_of_its_own_unless_it_is_to_be_warm() -> None:
    cold, warm = Workload(shared_prefix=30), Workload(shared_prefix=30, is_warm=True)

    assert Script(cold, SCALE, "a", 0).opening() != Script(cold, SCALE, "a", 1).opening()
    assert Script(warm, SCALE, "a", 0).opening() == Script(warm, SCALE, "a", 1).opening()
    assert len(Script(cold, SCALE, "a", 0).opening()[0].content.split()) == 20


def test_without_a_shared_prefix_there_is_no_system_message() -> None:
    assert Script(Workload(), SCALE, "a", 0).opening() == ()


def test_as_many_words_as_asked_for_come() -> None:
    assert len(words(50, "seed").split()) == 50


def test_clients_are_numbers_with_commas_between() -> None:
    assert parse_clients("1,2, 16") == (1, 2, 16)


@pytest.mark.parametrize("text", ["", "a", "1,,2", "0", "-1", "1025", "1;2", "1.5"])
def test_other_numbers_of_clients_are_refused_with_what_was_wanted(text: str) -> None:
    with pytest.raises(InvalidInput, match="--clients must be numbers from 1 to 1024"):
        parse_clients(text)


@pytest.mark.parametrize(
    ("workload", "name"),
    [
        (Workload(prompt_tokens=0), "prompt-tokens"),
        (Workload(output_tokens=0), "output-tokens"),
        (Workload(shared_prefix=-1), "shared-prefix"),
        (Workload(turns=0), "turns"),
        (Workload(prompt_tokens=10**9), "prompt-tokens"),
    ],
)
def test_lengths_that_make_no_sense_are_refused(workload: Workload, name: str) -> None:
    with pytest.raises(InvalidInput, match=f"--{name} must be between"):
        workload.check()


def test_a_chat_fits_the_context_that_is_made_for_it() -> None:
    assert Workload(100, 50, 1000, 10).context_tokens >= 1000 + 10 * 150


def test_the_second_run_of_a_pair_begins_with_the_other_target() -> None:
    assert [list(order(2, run)) for run in range(3)] == [[0, 1], [1, 0], [0, 1]]
