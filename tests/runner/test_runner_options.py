"""Options that reach the engine: types of the KV cache, attention, locks, batches, seeds, biases, log probabilities."""

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from fakes.answers import Answer
from fakes.runner_process import RunnerProcess, environment

from ollamapy.units import KV_TYPE_BITS
from ollamapy.wire.options import Options
from ollamapy.wire.runner import Generate, Load, LoadError, Loading

pytestmark = pytest.mark.weights

ABORT = Path(__file__).parents[1] / "fakes" / "llama_abort.py"
QUESTION = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
STORY = "Once upon a time there was a small cat"
OTHERS = ["One, two,", QUESTION, "def add(a, b):", "The weather today is"]
IDS = count(1)


def load_request(path: Path, **fields: Any) -> Load:
    return Load("llama", str(path), 512, 2048, 8, **fields)


def request(prompt: str, fields: Any = None, **options: Any) -> Generate:
    return Generate(next(IDS), prompt, Options(**options), 512, wants_tokens=True, **(fields or {}))


def answer(runner: RunnerProcess, prompt: str, fields: Any = None, **options: Any) -> Answer:
    (found,) = runner.generate(request(prompt, fields, **options))
    return found


def said(found: Answer) -> tuple[int, ...]:
    return found.finished.tokens[found.finished.num_prompt :]


@pytest.fixture
def fresh() -> Iterator[RunnerProcess]:
    with RunnerProcess() as process:
        yield process


@pytest.fixture(scope="module")
def runner(starter_gguf: Path) -> Iterator[RunnerProcess]:
    with RunnerProcess() as process:
        process.load(load_request(starter_gguf))
        yield process
        assert process.close() == 0, process.stderr


@pytest.mark.parametrize("kv_type", KV_TYPE_BITS)
def test_every_type_of_cache_still_knows_paris(fresh: RunnerProcess, starter_gguf: Path, kv_type: str) -> None:
    ready = fresh.load(load_request(starter_gguf, kv_type=kv_type))

    assert "Paris" in answer(fresh, QUESTION, temperature=0, num_predict=30).text
    assert fresh.close() == 0
    assert f"K ({kv_type})" in fresh.stderr
    assert f"V ({kv_type})" in fresh.stderr
    cells = 2048 * 2 * 30 * 192
    assert ready.size_bytes == pytest.approx(96_600_000 + cells * KV_TYPE_BITS[kv_type] / 8, rel=0.01)


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"flash_attention": False}, "flash_attn = disabled"),
        ({"flash_attention": True}, "flash_attn = enabled"),
        ({}, "flash_attn = auto"),
        ({"kv_type": "q4_0"}, "flash_attn = enabled"),
        ({"num_batch": 128}, "n_ubatch = 128"),
        ({"num_batch": 2**40}, "n_ubatch = 2048"),
    ],
)
def test_what_is_asked_is_what_llama_says_it_does(
    fresh: RunnerProcess, starter_gguf: Path, fields: dict[str, Any], line: str
) -> None:
    fresh.load(load_request(starter_gguf, **fields))

    assert "Paris" in answer(fresh, QUESTION, temperature=0, num_predict=30).text
    assert fresh.close() == 0
    assert line in " ".join(fresh.stderr.split())


def test_a_quantized_cache_without_flash_attention_is_refused_with_what_to_do(
    fresh: RunnerProcess, starter_gguf: Path
) -> None:
    fresh.send(load_request(starter_gguf, kv_type="q8_0", flash_attention=False))
    while isinstance(event := fresh.receive(), Loading):
        pass

    assert event == LoadError(
        "a q8_0 KV cache needs flash attention, and that is off",
        "leave flash_attention (OLLAMA_FLASH_ATTENTION) out, or set kv_type f16",
        "load_failed",
    )


@pytest.mark.parametrize("use_mmap", [True, False, None])
def test_weights_are_locked_in_memory_or_the_log_says_why_not(
    fresh: RunnerProcess, starter_gguf: Path, use_mmap: bool | None
) -> None:
    fresh.load(load_request(starter_gguf, use_mlock=True, use_mmap=use_mmap))
    status = Path(f"/proc/{fresh.pid}/status").read_text()
    (locked_kib,) = (int(line.split()[1]) for line in status.splitlines() if line.startswith("VmLck:"))

    assert fresh.close() == 0
    assert locked_kib > 80_000 or "failed to mlock" in fresh.stderr


