"""Starts a Python child, exchanges JSON lines with it, keeps its last stderr lines and notices its death.

Owns the process and its pipes; knows nothing of what the lines mean. A child is never left behind: it sees the end of
its stdin when this process dies, and `stop` ends it by force if it does not go by itself.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import sysconfig
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_MAX_LINE_BYTES = 64 * 1024 * 1024
_KEPT_STDERR_LINES = 40

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Exit:
    """How a child ended: its exit status, negative for a signal, and its last stderr lines."""

    status: int
    stderr: tuple[str, ...]

    @property
    def reason(self) -> str:
        """`exit status 3` or `signal: SIGKILL`, with the last line that sounds like an error, if any."""
        how = f"exit status {self.status}"
        if self.status < 0:
            with contextlib.suppress(ValueError):
                how = f"signal: {signal.Signals(-self.status).name}"
        line = next((line for line in reversed(self.stderr) if _sounds_bad(line)), "")
        return f"{how}: {line}" if line else how


def _sounds_bad(line: str) -> bool:
    lowered = line.lower()
    return any(
        word in lowered for word in ("error", "failed", "assert", "abort", "terminate", "unsupported", "unknown")
    )


class Child:
    """A running child process. `on_line` gets each line of its stdout, in order, on the event loop."""

    def __init__(self, process: asyncio.subprocess.Process, on_line: Callable[[bytes], None], name: str) -> None:
        self._process = process
        self._on_line = on_line
        self._name = name
        self._stderr: deque[str] = deque(maxlen=_KEPT_STDERR_LINES)
        self._watcher = asyncio.create_task(self._watch(), name=f"child {name}")

    @classmethod
    async def start(
        cls,
        module: str,
        on_line: Callable[[bytes], None],
        *,
        name: str = "",
    ) -> "Child":
        """Starts `python -m module` in `python_environment`."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_MAX_LINE_BYTES,
            env=python_environment(),
            start_new_session=True,  # a Ctrl-C in the terminal is the daemon's to handle
        )
        return cls(process, on_line, name or module)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """False once its end has been noticed."""
        return self._process.returncode is None

    def send(self, line: bytes) -> None:
        """Sends one line; a child that is dead or dying does not get it."""
        stdin = self._process.stdin
        if stdin and not stdin.is_closing():
            stdin.write(line + b"\n")

    async def wait(self) -> Exit:
        """Waits for the end; all lines have been handed out by then."""
        return await asyncio.shield(self._watcher)

    async def stop(self, grace_seconds: float = 2.0) -> Exit:
        """Closes stdin and waits; kills the child when it does not end within `grace_seconds`."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            return await asyncio.wait_for(self.wait(), grace_seconds)
        except TimeoutError:
            self.kill()
            return await self.wait()

    def kill(self) -> None:
        """Ends the child at once."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def _watch(self) -> Exit:
        drain = asyncio.create_task(self._drain_stderr())
        try:
            await self._read_lines()
        finally:
            status = await self._process.wait()
            await drain
        return Exit(status, tuple(self._stderr))

    async def _read_lines(self) -> None:
        assert self._process.stdout is not None
        try:
            while line := await self._process.stdout.readline():
                self._on_line(line)
        except Exception:  # the watcher of a child: whatever the lines did, its death must be noticed
            log.exception("child spoke nonsense name=%s pid=%d", self._name, self.pid)
            self.kill()

    async def _drain_stderr(self) -> None:
        assert self._process.stderr is not None
        while True:
            try:
                line = await self._process.stderr.readline()
            except ValueError:  # longer than the limit: llama.cpp never prints such a line
                continue
            if not line:
                return
            text = line.decode("utf-8", "replace").rstrip()
            self._stderr.append(text)
            log.debug("child stderr name=%s line=%s", self._name, text)

    def __repr__(self) -> str:
        return f"<Child {self._name} pid {self.pid}>"


def python_environment() -> dict[str, str]:
    """The environment for a Python of ours: the folder we run from is a module path, the current folder is none.

    A child may outlive the folder it is started in, and must not import what happens to lie there.
    """
    env = dict(os.environ, PYTHONSAFEPATH="1")
    package_root = str(Path(__file__).resolve().parents[1])
    if package_root not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (package_root, env.get("PYTHONPATH"))))
    return env
