"""Which values of an option make sense. Only where others would break the engine or mean nothing: Ollama's own options
are as free as in Ollama.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from ollamapy.errors import InvalidInput
from ollamapy.units import KV_TYPE_BITS
from ollamapy.wire.options import GAP_SAMPLER, SAMPLERS

MAX_BIASES = 1024
MAX_BREAKERS = 32
_MAX_THREADS = 512
"""More than llama.cpp can use."""


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`; `is_open` leaves `low` itself out."""

    low: float
    high: float = inf
    is_open: bool = False

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high and not (self.is_open and value == self.low)

    def __str__(self) -> str:
        if self.high < inf:
            return f"between {self.low:g} and {self.high:g}"
        return f"more than {self.low:g}" if self.is_open else f"at least {self.low:g}"


RANGES: Mapping[str, Range] = {
    "num_batch": Range(0),
    "num_thread": Range(0, _MAX_THREADS),
    "repeat_penalty": Range(0, is_open=True),
    "xtc_probability": Range(0, 1),
    "xtc_threshold": Range(0, 1),
    "dynatemp_range": Range(0),
    "dynatemp_exponent": Range(0),
    "mirostat": Range(0, 2),
    "mirostat_tau": Range(0),
    "mirostat_eta": Range(0, 1),
    "dry_multiplier": Range(0),
    "dry_base": Range(1),
    "dry_allowed_length": Range(0, 2**31 - 1),
    "dry_penalty_last_n": Range(-1),
    "logit_bias": Range(-100, 100),
}
_WORDS: Mapping[str, tuple[str, ...]] = {"kv_type": tuple(KV_TYPE_BITS), "samplers": (*SAMPLERS, GAP_SAMPLER)}
_LENGTHS = {"logit_bias": MAX_BIASES, "dry_sequence_breakers": MAX_BREAKERS}


def check_range(name: str, value: Any) -> None:
    """Raises InvalidInput when `value`, of the option's type, is none that it can have."""
    members = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else [value]
    if len(members) > _LENGTHS.get(name, len(members)):
        raise InvalidInput(f'option "{name}" takes {_LENGTHS[name]} entries at most: found {len(members)}')
    for member in members:
        if name in _WORDS and member not in _WORDS[name]:
            raise InvalidInput(f'option "{name}" must be one of {", ".join(_WORDS[name])}: found {member!r}')
        if name in RANGES and not RANGES[name].holds(member):
            raise InvalidInput(f'option "{name}" must be {RANGES[name]}: found {member:g}')
