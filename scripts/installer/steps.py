"""Runs one step: a command whose output goes to the log, while a person sees how far it is. Leaves no process."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from progress import Progress, Ticker
from talk import StepFailed, clock, say, short

_NOT_OURS = ("PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_DRY_RUN", "PIP_USER")
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PIP_ADVICE = "This error originates from a subprocess"
_PIP_FRAME = re.compile(r"\s*|\s*error: subprocess-exited-with-error|\s*[×│╰].*|\s*\[end of output\]")


@dataclass(frozen=True, slots=True)
class Steps:
    """Runs commands one after the other. `keep_open` is inherited, so that a lock outlives a killed installer."""

    log: Path
    env: Mapping[str, str]
    keep_open: tuple[int, ...] = ()

    def run(self, title: str, command: Sequence[str | Path], extra_env: Mapping[str, str] | None = None) -> None:
        """Raises StepFailed with the end of the log when the command fails."""
        code = self._carry_out(title, command, extra_env or {})
        if code:
            end = tail(self.log.read_text(errors="replace"), title)
            raise StepFailed(f"{end}\n{title}: failed (exit code {code}); all of it is in {short(self.log)}")

    def attempt(self, title: str, command: Sequence[str | Path]) -> bool:
        """Whether the command succeeded. It says nothing of a failure: there is another way."""
        return self._carry_out(title, command, {}, failed="no") == 0

    def _carry_out(
        self, title: str, command: Sequence[str | Path], extra_env: Mapping[str, str], failed: str = "failed"
    ) -> int:
        env = {name: value for name, value in self.env.items() if name not in _NOT_OURS}
        with self.log.open("ab") as log, self.log.open("rb") as reader:
            log.write(f"\n== {title}: {' '.join(map(str, command))}\n".encode())
            log.flush()
            reader.seek(0, os.SEEK_END)
            with _started(command, {**env, "PIP_USER": "0", **extra_env}, log, self.keep_open) as process:
                if sys.stderr.isatty():
                    return _on_terminal(title, failed, process, reader)
                return _in_lines(title, process, reader)


@contextmanager
def _started(
    command: Sequence[str | Path], env: Mapping[str, str], log: BinaryIO, keep_open: tuple[int, ...]
) -> Iterator[subprocess.Popen[bytes]]:
    """The running command in a session of its own; whatever of it still runs at the end of the block is ended."""
    process = None
    try:
        with _signals_wait():  # or one that comes while the command starts would leave it running
            process = subprocess.Popen(
                list(map(str, command)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(env),
                start_new_session=True,
                pass_fds=keep_open,
                preexec_fn=_let_signals_through,
            )
        yield process
    finally:
        if process and process.poll() is None:
            with _signals_wait():
                _end(process)


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Signals that would stop us come after the block."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        yield
    finally:
        _let_signals_through()


def _let_signals_through() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the command with all it started: first in the way that makes pip clear its temporary folders away."""
    for end in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, end)
            process.wait(timeout=5)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def _on_terminal(title: str, failed: str, process: subprocess.Popen[bytes], reader: BinaryIO) -> int:
    """One line that changes until the command ends, and stays with the time that it took; the exit code."""
    progress, start = Progress(), time.monotonic()
    for code in _polls(process, 0.2):
        progress.feed(reader.read().decode(errors="replace"))
        state = str(progress) if code is None else failed if code else "done"
        text = f"{title}{state and ': ' + state}, {clock(time.monotonic() - start)}"
        width = shutil.get_terminal_size().columns - 1
        print(f"\r{text[:width]}\x1b[K", end="" if code is None else "\n", file=sys.stderr, flush=True)
        if code is not None:
            return code
    raise AssertionError("polling ends with an exit code")


def _in_lines(title: str, process: subprocess.Popen[bytes], reader: BinaryIO) -> int:
    """The title, and a line now and then; the exit code."""
    progress, ticker, start = Progress(), Ticker(), time.monotonic()
    say(f"{title} ...")
    for code in _polls(process, 1.0):
        progress.feed(reader.read().decode(errors="replace"))
        if line := ticker.line(progress, time.monotonic() - start):
            say(line)
        if code is not None:
            return code
    raise AssertionError("polling ends with an exit code")


def _polls(process: subprocess.Popen[bytes], seconds: float) -> Iterator[int | None]:
    """None every so many seconds, then the exit code."""
    while True:
        try:
            code = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            yield None
        else:
            yield code
            return


def tail(log: str, title: str, count: int = 20) -> str:
    """The last lines of the step's part of the log, without the frame and the advice that pip puts around them."""
    lines = log.rpartition(f"\n== {title}: ")[2].splitlines()[1:]
    advice = (i for i, line in enumerate(lines) if _PIP_ADVICE in line and i > len(lines) - 20)
    words = [line for line in lines[: next(advice, None)] if not _PIP_FRAME.fullmatch(line)]
    return "\n".join(line[:200] for line in words[-count:])
