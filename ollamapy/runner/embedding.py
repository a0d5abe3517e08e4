"""Vectors of texts: which inputs share a step, what is cut off, how a vector leaves. Engines are behind `Embedder`.

A model of embeddings generates nothing, so a step has no past and no future: inputs of all requests, one of each in
turn, fill a batch, and each comes back as one vector.
"""

import logging
import queue
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ollamapy.errors import InvalidInput
from ollamapy.runner.loop import Closed
from ollamapy.runner.threads import IdleCores, ThreadControl
from ollamapy.wire.runner import Cancel, Embed, Embedding, Event, Refusal

Vector = npt.NDArray[np.float32]

TOO_LONG = "the input length exceeds the context length"
NO_ROOM = "input after truncation exceeds maximum context length"
MAX_CHARACTERS = 1 << 20
"""Of one text; more than any model's context holds."""
_DECIMALS = 9
"""Of the numbers that leave. F32 has no more, and JSON of float64 would be twice as long."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EmbedderInfo:
    """What the loop and the daemon need to know. Lengths are tokens, sizes bytes.

    `prefix` and `suffix` stand around an input, `separator` is between a query and its document. Models that rank may
    have a `rank_template` with `{query}` and `{document}` in it instead.
    """

    num_ctx_train: int
    pool_tokens: int
    max_input: int
    max_batch: int
    num_slots: int
    size_bytes: int
    vram_bytes: int = 0
    prefix: Sequence[int] = ()
    suffix: Sequence[int] = ()
    separator: Sequence[int] = ()
    can_rank: bool = False
    rank_template: str = ""
    max_threads: int = 1
    bos_text: str = ""
    eos_text: str = ""


class Embedder(Protocol):
    """A model that makes vectors. `tokenize` and `detokenize` may be called from any thread."""

    @property
    def info(self) -> EmbedderInfo: ...

    def tokenize(self, text: str, add_special: bool) -> list[int]: ...

    def detokenize(self, tokens: Sequence[int]) -> str: ...

    def embed(self, inputs: Sequence[Sequence[int]]) -> Vector:
        """One row for each input, none of them empty; together they fit a batch, or there is only one."""

    def set_threads(self, count: int) -> None: ...


# Texts to inputs


def inputs_of(request: Embed, model: Embedder) -> tuple[list[list[int]], int]:
    """The inputs of a request, and how many tokens were cut off. Raises InvalidInput."""
    info = model.info
    if info.can_rank != (request.query is not None):
        raise InvalidInput("the model ranks documents: it has no vectors" if info.can_rank else "the model cannot rank")
    limit = min(request.num_ctx, info.num_ctx_train or request.num_ctx, info.max_input)
    before, num_dropped, inputs = _before(request, model), 0, []
    for text in request.texts:
        tokens = _tokens(request, text, model)
        kept = _cut(before, tokens, info.suffix, limit, truncate=request.truncate)
        num_dropped += len(tokens) - kept
        inputs.append(_around(before, tokens[:kept], info.suffix))
        if not inputs[-1]:
            raise InvalidInput("input content cannot be empty")
    return inputs, num_dropped


def _before(request: Embed, model: Embedder) -> list[int]:
    """What stands before every text: the prefix, and the query if there is one."""
    info = model.info
    if request.query is None or info.rank_template:
        return list(info.prefix)
    return [*info.prefix, *model.tokenize(request.query, False), *info.suffix, *info.separator]


def _tokens(request: Embed, text: str, model: Embedder) -> list[int]:
    """The tokens of a text, or of the beginning of one that is far too long: nobody waits for the rest of it."""
    if len(text) > MAX_CHARACTERS and not request.truncate:
        raise InvalidInput(TOO_LONG)
    text = text[:MAX_CHARACTERS]
    template = model.info.rank_template
    if request.query is not None and template:
        text = template.replace("{query}", request.query).replace("{document}", text)
    return model.tokenize(text, False)


def _cut(before: Sequence[int], tokens: list[int], after: Sequence[int], limit: int, *, truncate: bool) -> int:
    """How many of `tokens` are kept. Raises InvalidInput when some must go and none may, or nothing would be left."""
    num_around = len(_around(before, tokens, after)) - len(tokens)
    if len(tokens) + num_around <= limit:
        return len(tokens)
    sizes = f"{len(tokens) + num_around} tokens, the limit is {limit}"
    if not truncate:
        raise InvalidInput(TOO_LONG, hint=sizes)
    if limit <= num_around:
        raise InvalidInput(NO_ROOM, hint=sizes)
    return limit - num_around


def _around(before: Sequence[int], tokens: Sequence[int], after: Sequence[int]) -> list[int]:
    """The whole input. What the text itself begins or ends with is not there twice."""
    has_before = len(before) == 1 and tokens[:1] == [*before]
    has_after = len(after) == 1 and tokens[-1:] == [*after]
    return [*(() if has_before else before), *tokens, *(() if has_after else after)]


def finished(vector: Vector, request: Embed) -> tuple[float, ...]:
    """The vector as it leaves: cut to the dimensions that were asked for, of length 1 if so. Raises InvalidInput."""
    whole = vector.astype(np.float64)
    if not np.isfinite(whole).all():
        raise InvalidInput("embedding contains NaN or Inf values")
    if request.normalise:
        whole = _of_length_1(whole)
    if 0 < request.dimensions < len(whole):
        whole = _of_length_1(whole[: request.dimensions])
    return tuple(np.round(whole, _DECIMALS).tolist())


def _of_length_1(vector: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    length = np.linalg.norm(vector)
    return vector / length if length else vector


# Which inputs share a step


@dataclass(slots=True, eq=False)
class Work:
    """A request in progress: inputs before `num_taken` are in a step or done."""

    request: Embed
    inputs: list[list[int]]
    num_dropped: int = 0
    num_taken: int = 0
    vectors: list[tuple[float, ...]] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        return len(self.vectors) == len(self.inputs)


class Waiting:
    """Requests with inputs that are not computed. Plain state: no engine, no clock."""

    def __init__(self, max_tokens: int, max_inputs: int) -> None:
        self._max_tokens = max_tokens
        self._max_inputs = max_inputs
        self._works: deque[Work] = deque()

    @property
    def is_empty(self) -> bool:
        return not self._works

    def put(self, work: Work) -> None:
        self._works.append(work)

    def cancel(self, request_id: int) -> None:
        """Forgets a request, if it is here."""
        self._works = deque(work for work in self._works if work.request.id != request_id)

    def next_step(self) -> list[tuple[Work, list[int]]]:
        """The inputs of the next step: one of each request in turn, as many as fit; the first always goes."""
        step: list[tuple[Work, list[int]]] = []
        budget = self._max_tokens
        while self._works and len(step) < self._max_inputs:
            work = self._works[0]
            tokens = work.inputs[work.num_taken]
            if step and len(tokens) > budget:
                break
            step.append((work, tokens))
            budget -= len(tokens)
            work.num_taken += 1
            self._works.rotate(-1)
            if work.num_taken == len(work.inputs):
                self._works.remove(work)
        return step


# The loop


Message = Work | Cancel | Closed
Send = Callable[[list[Event]], None]


class EmbeddingLoop:
    """Runs until `Closed` arrives. `send` gets the answers of a step in one list."""

    def __init__(self, model: Embedder, send: Send) -> None:
        self._model = model
        self._send = send
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._waiting = Waiting(model.info.max_batch, model.info.num_slots)
        self._threads = ThreadControl(model.info.max_threads)
        self._idle_cores = IdleCores()

    def put(self, message: Message) -> None:
        """Hands a message to the loop; safe from any thread."""
        self._inbox.put(message)

    def run(self) -> None:
        """Serves until Closed."""
        while self._take_messages():
            self._send(self._answers(self._waiting.next_step()))

    def _take_messages(self) -> bool:
        """Takes everything that has arrived, and waits while there is nothing to do; False once closed."""
        while True:
            try:
                message = self._inbox.get(block=self._waiting.is_empty)
            except queue.Empty:
                return True
            match message:
                case Work():
                    self._waiting.put(message)
                case Cancel():
                    self._waiting.cancel(message.id)
                case Closed():
                    return False

    def _answers(self, step: Sequence[tuple[Work, list[int]]]) -> list[Event]:
        """Computes a step: the answers of the requests that are complete now. Trouble ends those of the step only."""
        try:
            vectors = self._computed([tokens for _, tokens in step])
        except Exception as error:  # the seam between these requests and all others
            log.exception("step failed inputs=%d", len(step))
            return [self._refused(work, "internal", f"{type(error).__name__}: {error}") for work in _once(step)]
        answers: list[Event] = []
        failed: dict[int, Event] = {}
        for (work, _), vector in zip(step, vectors, strict=True):
            try:
                work.vectors.append(finished(vector, work.request))
            except InvalidInput as error:
                failed[work.request.id] = self._refused(work, "invalid", error.message)
        answers += failed.values()
        answers += [_answer(work) for work in _once(step) if work.is_done and work.request.id not in failed]
        return answers

    def _computed(self, inputs: list[list[int]]) -> Vector:
        started, cpu_started = time.perf_counter(), time.process_time()
        vectors = self._model.embed(inputs)
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
        if self._threads.max_threads > 1:
            before = self._threads.num_threads
            num_tokens = sum(map(len, inputs))
            count = self._threads.observe(started, seconds, cpu_seconds, num_tokens, self._idle_cores.read(started))
            if count != before:
                self._model.set_threads(count)
        return vectors

    def _refused(self, work: Work, code: str, message: str) -> Refusal:
        self._waiting.cancel(work.request.id)
        return Refusal(work.request.id, code, message)  # type: ignore[arg-type]


def _once(step: Sequence[tuple[Work, list[int]]]) -> list[Work]:
    """The requests of a step, each once."""
    return list({id(work): work for work, _ in step}.values())


def _answer(work: Work) -> Embedding:
    num_prompt = sum(map(len, work.inputs))
    return Embedding(work.request.id, tuple(work.vectors), num_prompt, work.num_dropped)