def test_the_same_seed_says_the_same_alone_and_in_company(runner: RunnerProcess) -> None:
    """At a heat where all tokens are equally likely to the last bit: roundings depend on company and cells."""
    asked: dict[str, Any] = {"seed": 7, "temperature": 1e30, "top_k": 0, "top_p": 1.0, "num_predict": 25}
    alone = [said(answer(runner, STORY, **asked)) for _ in range(2)]

    company = [request(text, seed=k, temperature=1.5, num_predict=40) for k, text in enumerate(OTHERS)]
    together = runner.generate(company[0], request(STORY, **asked), *company[1:], request(STORY, **asked))

    assert [alone[1], said(together[1]), said(together[-1])] == [alone[0]] * 3


def test_another_seed_says_something_else(runner: RunnerProcess) -> None:
    said_by_seed = {said(answer(runner, STORY, seed=seed, temperature=1.5, num_predict=25)) for seed in (7, 8, 9)}

    assert len(said_by_seed) == 3


def test_what_a_long_prompt_beside_it_does_to_a_seed_is_rounding_and_no_draw(runner: RunnerProcess) -> None:
    """Attention over 64 tokens and more at once is another kernel, so only what is not in doubt stays the same."""
    asked: dict[str, Any] = {"seed": 11, "temperature": 0.1, "num_predict": 5}
    sure = "10, 20, 30, 40, 50, 60,"
    alone = said(answer(runner, sure, **asked))

    long = [request(f"word {k} " * 120, seed=k, num_predict=2) for k in range(3)]
    together = runner.generate(long[0], request(sure, **asked), *long[1:])

    assert said(together[1]) == alone


def test_a_bias_makes_and_breaks_tokens(runner: RunnerProcess) -> None:
    free = said(answer(runner, STORY, temperature=0, num_predict=3))
    banned = said(answer(runner, STORY, temperature=0, num_predict=3, logit_bias=((free[0], -100.0),)))
    forced = said(answer(runner, STORY, temperature=0, num_predict=3, logit_bias=((free[0], 100.0),)))

    assert free[0] not in banned
    assert forced == free[:1] * 3


def test_a_bias_on_no_token_is_refused_and_nobody_else_notices(runner: RunnerProcess) -> None:
    refused, fine = runner.generate(
        request(STORY, logit_bias=((10**6, 1.0),)), request(STORY, temperature=0, num_predict=2)
    )

    assert refused.refusal.code == "invalid"
    assert "1000000, which the model does not have" in refused.refusal.message
    assert fine.finished.num_output == 2


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 1.8, "seed": 3, "top_k": 5},
        {"temperature": 0, "logit_bias": ((253, 3.0),), "repeat_penalty": 1.5},
        {"mirostat": 2, "seed": 3},
    ],
)
def test_log_probabilities_are_the_models_own_whatever_the_samplers_do(
    runner: RunnerProcess, options: dict[str, Any]
) -> None:
    plain = answer(runner, STORY, {"num_top_logprobs": 20}, temperature=0, num_predict=1)
    bent = answer(runner, STORY, {"num_top_logprobs": 20}, num_predict=1, **options)

    before, after = ({entry.token: entry.logprob for entry in one.logprobs[0].top} for one in (plain, bent))
    for token in list(before)[:3]:
        assert after[token] == pytest.approx(before[token], abs=0.8)  # roundings; heat would change them by 1.5
    assert sum(map(math.exp, after.values())) <= 1.0


def test_a_grammar_leaves_log_probabilities_alone(runner: RunnerProcess) -> None:
    fields = {"num_top_logprobs": 5, "grammar": 'root ::= "\U0001f642"'}
    (first, *_) = answer(runner, STORY, fields, temperature=0, num_predict=1).logprobs

    assert first.logprob < first.top[-1].logprob, "the model would not have said it"
    assert len(first.top) == 5


def test_a_step_can_be_aborted_from_another_thread(starter_gguf: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ABORT), str(starter_gguf)], capture_output=True, text=True, env=environment(), timeout=600
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["share"] < 0.7, "it went on to the end"
    del found["share"]
    assert found == {"outcome": "aborted", "removed": True, "same": True, "early": "aborted", "whole": "ok"}
