"""Prefixes on each kind of memory that llama.cpp has, on tiny random models: what was cached changes no answer."""

import random
from pathlib import Path

import pytest
from fakes.answers import Answer
from fakes.runner_process import RunnerProcess
from fakes.tiny_models import KINDS

from ollamapy.wire.options import Options
from ollamapy.wire.runner import Generate, Load

pytestmark = pytest.mark.weights

NUM_CTX = 256
TOLERANCE = 0.05
"""Of a log probability: cells are rounded to 16 bits, and the shape of a batch decides what is rounded when."""
ENDLESS = ((2, -100.0),)
"""Without the token that ends an answer: two that are about as good as each other must not decide about its length."""
BASE = "".join(random.Random(1).choice("abcdefgh ") for _ in range(100))
PROMPTS = [BASE, BASE, BASE + "xyz", BASE[:30] + "other", BASE + "xyz", BASE[:99], BASE[:40]]
"""The same again, longer, parted in the middle, shorter."""


def request(request_id: int, prompt: str, context: tuple[int, ...] = (), num_predict: int = 8) -> Generate:
    options = Options(temperature=0, num_predict=num_predict, num_keep=20, logit_bias=ENDLESS)
    told = {"num_top_logprobs": 0, "wants_tokens": True}
    return Generate(request_id, prompt, options, NUM_CTX, context=context, add_special=not context, **told)


def alone(path: Path, one: Generate) -> Answer:
    """The answer of a runner that has computed nothing before."""
    with RunnerProcess() as runner:
        runner.load(Load("llama", str(path), NUM_CTX, NUM_CTX, 1))
        return runner.generate(one)[0]


def assert_alike(one: Answer, other: Answer) -> None:
    """The same tokens with the same probabilities, up to where two tokens are equally good."""
    for mine, theirs in zip(one.logprobs, other.logprobs, strict=False):
        assert mine.logprob == pytest.approx(theirs.logprob, abs=TOLERANCE)
        if mine.bytes != theirs.bytes:
            return
    assert one.finished.tokens == other.finished.tokens


@pytest.fixture(scope="module", params=KINDS)
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / f"{request.param}.gguf"
    KINDS[request.param](path)
    return path


@pytest.fixture(scope="module")
def expected(tiny: Path) -> list[Answer]:
    answers = {prompt: alone(tiny, request(1, prompt)) for prompt in set(PROMPTS)}
    return [answers[prompt] for prompt in PROMPTS]


@pytest.mark.parametrize("pool_tokens", [1024, NUM_CTX])
def test_what_is_cached_changes_no_answer(tiny: Path, expected: list[Answer], pool_tokens: int) -> None:
    with RunnerProcess() as runner:
        runner.load(Load("llama", str(tiny), NUM_CTX, pool_tokens, 4))
        for index, prompt in enumerate(PROMPTS):
            assert_alike(runner.generate(request(index, prompt))[0], expected[index])
        together = runner.generate(*(request(100 + index, prompt) for index, prompt in enumerate(PROMPTS)))

        for answer, wanted in zip(together, expected, strict=True):
            assert_alike(answer, wanted)
        assert runner.close() == 0


def test_an_answer_is_gone_on_from_where_it_ended(tiny: Path) -> None:
    with RunnerProcess() as runner:
        runner.load(Load("llama", str(tiny), NUM_CTX, 1024, 4))
        first = runner.generate(request(1, BASE))[0]
        turn = request(2, " more", context=first.finished.tokens)

        second = runner.generate(turn)[0]

    assert_alike(second, alone(tiny, turn))
    assert second.finished.num_prompt_cached >= first.finished.num_prompt - 2


def test_a_context_shift_goes_on_past_the_context(tiny: Path) -> None:
    with RunnerProcess() as runner:
        runner.load(Load("llama", str(tiny), NUM_CTX, 1024, 4))

        answers = runner.generate(*(request(index, BASE, num_predict=400) for index in range(2)))

    assert [answer.finished.num_output for answer in answers] == [400, 400]


def test_a_prefix_outlives_its_runner(tiny: Path, expected: list[Answer], tmp_path: Path) -> None:
    snapshots = {"snapshot_folder": str(tmp_path), "snapshot_key": "tiny", "snapshot_bytes": 1 << 24}
    load = Load("llama", str(tiny), NUM_CTX, 1024, 4, **snapshots)
    with RunnerProcess() as runner:
        runner.load(load)
        runner.generate(request(1, BASE))
        assert runner.close() == 0

    with RunnerProcess() as runner:
        runner.load(load)
        answer = runner.generate(request(1, BASE))[0]

        assert_alike(answer, expected[0])
        assert answer.finished.num_prompt_cached >= 64


def test_what_left_the_pool_comes_back(tiny: Path, expected: list[Answer]) -> None:
    """A pool for one answer, and another prompt in between."""
    with RunnerProcess() as runner:
        runner.load(Load("llama", str(tiny), NUM_CTX, NUM_CTX, 4, host_cache_bytes=1 << 24))
        runner.generate(request(1, BASE))
        runner.generate(request(2, "nothing of the kind " * 11))

        answer = runner.generate(request(3, BASE))[0]

        assert_alike(answer, expected[0])
        assert answer.finished.num_prompt_cached >= 64
