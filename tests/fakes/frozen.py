"""A process that hangs: it lives, and does nothing any more."""

import os
import signal
import subprocess

from fakes.daemon_process import wait_until


def freeze(pid: int) -> None:
    """Stops a process, and waits until it has stopped: a busy machine lets it run a little after the signal."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: _state(pid).startswith("T"), "the process to stop")


def _state(pid: int) -> str:
    return subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=True).stdout
