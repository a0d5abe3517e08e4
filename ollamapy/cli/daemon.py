"""Reaching the daemon: `connect` finds it and starts one when none answers.

Never speaks to a daemon beyond its heartbeat.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from ollamapy.child import python_environment
from ollamapy.client import Client
from ollamapy.errors import Error, Unreachable
from ollamapy.settings import Settings

START_SECONDS = 30.0
POLL_SECONDS = 0.05
SHOWN_LOG_LINES = 5
PORT_IN_USE = "address already in use"


def connect(settings: Settings) -> Client:
    """A client of a daemon that answers, started first where we may. Raises Unreachable."""
    client = Client(settings.host.client_url)
    try:
        client.heartbeat()
    except Unreachable:
        if not _may_start(settings):
            client.close()
            raise
        start(settings, client.heartbeat)
    return client


def _may_start(settings: Settings) -> bool:
    """A daemon started here would answer at this address: plain HTTP on loopback, at a known port."""
    host = settings.host
    return settings.autostart and host.is_loopback and host.scheme == "http" and host.port > 0 and not host.path


def start(settings: Settings, heartbeat: Callable[[], None]) -> None:
    """Starts a daemon in the background and returns when `heartbeat` succeeds. Raises Error with its last log lines.

    When two start one at once, one of them finds the port taken and ends; its starter goes on with the other one.
    """
    log = settings.log_file
    print(f"starting the ollamapy daemon in the background; it logs to {log}", file=sys.stderr)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        offset = file.tell()
        child = _spawn(file)
    deadline = time.monotonic() + START_SECONDS
    while not _answers(heartbeat):
        code = child.poll()
        if code is not None and PORT_IN_USE not in (said := _said_since(log, offset)):
            last = " | ".join(said.splitlines()[-SHOWN_LOG_LINES:]) or "it said nothing"
            raise Error(f"the daemon ended with exit code {code} while it started: {last}", hint=f"see {log}")
        if time.monotonic() > deadline:
            raise Error(f"the daemon did not answer within {START_SECONDS:.0f} seconds", hint=f"see {log}")
        time.sleep(POLL_SECONDS)


def _answers(heartbeat: Callable[[], None]) -> bool:
    try:
        heartbeat()
    except Unreachable:
        return False
    return True


def _spawn(log: IO[bytes]) -> subprocess.Popen[bytes]:
    """A daemon of its own session, which outlives this process and its terminal."""
    return subprocess.Popen(
        [sys.executable, "-m", "ollamapy", "serve"],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        env=python_environment(),
    )


def _said_since(log: Path, offset: int) -> str:
    with log.open("rb") as file:
        file.seek(offset)
        return file.read().decode("utf-8", "replace").strip()
