"""A program in a pseudo terminal: what it shows can be waited for, keys can be pressed, Ctrl-C is a real signal."""

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

SECONDS = 60.0
_TAKE_TERMINAL = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Makes the terminal the program's own, so that Ctrl-C reaches it, and becomes the program. Tests that run in the
background may have been told to ignore the signal."""
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|[=>78]|\([A-Z0-9])")


class PseudoTerminal:
    """A running program; every wait has a deadline."""

    def __init__(self, command: list[str], columns: int = 80) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=dict(os.environ, TERM="xterm", PROMPT_TOOLKIT_NO_CPR="1"),
            start_new_session=True,
        )
        os.close(slave)
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.raw = ""
        self.seen = 0

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def expect(self, text: str) -> None:
        """Waits until `text` shows after what was expected before."""
        deadline = time.monotonic() + SECONDS
        while (found := self.shown.find(text, self.seen)) < 0:
            if not self._read(deadline):
                raise AssertionError(f"{text!r} did not show; there was {self.shown[self.seen :]!r}")
        self.seen = found + len(text)

    def wait(self) -> int:
        """The exit code, after everything was read."""
        deadline = time.monotonic() + SECONDS
        while self._read(deadline):
            pass
        return self.process.wait(timeout=SECONDS)

    @property
    def shown(self) -> str:
        """The text so far, without escape sequences."""
        return _ESCAPES.sub("", self.raw).replace("\r\n", "\n")

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self.master], [], [], max(0.0, deadline - time.monotonic()))
        try:
            data = os.read(self.master, 65536) if ready else b""
        except OSError:  # Linux says so when the program has gone.
            data = b""
        self.raw += self.decoder.decode(data)
        return bool(data)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
