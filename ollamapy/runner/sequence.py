"""One generation in progress: its tokens, how many of them are computed, and its limits. No engine, no clock."""

from dataclasses import dataclass, field
from enum import Enum

from ollamapy.runner.model import Sampler
from ollamapy.runner.text import TextStream
from ollamapy.wire.runner import Generate, TokenLogprob


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
    tokens: list[int]
    sampler: Sampler
    text: TextStream
    prompt_tokens: list[int]
    num_dropped: int
    submitted: float
    stage: Stage = Stage.WAITING
    slot: int = -1
    num_computed: int = 0
    num_output: int = 0
    answer: list[int] = field(default_factory=list)
    started: float | None = None
    """When its first token went into a batch; None before."""
    answered: float | None = None
    """When its first output token was sampled; None before."""
    pending_logprobs: list[TokenLogprob] = field(default_factory=list)
    last_token: int = -1
    num_repeats: int = 0

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
    def max_output(self) -> int:
        """Output tokens after which the answer ends with "length": `num_predict`, at most 10 x num_ctx."""
        limit = 10 * self.request.num_ctx
        asked = self.request.options.num_predict
        return limit if asked < 0 else min(asked, limit)

    @property
    def is_full(self) -> bool:
        """True when the next token would not fit the request's context."""
        return len(self.tokens) >= self.request.num_ctx

    def append(self, token: int) -> None:
        """Takes a sampled token."""
        self.tokens.append(token)
        self.answer.append(token)
        self.num_output += 1
        self.num_repeats = self.num_repeats + 1 if token == self.last_token else 0
        self.last_token = token

    def __repr__(self) -> str:
        return f"<Sequence {self.id} {self.stage.value} {self.num_computed}/{len(self.tokens)} slot {self.slot}>"


def shift_range(num_tokens: int, num_ctx: int, num_keep: int, adds_bos: bool) -> tuple[int, int]:
    """The positions [start, end) that a context shift drops: half of what comes after the kept ones.

    `num_keep` tokens (and BOS) stay at the front; negative keeps as much as possible. At least one token goes and at
    least one stays behind the gap.
    """
    keep = num_ctx - 2 if num_keep < 0 else num_keep + int(adds_bos)
    keep = max(0, min(keep, num_ctx - 2, num_tokens - 2))
    drop = max((num_ctx - keep) // 2, 1)
    return keep, min(keep + drop, num_tokens - 1)


def cut_prompt(tokens: list[int], num_ctx: int, num_keep: int, adds_bos: bool) -> list[int]:
    """A prompt that is too long, cut in the middle: the kept front and the newest end (template.md section 7)."""
    keep = num_ctx - 1 if num_keep < 0 else min(num_keep + int(adds_bos), num_ctx - 1)
    total = num_ctx - max((num_ctx - keep) // 2, 1)
    tail = max(total - keep, 0)
    return tokens[:keep] + tokens[len(tokens) - tail :] if tail else tokens[:keep]
