"""A real runner in a real child process, spoken to in wire messages, with a deadline on every wait."""

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from fakes.answers import Answer
from fakes.gguf_files import gguf

import ollamapy
from ollamapy.wire.runner import (
    Event,
    Finished,
    Generate,
    Load,
    LoadError,
    Loading,
    Output,
    Ready,
    Refusal,
    Request,
    Stats,
    encode,
    event_decoder,
)

DEADLINE_SECONDS = 240.0
PROGRAM = (sys.executable, "-m", "ollamapy.runner")


def echo_file(folder: Path, **switches: float | int | str) -> Path:
    """Writes an echo model with `echo.*` switches into `folder`."""
    path = folder / "echo.gguf"
    path.write_bytes(
        gguf({"general.architecture": "echo", **{f"echo.{name}": value for name, value in switches.items()}})
    )
    return path


def environment() -> dict[str, str]:
    """The variables for a child that imports the same ollamapy as this process, and the fakes."""
    places = [Path(ollamapy.__file__).parents[1], Path(__file__).parents[1]]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places))}


class RunnerProcess:
    """Starts the child; leaving the block closes its stdin and makes sure that it is gone."""

    def __init__(self, program: Sequence[str] = PROGRAM) -> None:
        self._process = subprocess.Popen(
            program,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        assert self._process.stdin
        self._stdin = self._process.stdin
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._stderr: list[str] = []
        self._threads = [threading.Thread(target=target, daemon=True) for target in (self._pump, self._listen)]
        for thread in self._threads:
            thread.start()
        self.answers: defaultdict[int, Answer] = defaultdict(Answer)
        self.stats: list[Stats] = []

    def __enter__(self) -> "RunnerProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        finally:
            self._process.kill()
            self._process.wait()
            for thread in self._threads:
                thread.join(DEADLINE_SECONDS)
            for stream in (self._process.stdout, self._process.stderr):
                assert stream
                stream.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stderr(self) -> str:
        """What the child has said on stderr so far; all of it after `wait`."""
        return "".join(self._stderr)

    def send(self, *messages: Request) -> None:
        self.send_lines(*map(encode, messages))

    def send_lines(self, *lines: bytes) -> None:
        self._stdin.write(b"".join(line + b"\n" for line in lines))
        self._stdin.flush()

    def receive(self, seconds: float = DEADLINE_SECONDS) -> Event | None:
        """The next event; None at the end of output. Fails when neither comes in time."""
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError(f"the runner said nothing for {seconds} s; stderr:\n{self.stderr}") from None
        return event_decoder.decode(line) if line else None

    def load(self, request: Load) -> Ready:
        """Loads a model that must load."""
        self.send(request)
        while isinstance(event := self.receive(), Loading):
            pass
        assert isinstance(event, Ready), f"{event}; stderr:\n{self.stderr}"
        return event

    def load_error(self, request: Load) -> str:
        """Loads a model that must not load; the message."""
        self.send(request)
        while isinstance(event := self.receive(), Loading):
            pass
        assert isinstance(event, LoadError), event
        return event.message

    def generate(self, *requests: Generate) -> list[Answer]:
        """Sends requests and waits for all their answers."""
        self.send(*requests)
        return [self.answer(request.id) for request in requests]

    def answer(self, request_id: int, seconds: float = DEADLINE_SECONDS) -> Answer:
        """Waits until the request with this id has ended; events of others are kept for their turn."""
        while self.answers[request_id].end is None:
            self.keep_next(seconds)
        return self.answers[request_id]

    def keep_next(self, seconds: float = DEADLINE_SECONDS) -> None:
        """Waits for the next event and keeps it for the request that it belongs to."""
        event = self.receive(seconds)
        assert event is not None, f"the runner ended; stderr:\n{self.stderr}"
        self.keep(event)

    def keep(self, event: Event) -> None:
        if isinstance(event, Stats):
            self.stats.append(event)
        else:
            assert isinstance(event, Output | Finished | Refusal), event
            self.answers[event.id].add(event)

    def close(self) -> int:
        """Closes stdin and waits for the end; the exit status."""
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()
        return self.wait()

    def wait(self) -> int:
        """The exit status, negative for a signal."""
        status = self._process.wait(DEADLINE_SECONDS)
        self._threads[1].join(DEADLINE_SECONDS)
        return status

    def _pump(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(b"")

    def _listen(self) -> None:
        assert self._process.stderr
        for line in self._process.stderr:
            self._stderr.append(line.decode("utf-8", "replace"))
