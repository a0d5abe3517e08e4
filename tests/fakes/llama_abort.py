"""Aborts a long step from another thread and prints what became of it: `python llama_abort.py MODEL.gguf`.

A program of its own because llama.cpp belongs into child processes. It reckons in processor time, which pauses of the
machine do not count for.
"""

import json
import sys
import threading
import time
from collections.abc import Sequence

from ollamapy.runner.llama import LlamaModel, load
from ollamapy.runner.model import Chunk, Decoded
from ollamapy.wire.runner import Load

MAX_TRIES = 5
"""The other thread may get its turn late; a step that cannot be aborted never ends early."""


def aborted(model: LlamaModel, chunks: Sequence[Chunk], after_seconds: float) -> tuple[Decoded, float]:
    """What became of a step that is aborted after so much processor time, and how much it took."""
    started = time.process_time()

    def abort() -> None:
        while time.process_time() < started + after_seconds:
            time.sleep(0.002)
        model.abort()

    thread = threading.Thread(target=abort)
    thread.start()
    outcome = model.decode(chunks)
    seconds = time.process_time() - started
    thread.join()
    return outcome, seconds


def main(path: str) -> None:
    model = load(Load("llama", path, 2048, 2048, 2, num_batch=2048, num_thread=1), lambda fraction: None)
    tokens = model.tokenize("The cat sat on the mat. " * 300, True)[:2000]
    short, long = [Chunk(1, 0, tokens[:20], True)], [Chunk(0, 0, tokens, True)]
    started = time.process_time()
    whole = model.decode(long)
    whole_seconds = time.process_time() - started
    model.remove(0, 0, -1)

    for _ in range(MAX_TRIES):
        model.decode(short)
        wanted = model.logits(0)
        outcome, seconds = aborted(model, long, whole_seconds / 10)
        share = seconds / whole_seconds
        removed = model.remove(0, 0, -1) and model.remove(1, 0, -1)
        if outcome is Decoded.ABORTED and share < 0.5:
            break
        model.abort()
        model.decode(short)  # takes what of an abort may be left
        model.remove(1, 0, -1)
    model.decode(short)
    same = bool((model.logits(0) == wanted).all())
    model.abort()
    early = model.decode([Chunk(0, 0, tokens[:20], True)])
    found = {"outcome": outcome.value, "share": share, "removed": removed, "same": same, "early": early.value}
    print(json.dumps({**found, "whole": whole.value}))


if __name__ == "__main__":
    main(sys.argv[1])
