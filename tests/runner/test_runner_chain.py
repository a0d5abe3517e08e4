"""What options do to the choice of a token: llama.cpp's samplers in a child, over logits that stand still.

Eight tokens stand out of the vocabulary; all others are out of reach. A case's answer is which of the eight were drawn,
one after the other, from the same logits.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fakes.runner_process import environment

pytestmark = pytest.mark.weights

CHAINS = Path(__file__).parents[1] / "fakes" / "llama_chains.py"
TEXTS = [" a", " b", " c", " d", " e", " f", " g", " h"]
LOGITS = [10.0, 9.5, 9.0, 8.0, 7.0, 5.0, 3.0, 1.0]
"""Probabilities: .46 .28 .17 .06 .02 .003 .0004 .00006."""


def case(*, count: int = 300, prompt: tuple[int, ...] = (), bias: Any = (), **options: Any) -> dict[str, Any]:
    free = {"top_k": 0, "top_p": 1.0, "temperature": 1.0, "seed": 1}
    return {"count": count, "prompt": prompt, "bias": bias, "options": {**free, **options}}


def greedy(*, count: int = 8, **fields: Any) -> dict[str, Any]:
    return case(count=count, temperature=0.0, **fields)


CASES = {
    "free": case(),
    "free again": case(),
    "another seed": case(seed=2),
    "a seed of 64 bits": case(seed=2**62 + 1),
    "greedy": greedy(),
    "hardly warm": case(temperature=1e-30),
    "hot": case(temperature=5.0),
    "top_k": case(top_k=2),
    "a top_k past any vocabulary": case(top_k=2**63 - 1),
    "top_p": case(top_p=0.7),
    "min_p": case(min_p=0.3),
    "typical_p": case(typical_p=0.2),
    "top_n_sigma": case(top_n_sigma=2.0),
    "xtc": case(xtc_probability=1.0, xtc_threshold=0.1),
    "xtc by chance": case(xtc_probability=0.5, xtc_threshold=0.1),
    "xtc by chance again": case(xtc_probability=0.5, xtc_threshold=0.1),
    "dynamic, sure": case(dynatemp_range=1.0, dynatemp_exponent=50.0),
    "mirostat 1, no surprise": case(mirostat=1, mirostat_tau=0.0),
    "mirostat 2, no surprise": case(mirostat=2, mirostat_tau=0.0),
    "mirostat 1": case(mirostat=1, mirostat_tau=3.0),
    "mirostat 2": case(mirostat=2, mirostat_tau=3.0),
    "mirostat 2 again": case(mirostat=2, mirostat_tau=3.0),
    "mirostat, greedy": greedy(mirostat=2),
    "mirostat with top_k": case(mirostat=2, mirostat_tau=3.0, top_k=1),
    "other samplers are left out": case(samplers=["top_k"], top_k=3, temperature=0.01, min_p=1.0),
    "hot, then cut": case(samplers=["temperature", "min_p"], temperature=100.0, min_p=0.95),
    "cut, then hot": case(samplers=["min_p", "temperature"], temperature=100.0, min_p=0.95),
    "joined": case(samplers=["infill"]),
    "banned": case(bias=[(0, -100.0), (1, -100.0)]),
    "forced": case(bias=[(7, 100.0)]),
    "forced, greedy": greedy(bias=[(7, 100.0)]),
    "a bias on no token": case(bias=[(10**6, 1.0)]),
    "a bias below all tokens": case(bias=[(-1, 1.0)]),
    "presence": greedy(presence_penalty=1.2, repeat_last_n=3),
    "presence in the prompt": greedy(presence_penalty=100.0, repeat_last_n=2, prompt=(5, 0, 1), count=1),
    "presence past the window": greedy(presence_penalty=100.0, repeat_last_n=1, prompt=(0, 1), count=1),
    "no window": greedy(presence_penalty=100.0, repeat_last_n=0),
    "a window past all memory": greedy(presence_penalty=100.0, repeat_last_n=2**62),
    "repeat": greedy(repeat_penalty=1.2, repeat_last_n=-1, count=2),
    "dry": greedy(dry_multiplier=5.0, dry_allowed_length=1, prompt=(2, 3, 2), bias=[(3, 5.0)], count=1),
    "dry, long enough": greedy(dry_multiplier=5.0, dry_allowed_length=2, prompt=(2, 3, 2), bias=[(3, 5.0)], count=1),
    "dry, broken": greedy(
        dry_multiplier=5.0,
        dry_allowed_length=1,
        dry_sequence_breakers=[" c"],
        prompt=(2, 3, 2),
        bias=[(3, 5.0)],
        count=1,
    ),
    "dry, short window": greedy(
        dry_multiplier=5.0, dry_allowed_length=1, dry_penalty_last_n=1, prompt=(2, 3, 2), bias=[(3, 5.0)], count=1
    ),
    **{f"dry number {k}": greedy(dry_multiplier=1.0 + k, count=1) for k in range(20)},
}


@pytest.fixture(scope="module")
def drawn(starter_gguf: Path) -> dict[str, Any]:
    line = json.dumps({"path": str(starter_gguf), "texts": TEXTS, "logits": LOGITS, "cases": CASES})
    done = subprocess.run(
        [sys.executable, str(CHAINS)], input=line, capture_output=True, text=True, env=environment(), timeout=600
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_free_choices_follow_the_probabilities(drawn: dict[str, Any]) -> None:
    counts = Counter(drawn["free"])

    assert set(counts) <= set(range(8))
    assert counts[0] == pytest.approx(0.46 * 300, abs=35)
    assert counts[1] == pytest.approx(0.28 * 300, abs=35)
    assert len(counts) >= 4


@pytest.mark.parametrize("name", ["free", "xtc by chance", "mirostat 2"])
def test_the_same_seed_draws_the_same_tokens(drawn: dict[str, Any], name: str) -> None:
    assert drawn[name] == drawn[f"{name} again"]


def test_another_seed_draws_other_tokens(drawn: dict[str, Any]) -> None:
    assert drawn["free"] != drawn["another seed"]


def test_a_seed_counts_by_its_low_32_bits(drawn: dict[str, Any]) -> None:
    assert drawn["a seed of 64 bits"] == drawn["free"]


@pytest.mark.parametrize("name", ["greedy", "hardly warm", "mirostat, greedy"])
def test_at_temperature_0_the_likeliest_token_wins(drawn: dict[str, Any], name: str) -> None:
    assert set(drawn[name]) == {0}


def test_heat_brings_out_what_is_unlikely(drawn: dict[str, Any]) -> None:
    assert set(drawn["hot"]) >= {3, 4, 5, 6}


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("top_k", {0, 1}),
        ("top_p", {0, 1}),
        ("min_p", {0, 1, 2}),
        ("top_n_sigma", {0, 1, 2}),
        ("xtc", {2, 3, 4, 5, 6, 7}),
        ("banned", {2, 3, 4, 5, 6, 7}),
        ("forced", {7}),
        ("forced, greedy", {7}),
        ("mirostat 1, no surprise", {0}),
        ("mirostat 2, no surprise", {0}),
        ("dynamic, sure", {0}),
        ("other samplers are left out", {0, 1, 2}),
    ],
)
def test_a_sampler_leaves_these_tokens(drawn: dict[str, Any], name: str, left: set[int]) -> None:
    found = set(drawn[name])

    assert found <= left
    assert {0, 1, 2} & left <= found or left == {7}


def test_a_top_k_past_the_vocabulary_cuts_nothing(drawn: dict[str, Any]) -> None:
    assert set(drawn["a top_k past any vocabulary"]) >= {0, 1, 2, 3, 4}


def test_the_sampler_for_gaps_leaves_tokens_that_are_not_unlikely(drawn: dict[str, Any]) -> None:
    assert {0, 1} <= set(drawn["joined"]) <= {0, 1, 2, 3}


def test_typical_sampling_leaves_out_the_likeliest_when_it_says_little(drawn: dict[str, Any]) -> None:
    assert set(drawn["typical_p"]) == {1}


def test_xtc_strikes_as_often_as_it_is_told(drawn: dict[str, Any]) -> None:
    """Its victims are the tokens 0 and 1, which otherwise come in three of four."""
    counts = Counter(drawn["xtc by chance"])

    assert 0.2 * 300 < counts[0] + counts[1] < 0.55 * 300


@pytest.mark.parametrize("name", ["mirostat 1", "mirostat 2"])
def test_mirostat_draws_and_ignores_what_cuts_off(drawn: dict[str, Any], name: str) -> None:
    assert len(set(drawn[name])) >= 3
    assert len(set(drawn["mirostat with top_k"])) >= 3


def test_the_order_of_samplers_is_that_of_the_request(drawn: dict[str, Any]) -> None:
    assert {0, 1, 2, 3, 4} <= set(drawn["hot, then cut"]) <= {0, 1, 2, 3, 4, 5}
    assert set(drawn["cut, then hot"]) == {0}


@pytest.mark.parametrize("name", ["a bias on no token", "a bias below all tokens"])
def test_a_bias_on_what_is_no_token_is_refused(drawn: dict[str, Any], name: str) -> None:
    assert drawn[name].endswith("which the model does not have")


def test_presence_is_punished_while_it_is_remembered(drawn: dict[str, Any]) -> None:
    """Of three that are remembered the first is still the likeliest; it counts once, however often it was said."""
    assert drawn["presence"] == [0, 1, 2, 0, 0, 1, 2, 0]


def test_a_prompt_counts_as_far_as_the_window_reaches(drawn: dict[str, Any]) -> None:
    assert drawn["presence in the prompt"] == [2]
    assert drawn["presence past the window"] == [0]
    assert drawn["no window"] == [0] * 8


def test_a_window_without_end_is_the_context(drawn: dict[str, Any]) -> None:
    assert drawn["a window past all memory"] == list(range(8))


def test_a_repeat_costs_a_part_of_the_logit(drawn: dict[str, Any]) -> None:
    assert drawn["repeat"] == [0, 1]


def test_dry_punishes_what_would_repeat_the_prompt(drawn: dict[str, Any]) -> None:
    """After `c d c`, `d` would go on as before; it is the likeliest by its bias."""
    assert drawn["dry"] == [0]


@pytest.mark.parametrize("name", ["dry, long enough", "dry, broken", "dry, short window"])
def test_dry_lets_short_broken_and_old_repeats_pass(drawn: dict[str, Any], name: str) -> None:
    assert drawn[name] == [3]


def test_more_kinds_of_dry_than_are_kept_work_all_the_same(drawn: dict[str, Any]) -> None:
    assert [drawn[f"dry number {k}"] for k in range(20)] == [[0]] * 20
