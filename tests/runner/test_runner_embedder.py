"""Vectors of llama.cpp against plain numpy, asked for as the daemon does: over the pipes of a real runner."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from fakes import tiny_bert
from fakes.bert_reference import Bert
from fakes.multilingual import SENTENCES, mixtures
from fakes.runner_process import RunnerProcess
from fakes.tiny_bert_gguf import head, ranker, tiny
from tokenizers import Tokenizer

from ollamapy.weights.convert import safetensors
from ollamapy.wire.options import Options
from ollamapy.wire.runner import Cancel, Detokenize, Embed, Embedding, Generate, Load, Refusal, Text, Tokenize, Tokens

pytestmark = pytest.mark.weights

Array = npt.NDArray[np.float64]


@pytest.fixture
def runner() -> Iterator[RunnerProcess]:
    with RunnerProcess() as process:
        yield process


def load_request(path: Path, num_ctx: int = 64, mode: str = "embed", **fields: Any) -> Load:
    return Load("llama", str(path), num_ctx, num_ctx, 8, mode=mode, **{"num_thread": 1, **fields})  # type: ignore[arg-type]


def ask(runner: RunnerProcess, request: Embed) -> Embedding:
    runner.send(request)
    answer = runner.receive()
    assert isinstance(answer, Embedding), answer
    return answer


def vectors(runner: RunnerProcess, *texts: str, **fields: Any) -> Array:
    return np.array(ask(runner, Embed(1, texts, **{"num_ctx": 512, **fields})).vectors)


def refusal(runner: RunnerProcess, request: Embed | Generate) -> Refusal:
    runner.send(request)
    answer = runner.receive()
    assert isinstance(answer, Refusal), answer
    return answer


def tokens_of(runner: RunnerProcess, text: str) -> list[int]:
    runner.send(Tokenize(1, text))
    answer = runner.receive()
    assert isinstance(answer, Tokens)
    return list(answer.tokens)


def cosines(found: Array, wanted: Array) -> Array:
    scale = np.linalg.norm(found, axis=1) * np.linalg.norm(wanted, axis=1)
    products: Array = (found * wanted).sum(1) / scale
    return products


# A random model, one for each pooling


TEXTS = ("the sky is blue", "a", "", "skying. is the blue? " * 3, "is! is! is!")


@pytest.mark.parametrize(
    ("pooling", "name"),
    [("mean_tokens", "mean"), ("cls_token", "cls"), ("lasttoken", "last")],
    ids=["mean", "cls", "last"],
)
def test_every_pooling_gives_the_vectors_of_numpy(
    runner: RunnerProcess, tmp_path: Path, pooling: str, name: str
) -> None:
    runner.load(load_request(tiny(tmp_path, pooling=pooling)))
    reference = Bert(tiny_bert.weights(), tiny_bert.HEADS)

    found = vectors(runner, *TEXTS)

    wanted = np.array([reference.embed(tokens_of(runner, text), name) for text in TEXTS])
    assert cosines(found, wanted).min() > 0.999
    assert np.abs(np.linalg.norm(found, axis=1) - 1).max() < 1e-6


def test_many_inputs_in_a_step_get_the_vectors_that_each_gets_alone(runner: RunnerProcess, tmp_path: Path) -> None:
    runner.load(load_request(tiny(tmp_path)))
    texts = [f"{'sky ' * (n % 9)}is {'blue ' * (n % 5)}the" for n in range(150)]

    together = vectors(runner, *texts)
    alone = np.concatenate([vectors(runner, text) for text in texts])

    assert cosines(together, alone).min() > 0.9999


def test_a_raw_vector_has_the_length_that_the_model_gave_it(runner: RunnerProcess, tmp_path: Path) -> None:
    runner.load(load_request(tiny(tmp_path)))

    [raw] = vectors(runner, "the sky", normalise=False)

    assert abs(np.linalg.norm(raw) - 1) > 0.01
    assert cosines(raw[None], vectors(runner, "the sky")).min() > 0.999999


def test_an_input_longer_than_the_model_was_trained_for_is_cut(runner: RunnerProcess, tmp_path: Path) -> None:
    runner.load(load_request(tiny(tmp_path), num_ctx=512))

    answer = ask(runner, Embed(1, ("the " * 100,), 512))

    assert (answer.num_prompt, answer.num_dropped) == (tiny_bert.POSITIONS, 100 + 2 - tiny_bert.POSITIONS)
    [whole] = vectors(runner, "the " * (tiny_bert.POSITIONS - 2))
    assert cosines(np.array(answer.vectors), whole[None]).min() > 0.9999


def test_a_runner_that_makes_vectors_does_not_generate(runner: RunnerProcess, tmp_path: Path) -> None:
    runner.load(load_request(tiny(tmp_path)))

    answer = refusal(runner, Generate(1, "the", Options(), 64))

    assert (answer.code, answer.message) == ("invalid", "the model is not loaded for Generate")


def test_an_adapter_is_not_left_out_in_silence(runner: RunnerProcess, tmp_path: Path) -> None:
    message = runner.load_error(load_request(tiny(tmp_path), adapters=("adapter.gguf",)))

    assert message == "a model with an adapter makes no vectors yet"


def test_requests_that_are_cancelled_leave_the_runner_well(runner: RunnerProcess, tmp_path: Path) -> None:
    runner.load(load_request(tiny(tmp_path)))

    runner.send(*(Embed(number, ("the sky",) * 50, 64) for number in range(1, 20)))
    runner.send(*(Cancel(number) for number in range(1, 20)), Embed(20, ("the",), 64))
    while (answer := runner.receive()) and answer.id != 20:  # type: ignore[union-attr]
        pass

    assert isinstance(answer, Embedding)


# Ranking


def test_documents_get_the_scores_of_numpy(runner: RunnerProcess, tmp_path: Path) -> None:
    runner.load(load_request(ranker(tmp_path)))
    query, documents = "is the sky blue?", ("the sky is blue", "a blue sky", "no")
    reference, weights = Bert(tiny_bert.weights(), tiny_bert.HEADS), head()

    scores = vectors(runner, *documents, query=query, normalise=False)

    wanted = []
    for document in documents:
        state = reference.states([*tokens_of(runner, query), *tokens_of(runner, document)[1:]])[0]
        hidden = np.tanh(weights["cls.weight"] @ state + weights["cls.bias"])
        wanted.append(weights["cls.output.weight"] @ hidden + weights["cls.output.bias"])
    assert scores == pytest.approx(np.array(wanted), abs=0.05)


def test_a_model_that_ranks_has_no_vectors(runner: RunnerProcess, tmp_path: Path) -> None:
    runner.load(load_request(ranker(tmp_path)))

    assert "ranks documents" in refusal(runner, Embed(1, ("a",), 64)).message


# The embedding starter


def test_fifty_texts_in_many_languages_get_the_vectors_of_numpy(
    runner: RunnerProcess, embed_folder: Path, embed_gguf: Path
) -> None:
    runner.load(load_request(embed_gguf, 256))
    source = safetensors.read(embed_folder / "model.safetensors")
    names = [name for name in source.tensors if not name.endswith("position_ids")]
    reference = Bert({name: source.array(name) for name in names}, 12)

    found = vectors(runner, *SENTENCES)

    wanted = np.array([reference.embed(tokens_of(runner, text)) for text in SENTENCES])
    assert len(SENTENCES) == 50
    assert cosines(found, wanted).min() > 0.999


def test_meaning_is_in_the_vectors(runner: RunnerProcess, embed_gguf: Path) -> None:
    runner.load(load_request(embed_gguf, 256))

    cat, kitten, tax = vectors(
        runner, "A cat sits on the mat.", "A kitten is lying on a rug.", "Taxes are due in April."
    )

    assert cat @ kitten > 0.5 > 0.2 > cat @ tax


@pytest.mark.parametrize("mode", ["embed", "vocabulary"])
def test_a_thousand_texts_are_tokenized_as_the_models_own_tokenizer_does(
    runner: RunnerProcess, embed_folder: Path, embed_gguf: Path, mode: str
) -> None:
    theirs = Tokenizer.from_file(str(embed_folder / "tokenizer.json"))
    theirs.no_padding()
    theirs.no_truncation()
    runner.load(load_request(embed_gguf, 256, mode))

    for text in mixtures(1000, seed=2):
        ids = theirs.encode(text).ids
        own = [*([101] if ids[1:2] != [101] else []), *ids[1:-1], *([102] if ids[-2:-1] != [102] else [])]
        assert tokens_of(runner, text) == own, text


def test_a_vocabulary_has_words_and_no_weights(runner: RunnerProcess, embed_gguf: Path) -> None:
    ready = runner.load(load_request(embed_gguf, 256, "vocabulary"))

    runner.send(Detokenize(1, (101, 1996, 3712, 102)))

    assert runner.receive() == Text(1, "[CLS] the sky[SEP]")
    assert (ready.size_bytes, ready.bos_text) == (0, "[CLS]")
    assert refusal(runner, Embed(1, ("a",), 64)).message == "the model is not loaded for Embed"


def test_a_vocabulary_alone_has_the_tokens_of_the_whole_model(starter_gguf: Path) -> None:
    found = []
    for mode in ("vocabulary", "generate"):
        with RunnerProcess() as runner:
            runner.load(load_request(starter_gguf, 512, mode))
            found.append([tokens_of(runner, text) for text in (*SENTENCES, "<|im_start|>user\nHi<|im_end|>", "")])

    assert found[0] == found[1]


# A model that generates


@pytest.fixture
def long_vector(starter_gguf: Path) -> Callable[[int], Array]:
    """The vector of one long text in batches of a size."""

    def of(num_batch: int) -> Array:
        with RunnerProcess() as runner:
            runner.load(load_request(starter_gguf, 512, num_batch=num_batch))
            return vectors(runner, "Why is the sky blue? " * 50)

    return of


def test_a_model_that_generates_gives_the_state_of_the_last_token_however_it_is_cut_into_batches(
    long_vector: Callable[[int], Array],
) -> None:
    assert cosines(long_vector(64), long_vector(512)).min() > 0.995


def test_texts_are_told_apart_by_a_model_that_generates(runner: RunnerProcess, starter_gguf: Path) -> None:
    runner.load(load_request(starter_gguf, 512))

    found = vectors(runner, "one two three", "one two four", "one two three")

    assert found.shape == (3, 576)
    assert cosines(found[:1], found[2:]).min() > 0.995 > 0.985 > cosines(found[:1], found[1:2]).max()
