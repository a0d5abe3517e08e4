"""What becomes of a request when it reaches the loop: a sequence with its limits, sampler and guesses, or a refusal.

Reads the model and changes nothing: whoever gets the sequence owns it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ollamapy.errors import InvalidInput
from ollamapy.runner.fence import fence_of
from ollamapy.runner.model import Model, Picture, Sampler
from ollamapy.runner.sequence import Sequence, cut_prompt
from ollamapy.runner.speculate import Speculation
from ollamapy.runner.text import TextStream
from ollamapy.runner.thinking import ThinkingGate, ThinkingSampler
from ollamapy.wire.runner import Generate


@dataclass(frozen=True, slots=True)
class Submission:
    """A Generate with its prompt as token ids."""

    request: Generate
    tokens: list[int]
    received: float
    specials: Mapping[int, bytes] = field(default_factory=dict)
    """Control tokens of this answer that are written out."""
    pictures: tuple[Picture, ...] = ()
    num_dropped: int = 0
    """Tokens that were left out of the prompt before."""


class TooLong(Exception):
    """A prompt of `num_prompt` tokens for a context of `limit`."""

    def __init__(self, num_prompt: int, limit: int) -> None:
        super().__init__(f"the prompt has {num_prompt} tokens and exceeds the available context size of {limit} tokens")
        self.num_prompt = num_prompt
        self.limit = limit


def begin(submission: Submission, model: Model) -> Sequence:
    """The sequence of a submission, its prompt cut to its context if it says so. Raises InvalidInput, TooLong."""
    request, tokens, num_dropped = submission.request, submission.tokens, submission.num_dropped
    num_ctx = min(request.num_ctx, model.info.pool_tokens)
    if not tokens:
        raise InvalidInput("the prompt holds no tokens")
    if num_ctx < 2:
        raise InvalidInput(f"num_ctx must be at least 2: found {num_ctx}")
    if len(tokens) > num_ctx - 1:
        if not request.cut:
            raise TooLong(len(tokens), num_ctx)
        tokens = cut_prompt(tokens, num_ctx, request.options.num_keep, model.info.adds_bos)
        num_dropped += len(submission.tokens) - len(tokens)
    _check_pictures(submission.pictures, model.info.max_batch)
    gate = _gate(request)
    return Sequence(
        request=request,
        num_ctx=num_ctx,
        tokens=list(tokens),
        sampler=_sampler(submission, model, num_ctx, tokens, gate),
        gate=gate,
        speculation=_speculation(request, tokens, can_cut=model.info.can_cut),
        text=TextStream(request.options.stop),
        fence=fence_of(request.options),
        prompt_tokens=tokens,
        num_dropped=num_dropped,
        submitted=submission.received,
        specials=submission.specials,
        pictures=submission.pictures,
    )


def _check_pictures(pictures: tuple[Picture, ...], max_batch: int) -> None:
    """Raises InvalidInput for an image that must be computed in one batch and is larger than that."""
    for picture in pictures:
        if not picture.is_causal and len(picture.rows) > max_batch:
            raise InvalidInput(
                f"an image takes {len(picture.rows)} tokens, and one batch has {max_batch}",
                hint=f"set num_batch to {len(picture.rows)} or more",
            )


def _gate(request: Generate) -> ThinkingGate | None:
    """Only a grammar or a budget needs to know where the reasoning ends."""
    thinking = request.thinking
    if thinking is None or not (request.grammar or thinking.budget >= 0):
        return None
    return ThinkingGate(thinking, is_held=bool(request.grammar))


def _sampler(
    submission: Submission, model: Model, num_ctx: int, prompt: list[int], gate: ThinkingGate | None
) -> Sampler:
    """The sampler of a request, behind its gate if it has one."""
    specials = submission.specials
    words = [token for token in prompt if token >= 0] if submission.pictures else prompt
    sampler = model.sampler(submission.request, num_ctx, words, specials)
    if not gate:
        return sampler
    return ThinkingSampler(
        sampler,
        gate,
        encode=lambda text: model.tokenize(text, False),
        piece=lambda token: specials.get(token) or model.piece(token),
        is_end=model.is_end,
    )


def _speculation(request: Generate, tokens: list[int], *, can_cut: bool) -> Speculation | None:
    """`draft_num_predict` bounds the guesses and 0 turns them off; wrong ones must be cut off again."""
    most = request.options.draft_num_predict
    if most == 0 or min(tokens) < 0 or not can_cut:  # a guess must not be a part of an image
        return None
    return Speculation(tokens, -1 if most is None else most)
