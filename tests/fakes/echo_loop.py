"""The real loop over the echo model, in this process and without threads.

`serve` runs a mix of requests to the end and hands back what each was told. The model keeps records, can be given a
small batch or fewer cells than its books say, and calls back before each step.
"""

import codecs
import queue
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from fakes.answers import Answer

from ollamapy.errors import InvalidInput
from ollamapy.runner.draft import Draft
from ollamapy.runner.echo import EchoModel
from ollamapy.runner.intake import Submission
from ollamapy.runner.loop import Closed, Loop, Message
from ollamapy.runner.model import Chunk, Decoded, Sampler
from ollamapy.runner.pace import Pace
from ollamapy.runner.scheduler import Step
from ollamapy.runner.tiers import Tiers
from ollamapy.wire.runner import (
    Cancel,
    Event,
    Finished,
    Generate,
    Load,
    Output,
    Refusal,
    Stats,
)

MAX_STEPS = 20_000
SAMPLE_FAILS, START_FAILS, START_REFUSES, SAMPLE_REFUSES = 901, 902, 903, 904
"""Seeds that make the sampler of a request fail at a token or when it is made, or refuse with InvalidInput."""
_FAULTS = {SAMPLE_FAILS: ZeroDivisionError("the sampler broke"), SAMPLE_REFUSES: InvalidInput("a dead end")}


class WatchedEcho(EchoModel):
    """An echo model that counts."""

    def __init__(
        self,
        *,
        pool_tokens: int = 4096,
        num_parallel: int = 8,
        num_kept: int = 32,
        max_batch: int = 512,
        num_missing: int = 0,
        can_cut: bool = True,
        mixes: bool = True,
    ) -> None:
        """`num_missing` cells are in the books and not in the pool. `num_kept` more slots than can run."""
        super().__init__(Load("echo", __file__, pool_tokens, pool_tokens, num_parallel), {}, "")
        num_slots = num_parallel + num_kept
        self.info = replace(self.info, max_batch=max_batch, num_slots=num_slots, can_cut=can_cut, mixes=mixes)
        self.before_step: Callable[[int], None] = lambda step: None
        self.steps: list[list[Chunk]] = []
        self.moves: list[tuple[int, int, int, int]] = []
        self.num_open_samplers = 0
        self._num_real = pool_tokens - num_missing

    @property
    def num_used(self) -> int:
        return len(self._cells)

    def decode(self, chunks: Sequence[Chunk]) -> Decoded:
        assert len(self.steps) < MAX_STEPS, "the loop turns without an end"
        self.before_step(len(self.steps))
        self.steps.append(list(chunks))
        num_tokens = sum(len(chunk.tokens) for chunk in chunks)
        assert 0 < num_tokens <= self.info.max_batch
        assert len({chunk.slot for chunk in chunks}) == len(chunks)
        if self.num_used + num_tokens > self._num_real:
            return Decoded.NO_ROOM
        outcome = super().decode(chunks)
        assert outcome is not Decoded.NO_ROOM, "the books promised cells that the pool does not have"
        return outcome

    def remove(self, slot: int, start: int, end: int) -> bool:
        is_tail = end < 0 and 0 < start < len(self.held(slot))
        assert self.info.can_cut or not is_tail, "part of a slot"
        return super().remove(slot, start, end)

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        assert self.info.can_cut or (start, end) == (0, len(self.held(source))), "part of a slot"
        super().copy(source, target, start, end)

    def move(self, slot: int, start: int, end: int, delta: int) -> None:
        self.moves.append((slot, start, end, delta))
        super().move(slot, start, end, delta)

    def sampler(
        self, request: Generate, num_ctx: int, prompt: Sequence[int], specials: Collection[int] = ()
    ) -> Sampler:
        if request.options.seed == START_REFUSES:
            raise InvalidInput("the engine cannot take this option")
        if request.options.seed == START_FAILS:
            raise ZeroDivisionError("no sampler today")
        self.num_open_samplers += 1
        return _WatchedSampler(self, _FAULTS.get(request.options.seed))


class _WatchedSampler:
    """Fails at its third token if it is told to."""

    def __init__(self, model: WatchedEcho, fault: Exception | None) -> None:
        self._model = model
        self._fault = fault
        self._num_sampled = 0
        self._is_open = True

    def sample(self, row: int) -> int:
        assert self._is_open
        self._num_sampled += 1
        if self._fault and self._num_sampled == 3:
            raise self._fault
        return self._model.next_token(row)

    def choose_free(self, row: int) -> int:
        return self._model.next_token(row)

    def accept_free(self, token: int) -> None:
        assert self._is_open

    def close(self) -> None:
        self._model.num_open_samplers -= self._is_open
        self._is_open = False


