"""How many prompt tokens a step may carry: enough to use the machine, few enough that streams do not stall."""

from dataclasses import dataclass

_MIN_TOKENS = 32
_TILE_TOKENS = 64
"""Flash attention on a CPU takes so many at a time, and a part of that costs as much as all of it."""
_ALONE_SECONDS = 2.0
"""Longest step while nobody streams, which a newcomer has to wait for; large ones cost a tenth less per token."""
_CROWD_SECONDS = 0.5
"""Longest step while somebody streams and many wait."""
_SHARED_SECONDS = 0.15
"""Longest step while somebody streams and nobody waits."""
_PATIENCE = 0.5
"""By how much of that each waiting prompt makes it longer: streams that end together decode together, and a crowd is
served sooner when its prompts come first."""


@dataclass(slots=True)
class Pace:
    """Learns from the steps it is shown what prompts and streams cost, and turns a time budget into tokens.

    Prompts get at least half of a step: beside streams that are slow in themselves they would else never end.
    """

    max_batch: int
    tokens_per_second: float = 64.0
    """Of prompts; before the first is seen, what a slow machine does."""
    stream_seconds: float = 0.0
    """What a step takes in which streams alone go on."""
    _has_seen: bool = False

    def observe(self, num_tokens: int, seconds: float) -> None:
        """One step with `num_tokens` of prompts took `seconds`. Small chunks say little and are passed over."""
        if num_tokens == 0:
            self.stream_seconds += 0.5 * (seconds - self.stream_seconds)
        elif num_tokens >= _MIN_TOKENS // 2 and seconds > 0:
            weight = 0.5 if self._has_seen else 1.0
            self.tokens_per_second += weight * (num_tokens / seconds - self.tokens_per_second)
            self._has_seen = True

    def budget(self, num_decoding: int, num_prompts: int = 0) -> int:
        """Prompt tokens for the next step: 32, or a multiple of 64, at most a batch.

        `num_prompts` are those that wait or are being computed.
        """
        shared = max(_SHARED_SECONDS, 2 * self.stream_seconds) * (1 + _PATIENCE * max(num_prompts - 1, 0))
        seconds = min(shared, _CROWD_SECONDS) if num_decoding else _ALONE_SECONDS
        tokens = int(self.tokens_per_second * seconds) // _TILE_TOKENS * _TILE_TOKENS
        return min(max(tokens, _MIN_TOKENS), self.max_batch)
