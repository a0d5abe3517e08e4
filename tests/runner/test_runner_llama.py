"""The runner on llama.cpp and the starter's real weights. llama.cpp is loaded in children only."""

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
from fakes.daemon_process import wait_until
from fakes.gguf_files import tiny_model
from fakes.runner_process import RunnerProcess, environment
from hypothesis import given, settings
from hypothesis import strategies as st

from ollamapy.wire.options import Options
from ollamapy.wire.runner import Cancel, Detokenize, Generate, Load, Loading, Ready, Text, Tokenize, Tokens

pytestmark = pytest.mark.weights

LOGITS = Path(__file__).parents[1] / "fakes" / "llama_logits.py"
"""A path, not an import: these tests are also collected where llama.cpp is not installed."""

STORY = "Once upon a time there was a small cat"
QUESTION = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
SURE = [
    QUESTION + "The",
    "10, 20, 30, 40, 50, 60,",
    "The cat sat on the mat. " * 5 + "The cat",
]
"""Five tokens follow of which none is in doubt: the next best is e^2 times less likely or worse."""
COUNTED = SURE[1]
"""Sixteen follow."""
DICE: dict[str, Any] = {"temperature": 1e30, "top_k": 0, "top_p": 1.0}
"""All tokens are equally likely to the last bit, so that random numbers choose and roundings do not."""
ENDLESS: dict[str, Any] = {"logit_bias": ((0, -100.0), (2, -100.0))}
"""Without the two tokens that end an answer: how long it gets is for the options to say."""
ROUNDING = 1.5
"""What roundings may do to how much better one token is than the next: ten times what they usually do."""
WAYS = ["together", "in pieces", "after others left", "in a crowd"]
NUM_CTX = 512


class Model:
    """A loaded runner that numbers its requests."""

    def __init__(self, process: RunnerProcess, load: Load) -> None:
        self.process = process
        self.ready = process.load(load)
        self._ids = count(1)

    def request(self, prompt: str, *, num_ctx: int = NUM_CTX, fields: Any = None, **options: Any) -> Generate:
        return Generate(next(self._ids), prompt, Options(**options), num_ctx, **(fields or {}))

    def generate(self, prompt: str, **kwargs: Any) -> Answer:
        (answer,) = self.process.generate(self.request(prompt, **kwargs))
        return answer

    def greedy(self, prompt: str, num_predict: int, **kwargs: Any) -> Answer:
        fields = {"wants_tokens": True, **kwargs.pop("fields", {})}
        return self.generate(prompt, temperature=0, num_predict=num_predict, fields=fields, **kwargs)

    def tokenize(self, text: str, add_special: bool = False) -> tuple[int, ...]:
        self.process.send(Tokenize(next(self._ids), text, add_special))
        answer = self._reply()
        assert isinstance(answer, Tokens)
        return answer.tokens

    def detokenize(self, *tokens: int) -> str:
        self.process.send(Detokenize(next(self._ids), tokens))
        answer = self._reply()
        assert isinstance(answer, Text)
        return answer.text

    def _reply(self) -> Tokens | Text:
        while not isinstance(event := self.process.receive(), Tokens | Text):
            assert event is not None, self.process.stderr
            self.process.keep(event)
        return event


def load_request(path: Path, *, num_ctx: int = NUM_CTX, pool_tokens: int = 2048, **fields: Any) -> Load:
    return Load("llama", str(path), num_ctx, pool_tokens, 8, **fields)


def said(answer: Answer) -> tuple[int, ...]:
    """The token ids of the answer."""
    end = answer.finished
    return end.tokens[end.num_prompt :]


@pytest.fixture(scope="module")
def model(starter_gguf: Path) -> Iterator[Model]:
    """One child for all tests that leave it as it was."""
    with RunnerProcess() as process:
        yield Model(process, load_request(starter_gguf))
        assert process.close() == 0


@pytest.fixture
def runner() -> Iterator[RunnerProcess]:
    with RunnerProcess() as process:
        yield process


# Answers


def test_the_starter_knows_the_capital_of_france(model: Model) -> None:
    answer = model.greedy(QUESTION, 30)

    assert "Paris" in answer.text
    assert answer.finished.reason == "stop"
    assert "<|im_end|>" not in answer.text, "the end of a turn is a control token"


