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
from concurrent.futures import Future
from typing import BinaryIO, NoReturn

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
    decode_request,
    encode,
)

ENGINES = {"llama": "ollamapy.runner.llama", "echo": "ollamapy.runner.echo"}

Session = tuple[Model, Loop]

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

    def receive(self) -> Request | Refusal | None:
        """The next message, or the answer to a line that is none; None at the end of input."""
        line = self._reader.readline()
        return decode_request(line) if line else None


def run() -> NoReturn:
    """Ends the process with the status of `main`, and at once: the kernel frees everything; native destructors and a
    thread that reads stdin may hang or crash on the way out."""
    status = 1
    try:
        status = main()
    except BaseException:  # the last words of the process: whoever watches it finds them on stderr
        log.exception("runner failed")
    sys.stderr.flush()
    os._exit(status)


def main() -> int:
    """Runs one model until stdin ends. 0 after a clean end, 1 when the model did not load."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    pipe = _open_pipe()
    match pipe.receive():
        case None:
            return 0
        case Load() as request:
            return _serve(request, pipe)
        case Refusal() as refusal:
            pipe.send([LoadError(refusal.message)])
        case other:
            pipe.send([LoadError(f"the first message must be a Load: found a {type(other).__name__}")])
    return 1


def _serve(request: Load, pipe: Pipe) -> int:
    session: Future[Session] = Future()
    threading.Thread(target=_read, args=(pipe, session), daemon=True).start()
    try:
        model = _load(request, pipe)
    except Error as error:
        pipe.send([LoadError(error.message)])
        return 1
    loop = Loop(model, pipe.send)
    pipe.send([_ready(request, model)])
    session.set_result((model, loop))
    loop.run()
    return 0


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


def _read(pipe: Pipe, session: "Future[Session]") -> None:
    """The reader thread: until stdin ends, or a pipe breaks. Messages wait for the model; the end does not."""
    try:
        while (request := pipe.receive()) is not None:
            _take(request, pipe, *session.result())
    finally:
        if not session.done():
            os._exit(0)  # nobody wants the model any more, and a load cannot be stopped
        session.result()[1].put(Closed())


def _take(request: Request | Refusal, pipe: Pipe, model: Model, loop: Loop) -> None:
    match request:
        case Generate() | Tokenize() | Detokenize():
            _answer(request, pipe, model, loop)
        case Cancel():
            loop.put(request)
        case Load():
            log.warning("a second load was passed over")
        case Refusal():
            log.error("bad message id=%d error=%s", request.id, request.message)
            if request.id >= 0:
                pipe.send([request])


def _answer(request: Generate | Tokenize | Detokenize, pipe: Pipe, model: Model, loop: Loop) -> None:
    """Does what takes no step; trouble with one request must not end the thread that reads them all."""
    received = time.perf_counter()
    try:
        match request:
            case Generate():
                text = model.detokenize(request.context) + request.prompt
                tokens = model.tokenize(text, request.add_special)
                loop.put(Submission(request, tokens, received, _specials(request, model)))
            case Tokenize():
                pipe.send([Tokens(request.id, tuple(model.tokenize(request.text, request.add_special)))])
            case Detokenize():
                pipe.send([Text(request.id, model.detokenize(request.tokens))])
    except Exception as error:  # the seam between one request and all others
        log.exception("request failed id=%d", request.id)
        pipe.send([Refusal(request.id, "internal", f"{type(error).__name__}: {error}")])


def _specials(request: Generate, model: Model) -> dict[int, bytes]:
    """The control tokens to write out; a text that is not a single token comes as text anyway."""
    encoded = ((text, model.tokenize(text, False)) for text in request.special_texts)
    return {tokens[0]: text.encode() for text, tokens in encoded if len(tokens) == 1}


if __name__ == "__main__":
    run()
