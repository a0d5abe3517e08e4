"""Aborts a long step from another thread and prints what became of it: `python llama_abort.py MODEL.gguf`.

A program of its own because llama.cpp belongs into child processes.
"""

import json
import sys
import threading
import time

from ollamapy.runner.llama import load
from ollamapy.runner.model import Chunk
from ollamapy.wire.runner import Load


def main(path: str) -> None:
    model = load(Load("llama", path, 2048, 2048, 2, num_batch=2048, num_thread=1), lambda fraction: None)
    tokens = model.tokenize("The cat sat on the mat. " * 300, True)[:2000]
    short = [Chunk(1, 0, tokens[:20], True)]
    model.decode(short)
    wanted = model.logits(0)

    threading.Timer(0.2, model.abort).start()
    started = time.perf_counter()
    outcome = model.decode([Chunk(0, 0, tokens, True)])
    seconds = time.perf_counter() - started
    removed = model.remove(0, 0, -1) and model.remove(1, 0, -1)
    model.decode(short)
    same = bool((model.logits(0) == wanted).all())

    model.abort()
    early = model.decode([Chunk(0, 0, tokens[:20], True)])
    started = time.perf_counter()
    model.remove(0, 0, -1)
    whole = model.decode([Chunk(0, 0, tokens, True)])
    print(
        json.dumps(
            {
                "outcome": outcome.value,
                "share": seconds / (time.perf_counter() - started),
                "removed": removed,
                "same": same,
                "early": early.value,
                "whole": whole.value,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
