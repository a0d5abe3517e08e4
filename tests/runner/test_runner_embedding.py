"""Vectors by value: what is cut, which inputs share a step, how a vector leaves; and the loop with a fake engine."""

import queue
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from ollamapy.errors import InvalidInput
from ollamapy.runner.embedding import (
    MAX_CHARACTERS,
    EmbedderInfo,
    EmbeddingLoop,
    Vector,
    Waiting,
    Work,
    finished,
    inputs_of,
)
from ollamapy.runner.loop import Closed
from ollamapy.wire.runner import Cancel, Embed, Embedding, Event, Refusal

CLS, SEP, BETWEEN = 1, 2, 3
DEADLINE_SECONDS = 120.0


class Counting:
    """An Embedder whose tokens are bytes and whose vectors say how long the input is. `steps` has what it was given."""

    def __init__(self, **changes: object) -> None:
        known: dict[str, object] = {"num_ctx_train": 100, "pool_tokens": 100, "max_input": 50, "size_bytes": 0}
        known |= {"max_batch": 20, "num_slots": 4, "prefix": [CLS], "suffix": [SEP]}
        self.info = EmbedderInfo(**(known | changes))  # type: ignore[arg-type]
        self.steps: list[list[int]] = []
        self.fault: Exception | None = None

    def tokenize(self, text: str, add_special: bool) -> list[int]:
        assert not add_special
        return list(text.encode())

    def detokenize(self, tokens: Sequence[int]) -> str:
        raise NotImplementedError

    def embed(self, inputs: Sequence[Sequence[int]]) -> Vector:
        self.steps.append([len(tokens) for tokens in inputs])
        if self.fault:
            raise self.fault
        return np.array([[len(tokens), float("nan") if 0 in tokens else 0.0] for tokens in inputs], np.float32)

    def set_threads(self, count: int) -> None:
        raise NotImplementedError


def embed(*texts: str, num_ctx: int = 100, **fields: object) -> Embed:
    return Embed(7, texts, num_ctx, **fields)  # type: ignore[arg-type]


# What is cut


@pytest.mark.parametrize(
    ("num_ctx", "changes", "kept"),
    [
        (12, {}, b"0123456789"),
        (11, {}, b"012345678"),
        (3, {}, b"0"),
        (100, {"num_ctx_train": 5}, b"012"),
        (100, {"max_input": 5}, b"012"),
        (100, {"num_ctx_train": 0}, b"0123456789"),
        (4, {"prefix": [], "suffix": []}, b"0123"),
    ],
)
def test_an_input_keeps_the_tokens_that_fit_between_the_special_ones(
    num_ctx: int, changes: dict[str, object], kept: bytes
) -> None:
    model = Counting(**changes)

    [tokens], num_dropped = inputs_of(embed("0123456789", num_ctx=num_ctx), model)

    assert tokens == [*model.info.prefix, *kept, *model.info.suffix]
    assert num_dropped == 10 - len(kept)


def test_dropped_tokens_of_all_inputs_are_counted() -> None:
    assert inputs_of(embed("12345", "1", "1234", num_ctx=5), Counting())[1] == 3


