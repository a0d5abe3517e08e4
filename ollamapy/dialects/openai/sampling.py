"""What OpenAI's chat and text completions ask of the engine, as native options."""

from collections.abc import Iterable, Mapping
from typing import Any

from ollamapy.errors import InvalidInput
from ollamapy.wire.openai import SamplingFields

MAX_CHOICES = 128
"""OpenAI's own bound on `n`."""


def options_of(
    wanted: SamplingFields, defaults: Mapping[str, Any], stop: Iterable[str] | None, choice: int = 0
) -> dict[str, Any]:
    """Of the three that may set an option, the request's own field wins, then its `options`, then OpenAI's default.

    Choices of one request differ: each later one counts on from the seed.
    """
    fields = {
        "num_predict": wanted.max_completion_tokens if wanted.max_tokens is None else wanted.max_tokens,
        "temperature": wanted.temperature,
        "top_p": wanted.top_p,
        "seed": wanted.seed,
        "frequency_penalty": wanted.frequency_penalty,
        "presence_penalty": wanted.presence_penalty,
        "logit_bias": wanted.logit_bias,
        "stop": None if stop is None else list(stop),
    }
    given = {name: value for name, value in fields.items() if value is not None}
    options = {**defaults, **(wanted.options or {}), **given}
    seed = options.get("seed")
    if choice and isinstance(seed, int) and seed >= 0:
        options["seed"] = seed + choice
    return options


def num_choices(wanted: SamplingFields) -> int:
    """How many answers to give. Raises InvalidInput."""
    count = 1 if wanted.n is None else wanted.n
    if not 1 <= count <= MAX_CHOICES:
        raise InvalidInput(f"n must be between 1 and {MAX_CHOICES}, not {count}")
    return count
