"""Sequences without an engine, for tests of what only counts tokens."""

from typing import Any

from ollamapy.runner.sequence import Sequence
from ollamapy.runner.text import TextStream
from ollamapy.wire.options import Options
from ollamapy.wire.runner import Generate


class NoSampler:
    """Stands where a sampler is held and never asked."""

    def sample(self, row: int) -> int:
        raise AssertionError("nothing decodes here")

    def choose_free(self, row: int) -> int:
        raise AssertionError("nothing decodes here")

    def accept_free(self, token: int) -> None:
        raise AssertionError("nothing decodes here")

    def close(self) -> None:
        pass


def sequence(
    request_id: int = 1,
    *,
    num_prompt: int = 10,
    num_ctx: int = 100,
    num_keep: int = 4,
    num_predict: int = -1,
    max_repeats: int = 0,
    first_token: int | None = None,
    **asked: Any,
) -> Sequence:
    """A sequence that waits. Its prompt counts up from `first_token`; without one it is like no other's."""
    options = Options(num_keep=num_keep, num_predict=num_predict)
    first = 1000 * request_id if first_token is None else first_token
    prompt = list(range(first, first + num_prompt))
    return Sequence(
        request=Generate(request_id, "", options, num_ctx, max_repeats=max_repeats, **asked),
        num_ctx=num_ctx,
        tokens=list(prompt),
        sampler=NoSampler(),
        text=TextStream(),
        prompt_tokens=prompt,
        num_dropped=0,
        submitted=0.0,
    )