@dataclass
class Served:
    """The answers by request id, the loop's own reports, and what it sent at a time."""

    answers: dict[int, Answer]
    stats: list[Stats] = field(default_factory=list)
    sent: list[list[Event]] = field(default_factory=list)
    num_preempted: int = 0

    def __getitem__(self, request_id: int) -> Answer:
        return self.answers[request_id]


def serve(
    model: WatchedEcho,
    requests: Sequence[Generate],
    *,
    later: Mapping[int, Sequence[Message]] | None = None,
    tiers: Tiers | None = None,
    draft: Draft | None = None,
) -> Served:
    """Runs `requests` until each has its answer. `later` holds messages that arrive before the step of that number.

    Requests among them count too. Afterwards nothing may be left in the model but what the cache knows of.
    """
    later = dict(later or {})
    late = [m.request for messages in later.values() for m in messages if isinstance(m, Submission)]
    served = Served({request.id: Answer() for request in [*requests, *late]})

    def send(events: list[Event]) -> None:
        assert events, "a line of nothing"
        served.sent.append(events)
        for event in events:
            _record(event, served)
        if all(answer.end for answer in served.answers.values()):
            loop.put(Closed())

    loop = Loop(model, send, tiers, draft)
    loop._inbox = _Inbox()
    loop._pace = _EvenPace(model.info.max_batch)
    books = loop._scheduler
    next_step = books.next_step

    def count_preempted(*budgets: int) -> Step:
        step = next_step(*budgets)
        served.num_preempted += len(step.preempted)
        return step

    books.next_step = count_preempted  # type: ignore[method-assign]

    def before_step(step: int) -> None:
        for message in later.pop(step, []):
            loop.put(message)

    model.before_step = before_step
    for request in requests:
        loop.put(submission(model, request))
    loop.run()
    books.check()
    num_known = books.cache.num_cells  # of engines that cannot cut, shared cells are counted twice
    assert model.num_used == num_known or (model.num_used < num_known and not model.info.can_cut), "cells are left"
    books.cache.clear()
    loop._carry_out_moves()
    assert model.num_used == 0, "cells are left"
    assert model.num_open_samplers == 0, "a sampler is left"
    return served


class _EvenPace(Pace):
    """Takes every token to cost the same, so that no pause of this machine changes what goes into a step."""

    def observe(self, num_tokens: int, seconds: float) -> None:
        super().observe(num_tokens, 1e-5 * max(num_tokens, 1))


class _Inbox(queue.SimpleQueue[Message]):
    """Fails where the loop would wait for ever: there is no other thread that could send a message."""

    def get(self, block: bool = True, timeout: float | None = None) -> Message:
        assert not (block and self.empty()), "the loop waits although somebody has no answer"
        return super().get(block, timeout)


def submission(model: EchoModel, request: Generate) -> Submission:
    return Submission(request, model.tokenize(request.prompt, request.add_special), 0.0)


def _record(event: Event, served: Served) -> None:
    if isinstance(event, Stats):
        served.stats.append(event)
        return
    assert isinstance(event, Output | Finished | Refusal)
    served[event.id].add(event)


def expected_echo(request: Generate) -> tuple[str, str, int]:
    """The slow way to the answer, for a context that never gets full: text, reason and number of output tokens."""
    options = request.options
    limit = 10 * request.num_ctx if options.num_predict < 0 else max(options.num_predict, 1)
    decoder = codecs.getincrementaldecoder("utf-8")()
    text, num_alike, before = "", 0, None
    for count, byte in enumerate(request.prompt.encode(), 1):
        text += decoder.decode(bytes([byte]))
        piece = bytes([byte]).strip()
        num_alike = num_alike + 1 if piece == before else 0
        before = piece
        stops = [text.index(stop) for stop in options.stop if stop and stop in text]
        if stops:
            return text[: min(stops)], "stop", count
        if 0 < request.max_repeats <= num_alike:
            return text, "stop", count
        if count >= limit:
            return text, "length", count
    return text, "stop", len(request.prompt.encode()) + 1


def cancel(*request_ids: int) -> list[Message]:
    return [Cancel(request_id) for request_id in request_ids]
