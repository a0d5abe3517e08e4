"""pip as a child process: fetches one wheel into a folder.

Owns pip's command line, the reading of its output and its end: pip is gone when `download` is over, also on
cancellation. The environment is handed on whole, so the user's index, proxy, certificate and cache settings hold. Never
installs anything and never runs code of the package: only wheels are taken.
"""

import asyncio
import contextlib
import os
import re
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

from ollamapy.errors import Error, RemoteError, StoreError
from ollamapy.remotes.pour import NO_ROOM_HINT

_PROGRESS = re.compile(r"Progress (\d{1,15}) of (\d{1,15})\Z")
_MAX_LINE_BYTES = 1 << 16
_KEPT_LINES = 200


async def download(requirement: str, folder: Path, on_bytes: Callable[[int, int], None]) -> Path:
    """The wheel of `requirement`, in `folder`; pip's temporary files go there too.

    `on_bytes` gets the bytes so far and in all. Raises RemoteError, StoreError for a full disk.
    """
    wheels, scratch = folder / "wheels", folder / "tmp"
    await asyncio.to_thread(_make_folders, wheels, scratch)
    async with _pip(_arguments(requirement, wheels), scratch) as process:
        errors = await _follow(process, on_bytes)
        code = await process.wait()
    if code:
        raise explain(requirement, errors, code)
    found = await asyncio.to_thread(lambda: sorted(wheels.glob("*.whl")))
    if len(found) != 1:
        raise RemoteError(f"pip downloaded {len(found)} wheels for {requirement}, wanted one")
    return found[0]


def parse_progress(line: str) -> tuple[int, int] | None:
    """The bytes so far and in all that a line of `--progress-bar raw` tells; None for other lines."""
    match = _PROGRESS.match(line.strip())
    return (int(match[1]), int(match[2])) if match and int(match[2]) else None


def explain(requirement: str, lines: Iterable[str], code: int) -> Error:
    """The error that pip's stderr and exit code come down to."""
    lines = [line.strip() for line in lines if line.strip()]
    text = "\n".join(lines)
    faults = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    if "Exception:" in faults[-1:]:
        faults = lines  # a traceback follows, and its last line says what happened
    reason = (faults or lines or [f"it ended with exit code {code}"])[-1]
    if "No space left on device" in text or "Disk quota exceeded" in text:
        return StoreError(f"no room to download {requirement}: {reason}", hint=NO_ROOM_HINT)
    return RemoteError(f"pip could not download {requirement}: {reason}", hint=_hint(text))


def _hint(text: str) -> str:
    if "No module named pip" in text:
        return f"this Python has no pip; install it with `{sys.executable} -m ensurepip`"
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return "the certificate of the package index was not accepted; PIP_CERT names your own authority's file"
    if "after connection broken by" in text or "ProxyError" in text or "Network is unreachable" in text:
        return "the package index was not reached; check the network, or set PIP_INDEX_URL or HTTPS_PROXY"
    return "pip's own settings decide where it looks; see `pip config list`, PIP_INDEX_URL and PIP_NO_INDEX"


def _make_folders(*folders: Path) -> None:
    for folder in folders:
        folder.mkdir(parents=True)


def _arguments(requirement: str, folder: Path) -> list[str]:
    """`-P` keeps a `pip.py` in the working folder from being taken for pip."""
    options = ["--no-deps", "--only-binary", ":all:", "--progress-bar", "raw", "--dest", str(folder)]
    return [sys.executable, "-P", "-m", "pip", "download", *options, "--disable-pip-version-check", requirement]


@contextlib.asynccontextmanager
async def _pip(arguments: list[str], scratch: Path) -> AsyncIterator[Process]:
    """The running pip, in a session of its own, so that it cannot ask questions and ends with all its children."""
    process = await asyncio.create_subprocess_exec(
        *arguments,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(scratch)},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())


async def _follow(process: Process, on_bytes: Callable[[int, int], None]) -> deque[str]:
    """Reads both streams to their end; the last lines of stderr."""
    assert process.stdout
    assert process.stderr
    errors: deque[str] = deque(maxlen=_KEPT_LINES)

    def on_line(line: str) -> None:
        if numbers := parse_progress(line):
            on_bytes(*numbers)

    async with asyncio.TaskGroup() as group:
        group.create_task(_read_lines(process.stdout, on_line))
        group.create_task(_read_lines(process.stderr, errors.append))
    return errors


async def _read_lines(stream: asyncio.StreamReader, on_line: Callable[[str], None]) -> None:
    """Hands on every line; what is beyond the limit of one line is dropped."""
    line = b""
    while chunk := await stream.read(_MAX_LINE_BYTES):
        *lines, line = (line + chunk).split(b"\n")
        for whole in lines:
            on_line(whole.decode(errors="replace"))
        line = line[:_MAX_LINE_BYTES]
    if line:
        on_line(line.decode(errors="replace"))
