"""How many prompt tokens a step may carry: enough to use the machine, few enough that streams do not stall."""

from dataclasses import dataclass, field

_MIN_TOKENS = 32
_TILE_TOKENS = 64
"""Flash attention on a CPU takes so many at a time, and a part of that costs as much as all of it."""
_ALONE_SECONDS = 2.0
"""Longest step while nobody streams, which a newcomer has to wait for; large ones cost a tenth less per token."""
_PACKED_SECONDS = 0.5
"""Longest step of several prompts while nobody streams: by itself the first of them would end sooner."""
_CROWD_SECONDS = 1.0
"""Longest step while somebody streams and many wait."""
_SHARED_SECONDS = 0.15
"""Longest step while somebody streams and nobody waits."""
_PATIENCE = 0.5
"""By how much of that each waiting prompt makes it longer: streams that end together decode together, and a crowd is
served sooner when its prompts come first."""
_FIRST_RATE = 64.0
"""Tokens per second before any prompt was seen: what a slow machine does."""
_WORTH = 0.75
"""Of the tokens per second of large chunks, what small ones must reach to be worth their shorter pause."""


@dataclass(slots=True)
class Pace:
    """Learns from the batches it is shown what prompts and streams cost, and turns a time budget into tokens.

    Prompts get at least half of a step: beside streams that are slow in themselves they would else never end.
    """

    max_batch: int
    stream_seconds: float = 0.0
    """What a batch of streams alone takes."""
    _rates: dict[bool, float] = field(default_factory=dict)
    """Tokens per second of batches with a tile of prompts or more, and of those with less."""

    def observe(self, num_tokens: int, seconds: float) -> None:
        """One batch with `num_tokens` of prompts took `seconds`. Very small chunks say little and are passed over."""
        if num_tokens == 0:
            self.stream_seconds += 0.5 * (seconds - self.stream_seconds)
        elif num_tokens >= _MIN_TOKENS // 2 and seconds > 0:
            is_large, rate = num_tokens >= _TILE_TOKENS, num_tokens / seconds
            self._rates[is_large] = 0.5 * (rate + self._rates.get(is_large, rate))

    def budget(self, num_decoding: int, num_prompts: int = 0) -> int:
        """Prompt tokens for the next step: 32, or a multiple of 64, at most a batch.

        `num_prompts` are those that wait or are being computed.
        """
        if not num_decoding:
            return self._within(_ALONE_SECONDS)
        shared = max(_SHARED_SECONDS, 2 * self.stream_seconds) * (1 + _PATIENCE * max(num_prompts - 1, 0))
        return self._within(min(shared, _CROWD_SECONDS))

    def packed_budget(self, num_decoding: int) -> int:
        """The most for a step with several prompts, besides `budget`."""
        return self.max_batch if num_decoding else max(self._within(_PACKED_SECONDS), _TILE_TOKENS)

    def _within(self, seconds: float) -> int:
        num_tiles = int(self._rate(is_large=True) * seconds) // _TILE_TOKENS
        is_small = num_tiles == 0 and self._rate(is_large=False) >= _WORTH * self._rate(is_large=True)
        return min(_MIN_TOKENS if is_small else max(num_tiles, 1) * _TILE_TOKENS, self.max_batch)

    def _rate(self, *, is_large: bool) -> float:
        return self._rates.get(is_large) or self._rates.get(not is_large) or _FIRST_RATE
