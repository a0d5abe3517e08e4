"""The file names of a model in several GGUF files: `<prefix>-00001-of-00003.gguf`, as llama.cpp writes them."""

import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Self

MAX_SHARDS = 1000
"""A manifest lists each; the largest models have some hundred."""

_NAME = re.compile(r"(?P<prefix>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.gguf)\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of a model in `count` files. `number` counts from 1; `prefix` may hold folders."""

    prefix: str
    number: int
    count: int
    suffix: str = ".gguf"

    @classmethod
    def of(cls, name: str) -> Self | None:
        """What a file name says; None when it is not the name of one of several files."""
        match = _NAME.match(name)
        if not match:
            return None
        number, count = int(match["number"]), int(match["count"])
        if not 1 <= number <= count or not 1 < count <= MAX_SHARDS:
            return None
        return cls(match["prefix"], number, count, match["suffix"])

    @property
    def name(self) -> str:
        """The file name."""
        return f"{self.prefix}-{self.number:05d}-of-{self.count:05d}{self.suffix}"

    @property
    def all(self) -> tuple[str, ...]:
        """The names of all files of the model, in order."""
        return tuple(replace(self, number=number).name for number in range(1, self.count + 1))


def without_number(name: str) -> str:
    """The file name that the model would have in one file: `<prefix>.gguf`."""
    shard = Shard.of(name)
    return f"{shard.prefix}{shard.suffix}" if shard else name


def siblings(name: str) -> tuple[str, ...]:
    """The names of all files that belong to the one of this name, in order; itself when it is whole."""
    shard = Shard.of(name)
    return shard.all if shard else (name,)


def title_of(path: str, number: int, count: int) -> str:
    """The name under which a part is stored: its own, or one in the usual form."""
    name = PurePosixPath(path).name
    shard = Shard.of(name)
    if shard and (shard.number, shard.count) == (number, count):
        return name
    return Shard("model", number, count).name
