"""Computes logits of the same tokens in several ways and prints them as JSON: `python llama_logits.py MODEL.gguf`.

A program of its own because llama.cpp belongs into child processes.
"""

import json
import sys
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from ollamapy.runner.llama import LlamaModel, load
from ollamapy.runner.model import Chunk, Decoded
from ollamapy.wire.runner import Load

TEXTS = [
    "The capital of France is",
    "Once upon a time there was a small cat who lived in a very large house and liked to",
    "def add(a, b):\n    return",
    "1, 2, 3, 4,",
]
NUM_SLOTS = 8
Logits = npt.NDArray[np.float32]


def forget(model: LlamaModel) -> None:
    for slot in range(NUM_SLOTS):
        assert model.remove(slot, 0, -1)


def decode(model: LlamaModel, chunks: Sequence[Chunk]) -> list[Logits]:
    assert model.decode(chunks) is Decoded.OK
    return [model.logits(row) for row in range(sum(chunk.wants_output for chunk in chunks))]


def alone(model: LlamaModel, prompts: list[list[int]]) -> list[Logits]:
    found = []
    for tokens in prompts:
        found += decode(model, [Chunk(0, 0, tokens, True)])
        forget(model)
    return found


def together(model: LlamaModel, prompts: list[list[int]]) -> list[Logits]:
    found = decode(model, [Chunk(slot, 0, tokens, True) for slot, tokens in enumerate(prompts)])
    forget(model)
    return found


def in_pieces(model: LlamaModel, prompts: list[list[int]]) -> list[Logits]:
    """Two prompts at a time, three tokens at a time, so that one is often done before the other."""
    found: dict[int, Logits] = {}
    for first in range(0, len(prompts), 2):
        pending = {slot: prompts[slot] for slot in (first, first + 1)}
        for start in range(0, max(map(len, pending.values())), 3):
            chunks = [
                Chunk(slot, start, tokens[start : start + 3], start + 3 >= len(tokens))
                for slot, tokens in pending.items()
                if start < len(tokens)
            ]
            ended = [chunk.slot for chunk in chunks if chunk.wants_output]
            found.update(zip(ended, decode(model, chunks), strict=True))
    forget(model)
    return [found[slot] for slot in range(len(prompts))]


def after_others_left(model: LlamaModel, prompts: list[list[int]]) -> list[Logits]:
    """Each prompt in cells that another one has used before it."""
    found = []
    for index, tokens in enumerate(prompts):
        decode(model, [Chunk(slot, 0, prompts[slot], True) for slot in range(len(prompts)) if slot != index])
        model.remove((index + 1) % len(prompts), 0, -1)
        found += decode(model, [Chunk(index, 0, tokens, True)])
        forget(model)
    return found


def in_a_crowd(model: LlamaModel, prompts: list[list[int]]) -> list[Logits]:
    """All prompts in every slot: so many rows make llama.cpp take other kernels."""
    found = decode(model, [Chunk(slot, 0, prompts[slot % len(prompts)], True) for slot in range(NUM_SLOTS)])
    forget(model)
    return found[-len(prompts) :]


WAYS = {
    "together": together,
    "in pieces": in_pieces,
    "after others left": after_others_left,
    "in a crowd": in_a_crowd,
}


def most_changed_by_neighbours(model: LlamaModel, prompts: list[list[int]]) -> float:
    """The largest change in any logit of a sequence when all others say something else of the same length."""
    crowd = [prompts[slot % len(prompts)] for slot in range(NUM_SLOTS)]
    wanted = decode(model, [Chunk(slot, 0, tokens, True) for slot, tokens in enumerate(crowd)])
    forget(model)
    worst = 0.0
    for own in (0, NUM_SLOTS // 2, NUM_SLOTS - 1):
        others = [tokens if slot == own else tokens[::-1] for slot, tokens in enumerate(crowd)]
        found = decode(model, [Chunk(slot, 0, tokens, True) for slot, tokens in enumerate(others)])
        worst = max(worst, float(np.abs(found[own] - wanted[own]).max()))
        forget(model)
    return worst


def distance(a: Logits, b: Logits) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean((a - b) ** 2)))


def main(path: str) -> None:
    model = load(Load("llama", path, 256, 512, NUM_SLOTS, num_thread=1), lambda fraction: None)
    prompts = [model.tokenize(text, True) for text in TEXTS]
    wanted = alone(model, prompts)
    report = {
        "ways": {
            name: max(distance(found, want) for found, want in zip(way(model, prompts), wanted, strict=True))
            for name, way in WAYS.items()
        },
        "other_texts": min(distance(a, b) for a, b in combinations(wanted, 2)),
        "neighbours": most_changed_by_neighbours(model, prompts),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1])