def test_special_tokens_that_the_text_has_are_not_there_twice_and_take_no_room() -> None:
    assert inputs_of(embed("\x01abc\x02", num_ctx=5), Counting()) == ([[CLS, *b"abc", SEP]], 0)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (embed("abc", "0123456789", num_ctx=11, truncate=False), "the input length exceeds the context length"),
        (embed("a", num_ctx=2), "input after truncation exceeds maximum context length"),
        (embed("a", num_ctx=1), "input after truncation exceeds maximum context length"),
        (embed("a", query="b"), "the model cannot rank"),
    ],
)
def test_one_input_that_cannot_be_read_refuses_the_request(request_: Embed, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        inputs_of(request_, Counting())


def test_an_empty_text_is_its_special_tokens() -> None:
    assert inputs_of(embed(""), Counting()) == ([[CLS, SEP]], 0)


def test_a_text_of_no_tokens_at_all_is_refused() -> None:
    with pytest.raises(InvalidInput, match="input content cannot be empty"):
        inputs_of(embed(""), Counting(prefix=[], suffix=[]))


def test_a_query_stands_before_every_document() -> None:
    model = Counting(can_rank=True)

    assert inputs_of(embed("a", "bc", query="q"), model)[0] == [
        [CLS, *b"q", SEP, *b"a", SEP],
        [CLS, *b"q", SEP, *b"bc", SEP],
    ]


def test_a_separator_of_its_own_stands_between_query_and_document() -> None:
    model = Counting(can_rank=True, separator=[BETWEEN])

    assert inputs_of(embed("a", query="q"), model)[0] == [[CLS, *b"q", SEP, BETWEEN, *b"a", SEP]]


def test_a_document_is_cut_and_the_query_stays() -> None:
    inputs, num_dropped = inputs_of(embed("abcdef", query="query", num_ctx=10), Counting(can_rank=True))

    assert inputs == [[CLS, *b"query", SEP, *b"ab", SEP]]
    assert num_dropped == 4


def test_a_template_for_ranking_is_filled_in() -> None:
    model = Counting(can_rank=True, rank_template="<{query}|{document}>", prefix=[], suffix=[])

    assert inputs_of(embed("a", query="q"), model)[0] == [list(b"<q|a>")]


def test_a_model_that_ranks_has_no_vectors() -> None:
    with pytest.raises(InvalidInput, match="ranks documents"):
        inputs_of(embed("a"), Counting(can_rank=True))


def test_of_a_text_that_is_far_too_long_only_the_beginning_is_read() -> None:
    text = "a" * (MAX_CHARACTERS + 1)

    assert inputs_of(embed(text), Counting())[1] == MAX_CHARACTERS - 48
    with pytest.raises(InvalidInput, match="the input length exceeds the context length"):
        inputs_of(embed(text, truncate=False), Counting())


# How a vector leaves


def vector(*numbers: float, **fields: object) -> tuple[float, ...]:
    return finished(np.array(numbers, np.float32), embed("", **fields))


def test_a_vector_has_length_1() -> None:
    assert vector(3, 4) == (0.6, 0.8)


def test_a_raw_vector_stays_as_it_is() -> None:
    assert vector(3, 4, normalise=False) == (3.0, 4.0)


def test_fewer_dimensions_are_cut_and_normalised_again() -> None:
    assert vector(3, 4, 12, dimensions=2) == (0.6, 0.8)


@pytest.mark.parametrize("dimensions", [0, 2, 3])
def test_as_many_dimensions_or_more_change_nothing(dimensions: int) -> None:
    assert vector(3, 4, dimensions=dimensions) == (0.6, 0.8)


def test_a_vector_of_zeros_stays_one() -> None:
    assert vector(0, 0) == (0.0, 0.0)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_refused(number: float) -> None:
    with pytest.raises(InvalidInput, match="embedding contains NaN or Inf values"):
        vector(1, number)


# Which inputs share a step


def work(number: int, *lengths: int) -> Work:
    return Work(Embed(number, ("",) * len(lengths), 100), [[0] * length for length in lengths])


def steps(waiting: Waiting) -> list[list[tuple[int, int]]]:
    """Of each step: request and length of every input."""
    found = []
    while not waiting.is_empty:
        found.append([(item.request.id, len(tokens)) for item, tokens in waiting.next_step()])
    return found


def put(*works: Work, max_tokens: int = 10, max_inputs: int = 4) -> Waiting:
    waiting = Waiting(max_tokens, max_inputs)
    for item in works:
        waiting.put(item)
    return waiting


def test_a_step_is_filled_up_to_its_tokens() -> None:
    assert steps(put(work(1, 4, 4, 2, 1))) == [[(1, 4), (1, 4), (1, 2)], [(1, 1)]]


def test_a_step_has_no_more_inputs_than_there_are_slots() -> None:
    assert steps(put(work(1, 1, 1, 1), max_inputs=2)) == [[(1, 1), (1, 1)], [(1, 1)]]


def test_an_input_larger_than_a_step_goes_alone() -> None:
    assert steps(put(work(1, 3, 30, 3))) == [[(1, 3)], [(1, 30)], [(1, 3)]]


def test_requests_take_turns_so_that_a_small_one_does_not_wait_for_a_large_one() -> None:
    assert steps(put(work(1, 5, 5, 5, 5), work(2, 5))) == [[(1, 5), (2, 5)], [(1, 5), (1, 5)], [(1, 5)]]


def test_a_cancelled_request_takes_no_more_steps() -> None:
    waiting = put(work(1, 9, 9), work(2, 9))
    waiting.next_step()
    waiting.cancel(1)

    assert steps(waiting) == [[(2, 9)]]


# The loop


class Running:
    """A loop in a thread; leaving the block closes it."""

    def __init__(self, model: Counting) -> None:
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.loop = EmbeddingLoop(model, lambda events: [self.events.put(event) for event in events] and None)
        self._thread = threading.Thread(target=self.loop.run, daemon=True)

    def __enter__(self) -> "Running":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.put(Closed())
        self._thread.join(DEADLINE_SECONDS)
        assert not self._thread.is_alive()

    def next(self) -> Event:
        return self.events.get(timeout=DEADLINE_SECONDS)


def submitted(model: Counting, request: Embed) -> Work:
    return Work(request, *inputs_of(request, model))


def test_many_inputs_come_back_in_their_order_from_few_steps() -> None:
    model = Counting(max_batch=100, num_slots=64)
    request = embed(*("x" * length for length in (3, 1, 2)), normalise=False)

    with Running(model) as running:
        running.loop.put(submitted(model, request))
        answer = running.next()

    assert answer == Embedding(7, ((5.0, 0.0), (3.0, 0.0), (4.0, 0.0)), num_prompt=12)
    assert model.steps == [[5, 3, 4]]


def test_a_vector_that_is_none_refuses_its_request_alone() -> None:
    model = Counting()
    bad, good = Embed(1, ("a", "\x00"), 100), Embed(2, ("b",), 100)

    with Running(model) as running:
        running.loop.put(submitted(model, bad))
        running.loop.put(submitted(model, good))
        answers = {event.id: event for event in (running.next(), running.next())}  # type: ignore[union-attr]

    assert answers[1] == Refusal(1, "invalid", "embedding contains NaN or Inf values")
    assert isinstance(answers[2], Embedding)


def test_a_step_that_fails_is_an_answer_and_the_loop_goes_on() -> None:
    model = Counting()
    model.fault = RuntimeError("llama_decode failed with code -3")

    with Running(model) as running:
        running.loop.put(submitted(model, embed("a", "b")))
        assert running.next() == Refusal(7, "internal", "RuntimeError: llama_decode failed with code -3")
        model.fault = None
        running.loop.put(submitted(model, embed("a")))
        assert isinstance(running.next(), Embedding)


def test_a_cancelled_request_is_not_answered() -> None:
    model = Counting()

    with Running(model) as running:
        running.loop.put(Cancel(7))
        running.loop.put(submitted(model, Embed(8, ("a",), 100)))
        assert running.next().id == 8  # type: ignore[union-attr]
