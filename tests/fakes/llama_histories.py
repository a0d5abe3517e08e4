"""Random histories on real weights: `python llama_histories.py MODEL.gguf`.

Requests come, share prefixes, are sent away, leave in the middle, and the runner starts anew. Every row of logits that
a token was chosen from is compared with that of the same tokens computed in an empty cache. Prints as JSON how far the
rows of the furthest answer were on average (`worst`), the most that the shape of a batch does to a row (`rounding`),
the least that a wrong block does to an answer (`mistake`), and what happened.
A program of its own because llama.cpp belongs into child processes.
"""

import json
import queue
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import llama_cpp.llama_cpp as native
import numpy as np
import numpy.typing as npt
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ollamapy.runner.intake import Submission
from ollamapy.runner.llama import LlamaModel, load
from ollamapy.runner.loop import Closed, Loop, Message
from ollamapy.runner.model import Chunk, Decoded
from ollamapy.runner.pace import Pace
from ollamapy.runner.scheduler import Step
from ollamapy.runner.snapshots import Snapshots
from ollamapy.runner.tiers import HostMemory, Tiers
from ollamapy.wire.options import Options
from ollamapy.wire.runner import Cancel, Event, Finished, Generate, Load

TEXTS = [Random(seed).sample(range(1000, 40000), 100) for seed in (1, 2)]
"""Tokens without sense, so that none can be left out."""
TAILS = [[2, 5], [5, 30], [61, 5, 62]]
"""Places in the text whose tokens come again, so that the model looks for what followed them."""
NUM_CTX = 256
PLENTY = 1 << 30
_SIZE = 16
"""Tokens of a batch with which prompts are computed to compare with."""
NEAR = 0.7
"""Of a mistake: what is nearer is rounding, which is about a quarter of one."""
Logits = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Ask:
    """A request: `length` tokens of a text and a tail. It comes before step `at`, and leaves `stay` steps later."""

    text: int
    length: int
    tail: int
    at: int = 0
    stay: int = 99
    num_predict: int = 4
    scope: str = ""


@dataclass(frozen=True)
class History:
    """What comes before and after the runner ended once, and how much room there is."""

    rounds: tuple[tuple[Ask, ...], ...]
    pool_tokens: int
    num_parallel: int
    budget: int
    host_bytes: int = PLENTY


ASKS = st.builds(
    Ask,
    text=st.sampled_from(range(len(TEXTS))),
    length=st.sampled_from([20, 63, 64, 80]),
    tail=st.sampled_from(range(len(TAILS))),
    at=st.integers(0, 8),
    stay=st.sampled_from([0, 1, 3, 99, 99, 99]),
    num_predict=st.sampled_from([2, 5]),
    scope=st.sampled_from(["", "", "", "key"]),
)
HISTORIES = st.builds(
    History,
    rounds=st.lists(st.lists(ASKS, min_size=1, max_size=4).map(tuple), min_size=1, max_size=2).map(tuple),
    pool_tokens=st.sampled_from([120, 160, 256, 512]),
    num_parallel=st.sampled_from([1, 2, 4]),
    budget=st.sampled_from([8, 16, 48]),
    host_bytes=st.sampled_from([0, 3 << 20, PLENTY]),
)
CROWD = tuple(Ask(text, 80, tail, num_predict=9) for text in (0, 1) for tail in (0, 1))
EVENTFUL = History((CROWD, (CROWD[3], CROWD[1], replace(CROWD[0], stay=1))), pool_tokens=184, num_parallel=4, budget=48)
"""Everybody shares, somebody is sent away and comes back, one leaves, and the end of the runner is outlived."""


@dataclass
class Watched:
    """Counts what happened, and keeps the rows of logits that tokens were chosen from."""

    model: LlamaModel
    happened: Counter[str] = field(default_factory=Counter)
    rows: list[tuple[list[int], list[Logits]]] = field(default_factory=list)
    """For each request the tokens of prompt and answer, and the rows that the answer was chosen from."""

    def sampler(self, request: Generate, num_ctx: int, prompt: Sequence[int], specials: Any = ()) -> "Greedy":
        tokens, rows = list(prompt), list[Logits]()
        self.rows.append((tokens, rows))
        return Greedy(self.model, tokens, rows)


@dataclass
class Greedy:
    """A sampler that keeps what it chooses from."""

    model: LlamaModel
    tokens: list[int]
    rows: list[Logits]

    def sample(self, row: int) -> int:
        self.rows.append(self.model.logits(row))
        self.tokens.append(int(self.rows[-1].argmax()))
        return self.tokens[-1]

    def close(self) -> None:
        pass


class Inbox(queue.SimpleQueue[Message]):
    """Where the loop would wait, the next of `later` come, and in the end there is nobody."""

    def __init__(self, later: dict[int, list[Message]]) -> None:
        super().__init__()
        self._later = later

    def deliver(self, step: int) -> None:
        for at in [at for at in self._later if at <= step]:
            for message in self._later.pop(at):
                self.put(message)

    def get(self, block: bool = True, timeout: float | None = None) -> Message:
        if block and self.empty():
            self.deliver(min(self._later, default=0))
        return Closed() if block and self.empty() else super().get(block, timeout)


