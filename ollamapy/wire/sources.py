"""What is known of models at their sources: newer ones than those in the store, and ones to pull. Shapes only."""

from typing import Literal

import msgspec

Freshness = Literal["current", "outdated", "unknown"]


class Checked(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model that was pulled, compared with where it came from. Digests are in hex.

    `current`: what its source has. `outdated`: its source has `available`. `unknown`: `reason` says why.
    """

    model: str
    status: Freshness
    digest: str
    available: str = ""
    reason: str = ""
    insecure: bool = False
    from_peer: str = ""
    asked: str = ""
    """How it was pulled, and in which words when they are not its name."""


class Outdated(msgspec.Struct, frozen=True):
    """Every pulled model, by name. `num_others` models were made here, or by another program."""

    models: tuple[Checked, ...]
    num_others: int


class Match(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model that can be pulled. `size` is in bytes, 0 when unknown; `fits` is None then."""

    model: str
    source: Literal["catalogue", "hub"]
    description: str = ""
    size: int = 0
    fits: bool | None = None
    """Whether this machine has the memory to run it now."""


class SearchAnswer(msgspec.Struct, frozen=True):
    """What was found, the catalogue first. `notes` say what was not searched, and why."""

    models: tuple[Match, ...]
    notes: tuple[str, ...]
