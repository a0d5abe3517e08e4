"""Requests and answers of `/infill`, the route of llama.cpp's server that editors complete code with.

In requests null is absent, and fields that are not here are ignored: what they ask for has no meaning in this program
(`id_slot`, `cache_prompt`) or does not change the answer.
"""

from typing import Any

import msgspec

from ollamapy.wire.extra import ExtraFields


class InfillFile(msgspec.Struct, frozen=True):
    text: str
    filename: str | None = None


class InfillRequest(ExtraFields, frozen=True, kw_only=True):
    """`prompt` is what stands between `input_prefix` and the cursor. Sampling fields have llama.cpp's names."""

    input_prefix: str
    input_suffix: str
    input_extra: tuple[InfillFile, ...] | None = None
    prompt: str | None = None
    model: str | None = None
    stream: bool | None = None
    stop: tuple[str, ...] | None = None
    response_fields: tuple[str, ...] | None = None
    """Paths of what the answer is to hold, and no more."""
    json_schema: dict[str, Any] | None = None
    n_predict: int | None = None
    n_keep: int | None = None
    n_indent: int | None = None
    t_max_predict_ms: int | None = None
    samplers: tuple[str, ...] | None = None
    seed: int | None = None
    temperature: float | None = None
    dynatemp_range: float | None = None
    dynatemp_exponent: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    top_n_sigma: float | None = None
    xtc_probability: float | None = None
    xtc_threshold: float | None = None
    repeat_last_n: int | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    dry_multiplier: float | None = None
    dry_base: float | None = None
    dry_allowed_length: int | None = None
    dry_penalty_last_n: int | None = None
    dry_sequence_breakers: tuple[str, ...] | None = None
    mirostat: int | None = None
    mirostat_tau: float | None = None
    mirostat_eta: float | None = None


class Timings(msgspec.Struct, frozen=True):
    """Counts are tokens; `cache_n` of the prompt were computed before, `prompt_n` for this request."""

    cache_n: int
    prompt_n: int
    prompt_ms: float
    prompt_per_token_ms: float
    prompt_per_second: float
    predicted_n: int
    predicted_ms: float
    predicted_per_token_ms: float
    predicted_per_second: float


class InfillChunk(msgspec.Struct, frozen=True):
    index: int
    content: str
    stop: bool


class InfillAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer, or the end of a stream. `truncated` says that files or text were left out to make it fit, and
    `prompt_dropped_count` how many tokens of them."""

    index: int = 0
    content: str
    stop: bool = True
    model: str
    tokens_predicted: int
    tokens_evaluated: int
    tokens_cached: int
    has_new_line: bool
    truncated: bool
    prompt_dropped_count: int
    stop_type: str
    stopping_word: str = ""
    timings: Timings
    warning: str | msgspec.UnsetType = msgspec.UNSET


class InfillErrorBody(msgspec.Struct, frozen=True, omit_defaults=True):
    code: int
    message: str
    type: str
    hint: str = ""


class InfillError(msgspec.Struct, frozen=True):
    error: InfillErrorBody
