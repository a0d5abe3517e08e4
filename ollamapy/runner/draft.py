"""A draft model: a smaller model with the same vocabulary, which guesses what the model will say next.

Owns the draft model and its KV pool. The loop samples every token as ever, so a guess can cost time and never changes
a token, and whatever goes wrong here ends in fewer guesses. It must never touch the pool of the model itself.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from ollamapy.errors import LoadFailed
from ollamapy.runner.model import Chunk, Decoded, Model, ModelLoader
from ollamapy.runner.payoff import Payoff
from ollamapy.runner.prefix import num_shared
from ollamapy.runner.sequence import Sequence
from ollamapy.runner.speculate import MOST_SEQUENCES
from ollamapy.wire.runner import Load

_LEAST_SURE = 0.4
"""How likely the draft model must think all tokens up to one: a wrong one costs a row of the large model."""
_ENDS = (0, 3)
"""Tokens after which a draft may end early: with the one before, rows come in fours, as matrix kernels take them."""
_MOST_AT_ONCE = 64
"""Tokens that are read in one step, so that a long prompt holds up no stream for long."""
_LEAST_SHARED = 16
"""Tokens in common for which a sequence takes up what another one has left."""
_MOST_UNLIKE = 128
"""By how many tokens, at the ends, vocabularies may differ: models of one family are padded to different sizes."""

log = logging.getLogger(__name__)


def open_draft(request: Load, model: Model, load: ModelLoader, on_progress: Callable[[float], None]) -> "Draft":
    """The draft model at `request.draft` for `model`, loaded with `load`. Raises LoadFailed when it cannot be used."""
    if not model.info.can_cut:
        raise LoadFailed("the memory of the model cannot be cut back, so wrong guesses could not be taken back")
    draft = load(_load_of(request), lambda _: on_progress(1.0))
    words, drafted = model.words(), draft.words()
    fault = misfit(words, drafted) if draft.info.can_cut else "its memory cannot be cut back"
    if fault:
        draft.close()
        raise LoadFailed(fault)
    return Draft(draft, min(len(words), len(drafted)))


def _load_of(request: Load) -> Load:
    """How the draft model is loaded: on the same devices, with cells for one full context."""
    return Load(
        engine=request.engine,
        path=request.draft,
        num_ctx=request.num_ctx,
        pool_tokens=request.num_ctx,
        num_parallel=MOST_SEQUENCES,
        num_gpu=request.num_gpu,
        main_gpu=request.main_gpu,
        use_mmap=request.use_mmap,
        use_mlock=request.use_mlock,
        num_thread=request.num_thread,
        flash_attention=request.flash_attention,
        kv_type=request.kv_type,
    )


def misfit(words: list[bytes], drafted: list[bytes]) -> str:
    """Why a model of the vocabulary `drafted` cannot guess for one of `words`; empty when it can."""
    if abs(len(words) - len(drafted)) > _MOST_UNLIKE:
        return f"its vocabulary has {len(drafted)} tokens, that of the model {len(words)}"
    unlike = next((token for token, (one, other) in enumerate(zip(words, drafted, strict=False)) if one != other), None)
    return "" if unlike is None else f"its vocabulary differs from that of the model, first at token {unlike}"


@dataclass(slots=True)
class _Place:
    """A slot of the draft model and the tokens whose cells it holds."""

    slot: int
    owner: int = -1
    """The request that it was used for last."""
    scope: str = ""
    tokens: list[int] = field(default_factory=list)
    last_used: int = 0

    def num_shared(self, sequence: Sequence) -> int:
        """How many tokens need not be computed for the sequence; its last always is."""
        if self.scope != sequence.request.scope:
            return 0
        return num_shared(self.tokens, sequence.tokens, 0, len(sequence.tokens) - 1)


@dataclass(frozen=True, slots=True)
class _Step:
    """A step that has begun: when, for whom, with how many tokens answered before, and what it had of drafts."""

    began: float
    requests: list[int]
    num_output: int
    kind: Literal["drafted", "plain", "neither"]


class Draft:
    """A draft model at work on the few sequences of a step. It guesses tokens below `num_words` only.

    What it has of a sequence is found by comparing tokens, so guesses that were wrong, context shifts and preemption
    need no word from anybody.
    """

    def __init__(self, model: Model, num_words: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self._model = model
        self._num_words = num_words
        self._clock = clock
        self._places = [_Place(slot) for slot in range(MOST_SEQUENCES)]
        self._payoffs: defaultdict[int, Payoff] = defaultdict(Payoff)
        """By the number of sequences in a step."""
        self._num_steps = 0
        self._last = _Step(0.0, [], 0, "neither")
        self._is_broken = False
        self.info = model.info

    def guess(self, sequences: list[Sequence], limit: int) -> list[tuple[int, ...]]:
        """Guesses at the next tokens of all sequences of a step, `limit` at most for each.

        What is found in a sequence itself costs nothing and goes first. The draft model goes on from the others.
        """
        began = self._clock()
        self._observe(sequences, began)
        guesses = [sequence.guess(limit) for sequence in sequences]
        kind: Literal["drafted", "plain", "neither"] = "neither" if any(guesses) else "plain"
        wanted = [sequence for sequence, found in zip(sequences, guesses, strict=True) if not found]
        wanted = [sequence for sequence in wanted if sequence.num_draftable(limit) > 0]
        if wanted and self._payoffs[len(sequences)].is_on and not self._is_broken:
            drafts = self._drafts(sequences, wanted, limit)
            kind = "drafted" if drafts else "neither"
            pairs = zip(sequences, guesses, strict=True)
            guesses = [found or tuple(drafts.get(sequence.id, ())) for sequence, found in pairs]
        self._last = _Step(began, *_standing(sequences), kind)
        return guesses

    def set_threads(self, count: int) -> None:
        self._model.set_threads(count)

    def _observe(self, sequences: list[Sequence], now: float) -> None:
        """What the last step was good for, if it was followed by this one."""
        requests, num_output = _standing(sequences)
        last = self._last
        if last.kind != "neither" and requests == last.requests:
            payoff = self._payoffs[len(requests)]
            payoff.observe(last.kind == "drafted", now - last.began, num_output - last.num_output)

    def _drafts(self, sequences: list[Sequence], wanted: list[Sequence], limit: int) -> dict[int, list[int]]:
        """By request: what the draft model says next. Nothing of those whose tokens it has not all read yet."""
        self._num_steps += 1
        places = {self._place(sequence, sequences).slot: sequence for sequence in wanted}
        try:
            return self._continued(self._chunks(sequences, places, limit), places, limit)
        except RuntimeError:  # guesses are not worth an answer
            log.exception("draft model failed and is not used any more")
            self._is_broken = True
            return {}

    def _continued(self, chunks: list[Chunk], places: dict[int, Sequence], limit: int) -> dict[int, list[int]]:
        """Computes the chunks, and then token by token as long as the draft model is sure."""
        drafts: dict[int, list[int]] = {}
        sure = dict.fromkeys(places, 1.0)
        while chunks:
            if not self._decode(chunks):
                return {}
            ends = [chunk for chunk in chunks if chunk.wants_output]
            chunks = []
            for row, end in enumerate(ends):
                sequence = places[end.slot]
                draft = drafts.setdefault(sequence.id, [])
                token, probability = self._model.likeliest(row)
                sure[end.slot] *= probability
                is_doubtful = len(draft) in _ENDS and sure[end.slot] < _LEAST_SURE
                if is_doubtful or token >= self._num_words or self._model.is_end(token):
                    continue
                draft.append(token)
                if len(draft) < sequence.num_draftable(limit):
                    chunks.append(Chunk(end.slot, end.start + len(end.tokens), [token], True))
        return drafts

    def _chunks(self, sequences: list[Sequence], places: dict[int, Sequence], limit: int) -> list[Chunk]:
        """What is to be read of each sequence first, as far as there are cells for it and for its guess.

        Those with the least to read come first.
        """
        chunks: list[Chunk] = []
        num_left, num_reserved = min(_MOST_AT_ONCE, self.info.max_batch), 0
        starts = {slot: self._places[slot].num_shared(sequence) for slot, sequence in places.items()}
        for slot in sorted(places, key=lambda slot: len(places[slot].tokens) - starts[slot]):
            place, sequence, start = self._places[slot], places[slot], starts[slot]
            self._cut(place, start)
            place.scope = sequence.request.scope
            part = sequence.tokens[start : start + num_left]
            num_guessed = sequence.num_draftable(limit)
            num_new = num_reserved + len(part) + num_guessed
            is_within = len(sequence.tokens) + num_guessed <= (self.info.num_ctx_train or self.info.pool_tokens)
            if part and is_within and max(part) < self._num_words and self._make_room(num_new, sequences):
                num_left, num_reserved = num_left - len(part), num_new
                chunks.append(Chunk(slot, start, part, start + len(part) == len(sequence.tokens)))
        return chunks

    def _place(self, sequence: Sequence, sequences: list[Sequence]) -> _Place:
        """Its own place; else that of none of them with most of its tokens, or the one used longest ago."""
        own = next((place for place in self._places if place.owner == sequence.id), None)
        if own is None:
            others = {other.id for other in sequences}
            shared = {place.slot: place.num_shared(sequence) for place in self._places if place.owner not in others}
            best = max(shared, key=lambda slot: (shared[slot] // _LEAST_SHARED, -self._places[slot].last_used))
            own = self._places[best]
        own.owner, own.last_used = sequence.id, self._num_steps
        return own

    def _make_room(self, num_new: int, sequences: list[Sequence]) -> bool:
        """Lets go of what belongs to none of the sequences, until there are cells for so many more tokens."""
        ids = {sequence.id for sequence in sequences}
        others = [place for place in self._places if place.owner not in ids]
        for place in sorted(others, key=lambda place: place.last_used):
            if self._num_free < num_new:
                self._cut(place, 0)
        return self._num_free >= num_new

    @property
    def _num_free(self) -> int:
        return self.info.pool_tokens - sum(len(place.tokens) for place in self._places)

    def _cut(self, place: _Place, length: int) -> None:
        """Keeps the first `length` tokens of a place."""
        if length < len(place.tokens):
            self._model.remove(place.slot, length, -1)
            del place.tokens[length:]

    def _decode(self, chunks: list[Chunk]) -> bool:
        """Computes chunks. False when there were no cells: then everything goes, and is computed again."""
        for chunk in chunks:
            self._places[chunk.slot].tokens.extend(chunk.tokens)
        if self._model.decode(chunks) is Decoded.OK:
            return True
        for place in self._places:
            self._cut(place, 0)
        return False

    def check(self) -> None:
        """Raises AssertionError if the books do not balance."""
        assert self._num_free >= 0, "more cells in use than the pool of the draft model has"
        owners = [place.owner for place in self._places if place.owner >= 0]
        assert len(owners) == len(set(owners)), "a sequence has two places"

    def close(self) -> None:
        self._model.close()

    def __repr__(self) -> str:
        return f"<Draft {[len(place.tokens) for place in self._places]} tokens, {self._num_free} cells free>"


def _standing(sequences: list[Sequence]) -> tuple[list[int], int]:
    """Which requests run, and how many tokens they have been answered."""
    return [sequence.id for sequence in sequences], sum(sequence.num_output for sequence in sequences)