def test_requests_in_a_batch_say_what_they_say_alone(model: Model) -> None:
    """The shape of a batch changes roundings, so the comparison is of tokens that the model is sure of."""
    alone = [said(model.greedy(prompt, 5)) for prompt in SURE]
    options = {"temperature": 0, "num_predict": 5, "fields": {"wants_tokens": True}}

    together = model.process.generate(*(model.request(prompt, **options) for prompt in [*SURE, STORY, *SURE]))

    assert [said(answer) for answer in together[: len(SURE)]] == alone
    assert [said(answer) for answer in together[-len(SURE) :]] == alone


@pytest.fixture(scope="module")
def logits_report(starter_gguf: Path) -> dict[str, Any]:
    result = subprocess.run(
        [sys.executable, LOGITS, str(starter_gguf)],
        capture_output=True,
        check=True,
        timeout=600,
        env=environment(),
    )
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def test_what_the_neighbours_say_changes_no_bit_of_the_logits(logits_report: dict[str, Any]) -> None:
    assert logits_report["neighbours"] == 0.0


@pytest.mark.parametrize("way", WAYS)
def test_the_shape_of_a_batch_changes_roundings_only(way: str, logits_report: dict[str, Any]) -> None:
    """Four-bit weights turn a last bit into much, so the measure is how far the logits of other texts are: 3.4, where
    a crowd has been seen to change 0.6."""
    assert logits_report["ways"][way] < logits_report["other_texts"] / 2


def test_a_seed_repeats_its_answer(starter_gguf: Path) -> None:
    """Bit for bit in a fresh pool with threads of a fixed number: roundings depend on where the cells lie."""

    def answer(seed: int) -> str:
        with RunnerProcess() as process:
            model = Model(process, load_request(starter_gguf, num_thread=1))
            return model.generate(STORY, seed=seed, temperature=1.5, num_predict=20).text

    texts = [answer(seed) for seed in (7, 7, 8)]

    assert texts[0] == texts[1]
    assert texts[0] != texts[2]


def test_without_a_seed_answers_differ(model: Model) -> None:
    texts = {model.generate(STORY, temperature=1.5, num_predict=20).text for _ in range(3)}

    assert len(texts) > 1


def test_a_seed_repeats_its_answer_in_a_batch(model: Model) -> None:
    """Every sequence has random numbers of its own."""
    seeds = [7, 8, 7, 9, 7]
    thrown: dict[str, Any] = {**DICE, "num_predict": 20, "fields": {"wants_tokens": True}}
    alone = {seed: said(model.generate(STORY, seed=seed, **thrown)) for seed in seeds}

    answers = model.process.generate(*(model.request(STORY, seed=seed, **thrown) for seed in seeds))

    assert [said(answer) for answer in answers] == [alone[seed] for seed in seeds]
    assert len(set(alone.values())) == 3


@pytest.mark.parametrize("cut", [3, 6, 12])
def test_an_answer_ends_before_a_stop(cut: int, model: Model) -> None:
    whole = model.greedy(COUNTED, 16).text
    stop = whole[cut : cut + 4]

    answer = model.greedy(COUNTED, 16, stop=(stop,))

    assert answer.text == whole[: whole.index(stop)]
    assert answer.finished.reason == "stop"


def test_num_predict_counts_tokens(model: Model) -> None:
    answer = model.greedy(STORY, 7, **ENDLESS)

    assert (answer.finished.reason, answer.finished.num_output, len(said(answer))) == ("length", 7, 7)


def test_the_streamed_text_is_the_text_of_the_tokens(model: Model) -> None:
    """Also for characters of several tokens, which a grammar makes the model say."""
    wanted = " 😀 🎉 é 日本 😀"
    answer = model.greedy("Repeat:", 40, fields={"grammar": f'root ::= "{wanted}"'})

    assert answer.text == model.detokenize(*said(answer)) == wanted
    assert len(said(answer)) > len(wanted), "some have several"
    assert len(answer.outputs) > 5


def test_log_probabilities_are_those_of_the_tokens(model: Model) -> None:
    answer = model.greedy(STORY, 10, fields={"num_top_logprobs": 20})

    assert b"".join(bytes(one.bytes) for one in answer.logprobs).decode() == answer.text
    for one in answer.logprobs:
        values = [top.logprob for top in one.top]
        assert len(values) == 20
        assert values == sorted(values, reverse=True)
        assert 0.2 < sum(map(math.exp, values)) < 1.000001
        assert (one.top[0].token, one.top[0].logprob) == (one.token, one.logprob), "greedy takes the best"


def test_log_probabilities_without_alternatives(model: Model) -> None:
    answer = model.greedy(STORY, 3, fields={"num_top_logprobs": 0})

    assert [one.top for one in answer.logprobs] == [(), (), ()]
    assert all(one.logprob < 0 for one in answer.logprobs)


