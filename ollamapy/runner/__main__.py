"""A runner process: `python -m ollamapy.runner`. Speaks `wire/runner.py` on stdin and stdout, logs to stderr.

Two threads: this one loads the model and runs the loop; the other reads messages and tokenizes prompts, so that a
long prompt never holds up a decode step. The process ends when stdin does.
"""

import logging
import os
import sys
import threading
import time
from concurrent.futures import Future
from typing import BinaryIO, NoReturn

from ollamapy.errors import Error, InvalidInput, LoadFailed, Unsupported
from ollamapy.runner.session import Message, Session, open_session, refusal
from ollamapy.wire.runner import Cancel, Event, Load, LoadError, Loading, Refusal, Request, decode_request, encode

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
        opened = _load(request, pipe)
    except Error as error:
        pipe.send([LoadError(error.message, error.hint, error.code)])
        return 1
    pipe.send([opened.ready()])
    session.set_result(opened)
    opened.run()
    return 0


def _open_pipe() -> Pipe:
    """Takes stdout for the protocol and points file descriptor 1 at stderr, so that native prints cannot break it."""
    writer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return Pipe(sys.stdin.buffer, writer)


def _load(request: Load, pipe: Pipe) -> Session:
    last = 0.0

    def on_progress(fraction: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= 0.1 or fraction >= 1.0:
            last = now
            pipe.send([Loading(fraction)])

    try:
        return open_session(request, on_progress, pipe.send)
    except (OSError, ImportError, MemoryError) as error:
        raise LoadFailed(f"{type(error).__name__}: {error}") from error


def _read(pipe: Pipe, session: "Future[Session]") -> None:
    """The reader thread: until stdin ends, or a pipe breaks. Messages wait for the model; the end does not."""
    try:
        while (request := pipe.receive()) is not None:
            _take(request, pipe, session.result())
    finally:
        if not session.done():
            os._exit(0)  # nobody wants the model any more, and a load cannot be stopped
        session.result().close()


def _take(request: Request | Refusal, pipe: Pipe, session: Session) -> None:
    match request:
        case Cancel():
            session.cancel(request)
        case Load():
            log.warning("a second load was passed over")
        case Refusal():
            log.error("bad message id=%d error=%s", request.id, request.message)
            if request.id >= 0:
                pipe.send([request])
        case _:
            _answer(request, pipe, session)


def _answer(request: Message, pipe: Pipe, session: Session) -> None:
    """Trouble with one request must not end the thread that reads them all."""
    try:
        session.take(request)
    except Exception as error:  # the seam between one request and all others
        if not isinstance(error, InvalidInput | Unsupported):
            log.exception("request failed id=%d", request.id)
        pipe.send([refusal(request.id, error)])


if __name__ == "__main__":
    run()
