"""How many prompt tokens a step may carry: enough to use the machine, few enough that streams do not stall."""

from dataclasses import dataclass

_MIN_TOKENS = 32
_ALONE_SECONDS = 0.5
"""Longest step while nobody streams: bounds the delay of a cancel and of a newcomer."""
_SHARED_SECONDS = 0.15
"""Longest step while somebody streams."""


@dataclass(slots=True)
class Pace:
    """Learns the prefill rate from the steps it is shown and turns a time budget into tokens."""

    max_batch: int
    tokens_per_second: float = 256.0

    def observe(self, num_tokens: int, seconds: float) -> None:
        """One step with `num_tokens` of prompts took `seconds`. Small chunks say little and are passed over."""
        if num_tokens >= _MIN_TOKENS // 2 and seconds > 0:
            self.tokens_per_second += 0.5 * (num_tokens / seconds - self.tokens_per_second)

    def budget(self, num_decoding: int) -> int:
        """Prompt tokens for the next step: a multiple of 32, at least 32, at most a batch."""
        seconds = _SHARED_SECONDS if num_decoding else _ALONE_SECONDS
        tokens = int(self.tokens_per_second * seconds) // _MIN_TOKENS * _MIN_TOKENS
        return min(max(tokens, _MIN_TOKENS), self.max_batch)
