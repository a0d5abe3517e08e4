"""A draft model on llama.cpp: real runners, the starter and tiny random models. It changes no answer."""

from pathlib import Path
from typing import Any

import pytest
from fakes.answers import Answer
from fakes.runner_process import RunnerProcess
from fakes.tiny_models import attention, recurrent, sliding_window

from ollamapy.wire.options import Options
from ollamapy.wire.runner import Generate, Load, Ready

pytestmark = pytest.mark.weights

NUM_CTX = 512
QUESTION = "<|im_start|>user\nWhat is the capital of France, and of Spain?<|im_end|>\n<|im_start|>assistant\n"


def answered(path: Path, draft: str, prompt: str, *, num_predict: int, **options: Any) -> tuple[Ready, Answer, str]:
    """The greedy answer of a fresh runner, which only its length ends, what it said of its load, and its stderr."""
    request = Generate(
        1,
        prompt,
        Options(temperature=0, num_predict=num_predict, logit_bias=((0, -100.0), (2, -100.0)), **options),
        NUM_CTX,
        wants_tokens=True,
        num_top_logprobs=2,
    )
    with RunnerProcess() as runner:
        ready = runner.load(Load("llama", str(path), NUM_CTX, 1024, 4, draft=draft))
        answer = runner.generate(request)[0]
        assert runner.close() == 0
        return ready, answer, runner.stderr


def assert_same(plain: Answer, helped: Answer) -> None:
    """The same tokens; the shape of a batch changes roundings, so they may part where the best two are as good."""
    for one, other in zip(plain.logprobs, helped.logprobs, strict=False):
        if one.bytes != other.bytes:
            assert one.top[0].logprob - one.top[1].logprob < 1.5  # ten times what roundings usually do
            return
    assert plain.finished.tokens == helped.finished.tokens


def test_the_starter_guesses_for_itself_and_says_what_it_says_alone(starter_gguf: Path) -> None:
    before, plain, _ = answered(starter_gguf, "", QUESTION, num_predict=24, draft_num_predict=0)
    after, helped, stderr = answered(starter_gguf, str(starter_gguf), QUESTION, num_predict=24)

    assert_same(plain, helped)
    assert plain.finished.num_drafted == 0
    assert helped.finished.num_accepted > 0
    assert after.warning == ""
    assert after.size_bytes > 1.5 * before.size_bytes
    assert "Traceback" not in stderr


def test_a_draft_model_of_other_tokens_is_a_warning(starter_gguf: Path, tmp_path: Path) -> None:
    draft = tmp_path / "tiny.gguf"
    attention(draft)

    ready, answer, stderr = answered(starter_gguf, str(draft), QUESTION, num_predict=3)

    reason = "its vocabulary has 259 tokens, that of the model 49152"
    assert ready.warning == f"the draft model is not used: {reason}"
    assert f"WARNING draft model not used reason={reason}" in stderr
    assert answer.finished.num_output == 3


@pytest.mark.parametrize("kind", [sliding_window, recurrent])
def test_a_memory_that_cannot_be_cut_back_is_a_warning(kind: object, tmp_path: Path) -> None:
    model, other = tmp_path / "model.gguf", tmp_path / "other.gguf"
    attention(model)
    kind(other)  # type: ignore[operator]

    drafting, _, _ = answered(model, str(other), "abc", num_predict=3)
    drafted, _, _ = answered(other, str(model), "abc", num_predict=3)

    assert drafting.warning == "the draft model is not used: its memory cannot be cut back"
    assert drafted.warning.startswith("the draft model is not used: the memory of the model cannot be cut back")


def test_a_file_that_is_no_model_is_a_warning(tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    attention(model)

    ready, answer, _ = answered(model, "/nowhere/draft.gguf", "abc", num_predict=3)

    assert ready.warning == "the draft model is not used: llama.cpp could not load draft.gguf"
    assert answer.finished.num_output == 3


def test_a_random_draft_changes_no_answer(tmp_path: Path) -> None:
    """It is wrong as often as not, over more tokens than the context holds."""
    model = tmp_path / "model.gguf"
    attention(model)

    _, plain, _ = answered(model, "", "a random text", num_predict=600, draft_num_predict=0)
    _, helped, stderr = answered(model, str(model), "a random text", num_predict=600)

    assert_same(plain, helped)
    assert "Traceback" not in stderr
