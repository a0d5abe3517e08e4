"""A runner process: `python -m ollamapy.runner`. Speaks `wire/runner.py` on stdin and stdout, logs to stderr.

Two threads: this one loads the model and runs the loop; the other reads messages and tokenizes prompts, so that a
long prompt never holds up a decode step. The process ends when stdin does.
"""

import importlib
import logging
import os
import sys
import threading
import time
from typing import BinaryIO

from ollamapy.errors import Error, LoadFailed
from ollamapy.runner.loop import Closed, Loop, Submission
from ollamapy.runner.model import Model, ModelLoader
from ollamapy.wire.runner import (
    Cancel,
    Detokenize,
    Event,
    Generate,
    Load,
    LoadError,
    Loading,
    Ready,
    Refusal,
    Request,
    Text,
    Tokenize,
    Tokens,
    encode,
    request_decoder,
)

ENGINES = {"llama": "ollamapy.runner.llama", "echo": "ollamapy.runner.echo"}

log = logging.getLogger("ollamapy.runner")


class Pipe:
    """The protocol's two ends. Lines of one `send` leave in one write."""

    def __init__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        self._reader = reader
        self._writer = writer
        self._lock = threading.Lock()  # two threads write: the loop its events, the reader its token lists

    def send(self, events: list[Event]) -> None:
        data = b"".join(encode(event) + b"\n" for event in events)
        with self._lock:
            self._writer.write(data)
            self._writer.flush()

    def receive(self) -> Request | None:
        """The next message; None at the end of input."""
        line = self._reader.readline()
        return request_decoder.decode(line) if line else None


def main() -> int:
    """Runs one model until stdin ends. 0 after a clean end, 1 when the model did not load."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    pipe = _open_pipe()
    request = pipe.receive()
    if not isinstance(request, Load):
        return 0
    try:
        model = _load(request, pipe)
    except Error as error:
        pipe.send([LoadError(error.message)])
        return 1
    loop = Loop(model, pipe.send, num_parallel=request.num_parallel)
    pipe.send([_ready(request, model)])
    threading.Thread(target=_read, args=(pipe, model, loop), daemon=True).start()
    loop.run()
    sys.stdout.flush()
    os._exit(0)  # the kernel frees everything at once; native destructors may not


def _open_pipe() -> Pipe:
    """Takes stdout for the protocol and points file descriptor 1 at stderr, so that native prints cannot break it."""
    writer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return Pipe(sys.stdin.buffer, writer)


def _load(request: Load, pipe: Pipe) -> Model:
    loader: ModelLoader = importlib.import_module(ENGINES[request.engine]).load
    last = 0.0

    def on_progress(fraction: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= 0.1 or fraction >= 1.0:
            last = now
            pipe.send([Loading(fraction)])

    try:
        return loader(request, on_progress)
    except (OSError, ImportError, MemoryError) as error:
        raise LoadFailed(f"{type(error).__name__}: {error}") from error


def _ready(request: Load, model: Model) -> Ready:
    info = model.info
    return Ready(
        num_ctx=min(request.num_ctx, info.pool_tokens),
        num_ctx_train=info.num_ctx_train,
        pool_tokens=info.pool_tokens,
        size_bytes=info.size_bytes,
        vram_bytes=info.vram_bytes,
        bos_text=info.bos_text,
        eos_text=info.eos_text,
        can_shift=info.can_shift,
    )


def _read(pipe: Pipe, model: Model, loop: Loop) -> None:
    """The reader thread: until stdin ends."""
    while (request := pipe.receive()) is not None:
        match request:
            case Generate():
                loop_message = _tokenized(request, model)
                if isinstance(loop_message, Refusal):
                    pipe.send([loop_message])
                else:
                    loop.put(loop_message)
            case Cancel():
                loop.put(request)
            case Tokenize():
                pipe.send([Tokens(request.id, tuple(model.tokenize(request.text, request.add_special)))])
            case Detokenize():
                pipe.send([Text(request.id, model.detokenize(request.tokens))])
            case Load():
                log.warning("a second load was ignored")
    loop.put(Closed())


def _tokenized(request: Generate, model: Model) -> Submission | Refusal:
    received = time.perf_counter()
    try:
        text = model.detokenize(request.context) + request.prompt
        return Submission(request, model.tokenize(text, request.add_special), received)
    except Exception as error:  # the reader must outlive any single prompt
        log.exception("cannot tokenize id=%d", request.id)
        return Refusal(request.id, "internal", f"cannot tokenize the prompt: {error}")


if __name__ == "__main__":
    sys.exit(main())