@dataclass
class Steps:
    """Stands before the scheduler: what is due arrives first."""

    next_step: Callable[..., Step]
    inbox: Inbox
    happened: Counter[str]
    number: int = 0

    def __call__(self, *budgets: int) -> Step:
        self.number += 1
        self.inbox.deliver(self.number)
        step = self.next_step(*budgets)
        self.happened["preempted"] += len(step.preempted)
        return step


class SteadyPace(Pace):
    """A budget that no clock changes."""

    def __init__(self, tokens: int) -> None:
        super().__init__(tokens)
        self._tokens = tokens

    def budget(self, num_decoding: int, num_prompts: int = 0) -> int:
        return self._tokens

    def packed_budget(self, num_decoding: int) -> int:
        return self._tokens


def play(history: History, watched: Watched, folder: Path) -> None:
    """One history; afterwards the pool is empty."""
    model = watched.model
    model.info = replace(model.info, pool_tokens=history.pool_tokens, num_parallel=history.num_parallel)
    for asks in history.rounds:
        tiers = Tiers(model, HostMemory(history.host_bytes), Snapshots(folder, "starter", PLENTY))
        loop = Loop(model, lambda events: count(events, watched.happened), tiers)
        loop._pace = SteadyPace(history.budget)
        loop._inbox = inbox = Inbox(messages(asks))
        books = loop._scheduler
        books.next_step = Steps(books.next_step, inbox, watched.happened)  # type: ignore[method-assign, assignment]
        loop.run()
        books.check()
        books.cache.clear()
        loop._carry_out_moves()
        assert {native.llama_memory_seq_pos_max(model._memory, slot) for slot in range(model.info.num_slots)} == {-1}


def messages(asks: Sequence[Ask]) -> dict[int, list[Message]]:
    """What arrives before which step."""
    later: dict[int, list[Message]] = {}
    for number, ask in enumerate(asks):
        text = TEXTS[ask.text]
        tokens = text[: ask.length] + [text[place] for place in TAILS[ask.tail]]
        options = Options(num_predict=ask.num_predict)
        request = Generate(number, "", options, NUM_CTX, scope=ask.scope)
        later.setdefault(ask.at, []).append(Submission(request, tokens, 0.0))
        later.setdefault(ask.at + ask.stay, []).append(Cancel(number))
    return later


def count(events: list[Event], happened: Counter[str]) -> None:
    for event in events:
        if isinstance(event, Finished):
            happened[event.reason] += 1
            happened["cached"] += event.num_prompt_cached


def alone(model: LlamaModel, tokens: Sequence[int], num_rows: int, size: int = _SIZE) -> list[Logits]:
    """The last rows of logits of `tokens`, computed in an empty cache, `size` at a time."""
    rows = []
    for start in range(0, len(tokens), size):
        end = min(start + size, len(tokens))
        num_wanted = min(max(end - (len(tokens) - num_rows), 0), end - start)
        chunk = Chunk(0, start, tokens[start:end], num_wanted > 0, num_guessed=max(num_wanted - 1, 0))
        assert model.decode([chunk]) is Decoded.OK
        rows += [model.logits(row) for row in range(num_wanted)]
    model.remove(0, 0, -1)
    return rows


def measure_rounding(model: LlamaModel) -> float:
    """The largest distance between rows of the same tokens in batches of several shapes."""
    prompts = [text[:80] for text in TEXTS]
    usual, *others = ([row for prompt in prompts for row in alone(model, prompt, 20, size)] for size in (_SIZE, 1, 80))
    return max(distance(one, row) for other in others for one, row in zip(usual, other, strict=True))


def measure_mistakes(model: LlamaModel) -> float:
    """The least distance of the rows of an answer from those of a text with a block that is missing or another's."""
    found = []
    for text, other in (TEXTS, TEXTS[::-1]):
        right = alone(model, text[:80], 5)
        for wrong in ([*text[:16], *text[32:80]], [*text[:16], *other[16:32], *text[32:80]]):
            found.append(mean_distance(alone(model, wrong, 5), right))
    return min(found)


def mean_distance(rows: Sequence[Logits], others: Sequence[Logits]) -> float:
    return sum(map(distance, rows, others)) / len(rows)


def distance(a: Logits, b: Logits) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean((a - b) ** 2)))


def main(path: str) -> None:
    model = load(Load("llama", path, NUM_CTX, 512, 4, num_thread=1), lambda fraction: None)
    wanted: dict[tuple[tuple[int, ...], int], list[Logits]] = {}
    rounding, mistake = measure_rounding(model), measure_mistakes(model)
    watched = Watched(model)
    model.sampler = watched.sampler  # type: ignore[method-assign, assignment]
    worst = 0.0

    @settings(max_examples=3, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(HISTORIES)
    @example(EVENTFUL)
    def every_cache_gives_the_logits_of_an_empty_one(history: History) -> None:
        nonlocal worst
        watched.rows.clear()
        with tempfile.TemporaryDirectory() as folder:
            play(history, watched, Path(folder))
        for tokens, rows in watched.rows:
            if rows:
                key = (tuple(tokens[:-1]), len(rows))
                wanted[key] = wanted.get(key) or alone(model, *key)
                far = mean_distance(rows, wanted[key])
                worst = max(worst, far)
                assert far <= NEAR * mistake

    every_cache_gives_the_logits_of_an_empty_one()
    model.close()
    print(json.dumps({"worst": worst, "rounding": rounding, "mistake": mistake, **watched.happened}))


if __name__ == "__main__":
    main(sys.argv[1])
