"""The real daemon as a process of its own, on a free port and a store of its own: what the end-to-end tests talk to."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import httpx

DEADLINE_SECONDS = 180.0
ANSWER_SECONDS = 600.0
"""What a model of real weights may take for an answer when many ask at once on a slow machine."""


def wait_until(is_true: Callable[[], bool], what: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Polls until `is_true`; fails with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
        time.sleep(0.02)


class DaemonProcess:
    """`ollamapy serve`. `log` is all that it has written to stderr so far.

    It writes into a file, not into a pipe that a thread here would have to read in time: what it logs before it answers
    a request can be read when the answer is there.
    """

    def __init__(
        self,
        home: Path,
        env: dict[str, str] | None = None,
        *,
        host: str = "127.0.0.1:0",
        program: Sequence[str] = ("-m", "ollamapy"),
    ) -> None:
        self.home = home
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("OLLAMA")},
            "OLLAMAPY_HOME": str(home),
            "OLLAMA_HOST": host,
            "OLLAMAPY_OFFLINE": "1",
            **(env or {}),
        }
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - `stop` closes it
        self._last_log = ""
        self.address = ""
        self.process = subprocess.Popen(
            [sys.executable, *program, "serve"],
            env=self.env,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until(lambda: self._find_address() or self.process.poll() is not None, "the daemon to listen")
            assert self.process.poll() is None, f"the daemon ended:\n{self.log}"
        except AssertionError:
            self.process.kill()
            self.process.wait()
            self._close_log()
            raise
        self.client = httpx.Client(base_url=self.url, timeout=ANSWER_SECONDS)

    @property
    def log(self) -> str:
        if self._log.closed:
            return self._last_log
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode("utf-8", "replace")

    def _find_address(self) -> bool:
        if found := re.search(r"listening address=(\S+?),? ", self.log):
            self.address = found[1]
        return found is not None

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def request(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return self.client.request(method, path, json=body)

    def post(self, path: str, **body: Any) -> Any:
        """The JSON answer to a request that does not stream."""
        return self.request("POST", path, {"stream": False, **body}).json()

    def stream(self, path: str, **body: Any) -> Generator[dict[str, Any], None, None]:
        """The objects of a streamed answer."""
        with self.client.stream("POST", path, json=body) as response:
            for line in response.iter_lines():
                yield json.loads(line)

    def runner_pids(self) -> list[int]:
        """The processes that run a model."""
        return [pid for pid, command in _children(self.process.pid) if "ollamapy.runner" in command]

    def loaded(self) -> list[str]:
        """Names of the loaded models."""
        return [model["name"] for model in self.request("GET", "/api/ps").json()["models"]]

    def stop(self) -> int:
        """Ends it as a service manager would; its exit code."""
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(DEADLINE_SECONDS)
        self._close_log()
        return code

    def _close_log(self) -> None:
        self._last_log = self.log
        self._log.close()

    def __repr__(self) -> str:
        return f"<DaemonProcess {self.address} pid {self.process.pid}>"


def _children(parent: int) -> list[tuple[int, str]]:
    """Direct children with their command lines, by way of ps, which Linux and macOS have."""
    table = subprocess.run(["ps", "-Ao", "pid=,ppid=,command="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in table.splitlines()]
    return [(int(row[0]), row[2]) for row in rows if len(row) == 3 and int(row[1]) == parent]
