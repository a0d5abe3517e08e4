"""Steps with drafts and steps without are compared by the tokens that a second gives."""

from ollamapy.runner.payoff import Payoff


def play(payoff: Payoff, num_steps: int, *, drafted: float, plain: float) -> str:
    """Which of the next steps have drafts (d) and which not (-); a token takes so many seconds with and without."""
    steps = ""
    for _ in range(num_steps):
        is_on = payoff.is_on
        steps += "d" if is_on else "-"
        num_tokens = 3 if is_on else 1
        payoff.observe(is_on, num_tokens * (drafted if is_on else plain), num_tokens)
    return steps


def test_drafts_that_pay_stay_on_but_for_comparisons() -> None:
    assert play(Payoff(), 8 + 4 + 64 + 4 + 2, drafted=1.0, plain=2.0) == "d" * 8 + "-" * 4 + "d" * 64 + "-" * 4 + "dd"


def test_drafts_that_do_not_pay_are_tried_again_less_and_less_often() -> None:
    steps = play(Payoff(), 2000, drafted=2.0, plain=1.0)

    rests = [len(rest) - 4 for rest in steps.split("d" * 8)[1:]]
    assert rests[:5] == [16, 64, 256, 256, 256]


def test_drafts_that_come_to_pay_stay_on() -> None:
    payoff = Payoff()
    play(payoff, 8 + 4 + 16, drafted=2.0, plain=1.0)

    assert play(payoff, 8 + 4 + 64, drafted=1.0, plain=2.0) == "d" * 8 + "-" * 4 + "d" * 64


def test_a_rest_is_short_again_after_drafts_have_paid() -> None:
    payoff = Payoff()
    play(payoff, 8 + 4 + 16 + 8 + 4 + 64, drafted=2.0, plain=1.0)
    play(payoff, 8 + 4, drafted=1.0, plain=2.0)

    assert play(payoff, 64 + 4 + 16 + 1, drafted=2.0, plain=1.0) == "d" * 64 + "-" * (4 + 16) + "d"


def test_a_step_that_had_no_draft_although_it_could_counts_for_nothing() -> None:
    payoff = Payoff()
    play(payoff, 7, drafted=1.0, plain=2.0)

    for _ in range(100):
        payoff.observe(False, 0.0, 1)

    assert play(payoff, 2, drafted=1.0, plain=2.0) == "d-"


def test_steps_without_tokens_are_no_harm() -> None:
    payoff = Payoff()
    for _ in range(8):
        payoff.observe(True, 1.0, 0)

    assert not payoff.is_on
