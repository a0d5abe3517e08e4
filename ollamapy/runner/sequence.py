"""One generation in progress: its tokens, how many of them are computed, and its limits. No engine, no clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from ollamapy.runner.fence import LineFence
from ollamapy.runner.model import Picture, Sampler
from ollamapy.runner.speculate import Speculation
from ollamapy.runner.text import TextStream
from ollamapy.runner.thinking import ThinkingGate
from ollamapy.wire.runner import Finished, Generate, TokenLogprob


class Stage(Enum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"


@dataclass(slots=True, eq=False)
class Sequence:
    """`tokens` are all that are known (prompt, then answer); the first `num_computed` of them are in the KV pool.

    There is no prefill phase and no decode phase: computed tokens catch up with known ones. A context shift takes
    tokens out of the middle of `tokens`; `prompt_tokens` and `answer` stay whole.
    """

    request: Generate
    num_ctx: int
    """The most tokens it may hold: what the request asks for, at most the pool."""
    tokens: list[int]
    sampler: Sampler
    text: TextStream
    prompt_tokens: list[int]
    num_dropped: int
    submitted: float
    specials: Mapping[int, bytes] = field(default_factory=dict)
    """Control tokens that are part of the answer's text."""
    pictures: tuple[Picture, ...] = ()
    """Rows that stand where tokens of the prompt are made up, in order."""
    fence: LineFence | None = None
    """Where a line ends the answer, if one may."""
    gate: ThinkingGate | None = None
    """Where its reasoning ends, if anybody must know."""
    speculation: Speculation | None = None
    """Guesses at its next tokens; None for none."""
    stage: Stage = Stage.WAITING
    slot: int = -1
    num_computed: int = 0
    num_cached: int | None = None
    """Tokens of the prompt that were in the cache when it first ran; None before."""
    num_shifted: int = 0
    """Tokens that context shifts took out."""
    is_shifted: bool = False
    """Cells of it were moved: they hold what no computation of its tokens would give."""
    num_passed: int = 0
    """Later arrivals that ran before it."""
    awaited: "tuple[Sequence, int] | None" = None
    """A sequence whose prompt begins like this one's, and how many tokens of it are worth waiting for."""
    num_output: int = 0
    answer: list[int] = field(default_factory=list)
    started: float | None = None
    """When its first token went into a batch; None before."""
    answered: float | None = None
    """When its first output token was sampled; None before."""
    pending_logprobs: list[TokenLogprob] = field(default_factory=list)
    last_piece: bytes | None = None
    num_repeats: int = 0
    """Tokens at the end of the answer that say what the one before them said, white space around them aside."""

    @property
    def id(self) -> int:
        return self.request.id

    @property
    def num_prompt(self) -> int:
        return len(self.prompt_tokens)

    @property
    def num_pending(self) -> int:
        """Tokens that are known and not computed."""
        return len(self.tokens) - self.num_computed

    @property
    def position(self) -> int:
        """That of its first uncomputed token, or of the grid that this is in; images in a grid take less positions than
        tokens."""
        if not self.pictures:
            return self.num_computed
        picture = self.picture
        at = picture.start if picture and picture.grid else self.num_computed
        return at - sum(one.num_saved for one in self.pictures if one.end <= at)

    @property
    def edge(self) -> int:
        """The first position that is past all computed ones."""
        picture = self.picture
        is_inside = picture and picture.grid and picture.start < self.num_computed
        return self.position + int(bool(is_inside))

    @property
    def picture(self) -> Picture | None:
        """The picture that is to be computed next, if one is."""
        at = self.num_computed
        return next((picture for picture in self.pictures if picture.start <= at < picture.end), None)

    @property
    def num_alike(self) -> int:
        """Tokens that are known and not computed, up to where a picture begins or ends."""
        at = self.num_computed
        edges = (edge for picture in self.pictures for edge in (picture.start, picture.end) if edge > at)
        return next(edges, len(self.tokens)) - at

    @property
    def max_output(self) -> int:
        """Output tokens after which the answer ends with "length": `num_predict`, at most 10 x num_ctx."""
        limit = 10 * self.num_ctx
        asked = self.request.options.num_predict
        return limit if asked < 0 else min(asked, limit)

    @property
    def is_full(self) -> bool:
        """True when the next token would not fit the request's context."""
        return len(self.tokens) >= self.num_ctx

    def finished(self, reason: str, now: float) -> Finished:
        """What is told when it ends at `now`."""
        started = self.started if self.started is not None else now
        answered = self.answered if self.answered is not None else now
        told = (*self.prompt_tokens, *self.answer) if self.request.wants_tokens else ()
        return Finished(
            id=self.id,
            reason=reason,  # type: ignore[arg-type]
            num_prompt=self.num_prompt,
            num_prompt_cached=self.num_cached or 0,
            num_prompt_dropped=self.num_dropped,
            num_shifted=self.num_shifted,
            num_output=self.num_output,
            prompt_seconds=answered - started,
            output_seconds=now - answered,
            queue_seconds=started - self.submitted,
            num_drafted=self.speculation.num_drafted if self.speculation else 0,
            num_accepted=self.speculation.num_accepted if self.speculation else 0,
            is_thinking_cut=self.gate is not None and self.gate.is_cut,
            tokens=tuple(token for token in told if token >= 0),  # those of images are made up
        )

    def guess(self, limit: int) -> tuple[int, ...]:
        """Its next tokens, perhaps: so few that all of them and one more fit its context and its answer."""
        return self.speculation.guess(self._room(limit)) if self.speculation else ()

    def num_draftable(self, limit: int) -> int:
        """How many of its next tokens a draft model may guess."""
        return self.speculation.num_draftable(self._room(limit)) if self.speculation else 0

    def _room(self, limit: int) -> int:
        return min(limit, self.num_ctx - len(self.tokens) - 1, self.max_output - self.num_output - 1)

    @property
    def num_keep(self) -> int:
        """Tokens after BOS that a context shift keeps at the front: -1 asks for the whole prompt."""
        asked = self.request.options.num_keep
        return self.num_prompt if asked < 0 else asked

    @property
    def is_stuck(self) -> bool:
        """True when the last token has repeated as often as the request allows."""
        limit = self.request.max_repeats
        return 0 < limit <= self.num_repeats

    def append(self, token: int, piece: bytes) -> None:
        """Takes a sampled token and the bytes that it adds to the answer."""
        self.tokens.append(token)
        self.answer.append(token)
        self.num_output += 1
        if self.speculation:
            self.speculation.append(token)
        piece = piece.strip()
        self.num_repeats = self.num_repeats + 1 if piece == self.last_piece else 0
        self.last_piece = piece

    def __repr__(self) -> str:
        return f"<Sequence {self.id} {self.stage.value} {self.num_computed}/{len(self.tokens)} slot {self.slot}>"


def shift_range(num_tokens: int, num_ctx: int, num_keep: int, adds_bos: bool) -> tuple[int, int]:
    """The positions [start, end) that a context shift drops: half of what comes after the kept ones.

    `num_keep` tokens (and BOS) stay at the front. At least one token goes and at least one stays behind the gap, so
    both `num_tokens` and `num_ctx` must be 2 or more.
    """
    keep = max(0, min(num_keep + int(adds_bos), num_ctx - 2, num_tokens - 2))
    drop = max((num_ctx - keep) // 2, 1)
    return keep, min(keep + drop, num_tokens - 1)


def cut_prompt(tokens: list[int], num_ctx: int, num_keep: int, adds_bos: bool) -> list[int]:
    """A prompt that is too long, cut in the middle: the kept front and the newest end (template.md section 7).

    `num_keep` -1 keeps as much of the front as possible. The next token always fits. `num_ctx` must be 2 or more.
    """
    keep = num_ctx - 1 if num_keep < 0 else min(num_keep + int(adds_bos), num_ctx - 1)
    total = num_ctx - max((num_ctx - keep) // 2, 1)
    tail = max(total - keep, 0)
    return tokens[:keep] + tokens[len(tokens) - tail :] if tail else tokens[:keep]