OPTIONS: list[dict[str, Any]] = [
    {"top_k": 1},
    {"top_k": 0},
    {"top_k": -1},
    {"top_k": 2**40},
    {"top_p": 0.5},
    {"top_p": 0.0},
    {"top_p": 7.0},
    {"min_p": 0.2},
    {"min_p": 2.0},
    {"typical_p": 0.5},
    {"typical_p": 0.0},
    {"repeat_penalty": 1.3},
    {"repeat_penalty": 1.3, "repeat_last_n": -1},
    {"repeat_penalty": 1.3, "repeat_last_n": 0},
    {"repeat_penalty": 1.3, "repeat_last_n": 2**40},
    {"repeat_penalty": 0.0},
    {"repeat_penalty": -1.0},
    {"presence_penalty": 1.5},
    {"frequency_penalty": 1e300},
    {"temperature": 1e-9},
    {"temperature": 1e30},
    {"temperature": -1.0},
    {"seed": 2**70},
    {"seed": 2**32 - 1},
    {"num_keep": 2**40},
    {"top_k": 5, "top_p": 0.8, "min_p": 0.05, "typical_p": 0.9, "repeat_penalty": 1.1, "presence_penalty": 0.5},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_any_options_give_an_answer(options: dict[str, Any], model: Model) -> None:
    """llama.cpp asserts on some values, and an assertion ends the process and all its requests."""
    end = model.generate(STORY, num_predict=3, **ENDLESS, **options).finished

    assert end.num_output == 3


@pytest.mark.parametrize(
    "options", [{"temperature": 0}, {"top_k": 1}, {"top_p": 0.0}, {"temperature": 1e-9}, {"min_p": 1.0}], ids=str
)
def test_the_narrowest_choice_is_the_best_token(options: dict[str, Any], model: Model) -> None:
    assert model.generate(COUNTED, num_predict=12, **options).text == model.greedy(COUNTED, 12).text


@pytest.mark.parametrize(
    "prompt",
    ["The cat sat on the mat. " * 5, "10, 20, 30, 40, 50, 60, 10, 20, 30, 40,", QUESTION, STORY + "\n\n" + STORY],
    ids=["a loop", "numbers", "a question", "a story again"],
)
def test_guesses_change_roundings_only(prompt: str, model: Model) -> None:
    """Tokens part, if at all, where the best two are about as good."""
    asked: dict[str, Any] = {"fields": {"num_top_logprobs": 2}, **ENDLESS}
    plain = model.greedy(prompt, 64, draft_num_predict=0, **asked)
    guessed = model.greedy(prompt, 64, **asked)

    pairs = zip(plain.logprobs, guessed.logprobs, strict=False)
    parting = next((one for one, other in pairs if one.bytes != other.bytes), None)
    assert parting is None or parting.top[0].logprob - parting.top[1].logprob < ROUNDING
    assert parting or said(plain) == said(guessed)
    assert plain.finished.num_drafted == 0
    assert guessed.finished.num_accepted > 8 or not prompt.startswith("The cat sat on")


def test_guesses_draw_the_same_random_numbers(model: Model) -> None:
    """A coin is tossed for every token, heads nine times of ten. What the model thinks bends it by a millionth."""
    heads, tails = (model.tokenize(text)[0] for text in (" a", " b"))
    coin = {"logit_bias": ((heads, 1e6), (tails, 5e5)), "top_k": 2, "top_p": 1.0, "temperature": 2.27e5}

    plain, guessed = (
        model.generate(STORY, seed=5, num_predict=120, draft_num_predict=most, **coin) for most in (0, 99)
    )

    assert guessed.text == plain.text
    assert 3 < plain.text.count("b") < 40
    assert guessed.finished.num_drafted > guessed.finished.num_accepted > 10


def test_a_penalty_breaks_a_loop(model: Model) -> None:
    free = model.greedy(SURE[2], 5).text
    punished = model.greedy(SURE[2], 5, repeat_penalty=2.0).text

    assert free == " sat on the mat."
    assert " sat" not in punished, "the prompt counts as said"


def test_a_stream_goes_on_while_a_long_prompt_is_computed(runner: RunnerProcess, starter_gguf: Path) -> None:
    """However fast the machine is, 400 tokens take seven steps here."""
    model = Model(runner, load_request(starter_gguf, num_batch=64))
    stream = model.request(STORY, temperature=0, num_predict=40, repeat_penalty=1.1, **ENDLESS)
    long = model.request("word " * 400, num_predict=1)
    model.process.send(stream)
    while not model.process.answers[stream.id].outputs:
        model.process.keep_next()
    before = len(model.process.answers[stream.id].outputs)

    model.process.send(long)
    model.process.answer(long.id)

    assert len(model.process.answers[stream.id].outputs) >= before + 3, "it stood still for the whole prompt"
    model.process.answer(stream.id)


# The context


def test_without_shift_the_answer_ends_where_the_context_does(model: Model) -> None:
    end = model.greedy(STORY, -1, num_ctx=40, fields={"shift": False}, **ENDLESS).finished

    assert (end.reason, end.num_prompt + end.num_output) == ("length", 40)


def test_with_shift_the_answer_goes_on_past_the_context(model: Model) -> None:
    answer = model.greedy("Count: 1, 2, 3, 4, 5,", 120, num_ctx=48, repeat_penalty=1.05, **ENDLESS)

    assert answer.finished.num_output == 120
    assert len(answer.text) > 100


def test_a_shift_is_said_on_stderr(model: Model) -> None:
    before = model.process.stderr.count("context shifted")

    model.greedy(STORY, 80, num_ctx=32, **ENDLESS)

    wait_until(lambda: model.process.stderr.count("context shifted") > before, "the line about the shift")


def test_a_prompt_too_long_is_refused_or_cut(model: Model) -> None:
    prompt = "word " * 100

    refusal = model.generate(prompt, num_ctx=50).refusal
    end = model.greedy(prompt, 3, num_ctx=50, fields={"cut": True}).finished

    assert (refusal.code, refusal.limit) == ("prompt_too_long", 50)
    assert refusal.num_prompt == end.num_prompt + end.num_prompt_dropped
    assert end.num_prompt == 50 - (50 - 4) // 2


def test_a_tiny_pool_serves_everybody_in_turn(runner: RunnerProcess, starter_gguf: Path) -> None:
    """Six answers of about 110 tokens in 256 cells: somebody has to start over, and nobody takes another's story."""
    model = Model(runner, load_request(starter_gguf, num_ctx=256, pool_tokens=256))
    assert model.ready.pool_tokens == 256
    animals = ["cat", "dog", "horse", "cow", "bird", "fish"]
    prompts = [
        f"The {animal} sat on the mat. " * 10 + f"The {animal}" for animal in animals
    ]  # so that none is in doubt

    answers = runner.generate(*(model.request(prompt, temperature=0, num_predict=40) for prompt in prompts))
    runner.keep_next()  # the last report of the loop, which comes when it has nothing more to do

    num_computed = sum(stats.num_tokens for stats in runner.stats)
    num_needed = sum(answer.finished.num_prompt + answer.finished.num_output for answer in answers)
    assert num_computed > num_needed, "nobody was preempted, so nothing was tested"
    for animal, answer in zip(animals, answers, strict=True):
        assert answer.text.startswith(" sat on the mat")
        assert {other for other in animals if other in answer.text} == {animal}


def test_a_request_may_use_the_whole_pool(runner: RunnerProcess, starter_gguf: Path) -> None:
    model = Model(runner, load_request(starter_gguf, num_ctx=256, pool_tokens=256))

    end = model.greedy(STORY, -1, num_ctx=4096, fields={"shift": False}, repeat_penalty=1.1).finished

    assert end.reason in ("length", "stop")
    assert end.num_prompt + end.num_output <= 256


def test_a_cancel_ends_a_long_prompt(model: Model) -> None:
    prompt = model.request("word " * 2000, num_ctx=2048, fields={"cut": True})
    model.process.send(prompt)
    model.tokenize("the prompt is under way")

    model.process.send(Cancel(prompt.id))

    assert model.process.answer(prompt.id).finished.reason == "cancel"
    assert "Paris" in model.greedy(QUESTION, 30).text


def test_a_cancelled_prompt_leaves_its_cells_to_the_next(runner: RunnerProcess, starter_gguf: Path) -> None:
    """One batch for the whole prompt, and a pool for one of them: the cancel ends the step that runs."""
    model = Model(runner, load_request(starter_gguf, num_ctx=1024, num_batch=1024))
    first = model.request("word " * 1000, num_ctx=1024, fields={"cut": True}, draft_num_predict=0, **ENDLESS)
    runner.send(first)
    model.tokenize("the prompt is under way")

    runner.send(Cancel(first.id))
    second = model.greedy("other " * 1000, 1, num_ctx=1024, fields={"cut": True})

    end = runner.answer(first.id).finished
    num_whole = end.num_prompt + end.num_output + second.finished.num_prompt
    assert (end.reason, second.finished.num_output) == ("cancel", 1)
    assert sum(stats.num_tokens for stats in runner.stats) < num_whole


# Text


def test_special_tokens_in_a_prompt_are_special(model: Model) -> None:
    tokens = model.tokenize("<|im_start|>user\n")

    assert len(tokens) == 3
    assert model.detokenize(*tokens) == "<|im_start|>user\n"


def test_the_marks_of_the_model_are_told_at_the_load(model: Model) -> None:
    assert (model.ready.bos_text, model.ready.eos_text) == ("<|im_start|>", "<|im_end|>")
    assert (model.ready.num_ctx, model.ready.num_ctx_train, model.ready.can_shift) == (NUM_CTX, 8192, True)
    assert model.ready.size_bytes > 90_000_000


@pytest.mark.parametrize(
    "text", ["", " ", "hello", "😀🎉 é ß 日本語", "a\n\n\tb", "\x00\x01", "<|im_end|><|im_start|>"]
)
def test_a_text_comes_back_from_its_tokens(text: str, model: Model) -> None:
    assert model.detokenize(*model.tokenize(text)) == text


@settings(max_examples=50, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs", "Cn", "Cc"]), max_size=60))
def test_any_text_comes_back_from_its_tokens(text: str, model: Model) -> None:
    """Any but six control characters and some unassigned ones: this vocabulary has no tokens for their bytes."""
    assert model.detokenize(*model.tokenize(text)) == text


def test_a_long_text_is_tokenized_whole(model: Model) -> None:
    text = "word " * 50_000

    assert model.detokenize(*model.tokenize(text)) == text


def test_token_ids_that_no_vocabulary_has_are_passed_over(model: Model) -> None:
    (token,) = model.tokenize("hello")

    assert model.detokenize(-1, token, 10**6, -(2**31), 2**62) == "hello"


def test_a_context_of_token_ids_goes_before_the_prompt(model: Model) -> None:
    """And an answer's own tokens continue it."""
    first = model.greedy(COUNTED, 4)

    second = model.greedy(" And", 3, fields={"context": first.finished.tokens})

    assert first.text == " 70,"
    assert second.finished.num_prompt == len(model.tokenize(COUNTED + " 70, And", add_special=True))


# Load


def test_a_load_is_quiet_and_reports_progress(runner: RunnerProcess, starter_gguf: Path) -> None:
    """llama.cpp's debug lines, thousands of them, would push the reason of a crash out of what the daemon keeps."""
    runner.send(load_request(starter_gguf))
    events = [runner.receive()]
    while isinstance(events[-1], Loading):
        events.append(runner.receive())

    progress = [event.progress for event in events if isinstance(event, Loading)]
    assert isinstance(events[-1], Ready)
    assert progress == sorted(progress)
    assert progress[-1] == 1.0
    assert runner.close() == 0
    assert 10 < runner.stderr.count("\n") < 400


def test_a_quantized_cache_is_smaller_and_still_knows_paris(runner: RunnerProcess, starter_gguf: Path) -> None:
    model = Model(runner, load_request(starter_gguf, kv_type="q8_0", flash_attention=True, use_mmap=False))

    assert "Paris" in model.greedy(QUESTION, 30).text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"GGUF" + bytes(range(256)) * 16, ""),
        (bytes(4096), "invalid magic"),
        (tiny_model(), ""),
        (b"", ""),
    ],
    ids=["noise", "zeros", "no such network", "nothing"],
)
def test_a_bad_file_is_a_load_error(content: bytes, reason: str, runner: RunnerProcess, tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)

    assert runner.load_error(load_request(path)) == "llama.cpp could not load bad.gguf"
    assert runner.wait() == 1
    assert reason in runner.stderr
    assert "error" in runner.stderr, "the reason is llama.cpp's"


def test_a_file_that_is_cut_is_a_load_error(runner: RunnerProcess, starter_gguf: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    with starter_gguf.open("rb") as file:
        path.write_bytes(file.read(20_000_000))

    assert runner.load_error(load_request(path)) == "llama.cpp could not load cut.gguf"
    assert runner.wait() == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kv_type": "q3_9"}, "unknown KV cache type 'q3_9'"),
        ({"adapters": ("/nowhere/adapter.gguf",)}, "llama.cpp could not load the adapter adapter.gguf"),
    ],
)
def test_a_load_that_cannot_be_had_is_a_load_error(
    fields: dict[str, Any], message: str, runner: RunnerProcess, starter_gguf: Path
) -> None:
    assert runner.load_error(load_request(starter_gguf, **fields)) == message
    assert runner.wait() == 1
