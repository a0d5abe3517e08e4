"""Where the rows are measured: a daemon of our own with the starter in it, and llama-server on the same file.

The daemon's folder is kept between benchmarks, so that weights are fetched once.
"""

import asyncio
import hashlib
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ollamapy.bench.compare import Bench
from ollamapy.bench.load import Load, Target
from ollamapy.bench.peer import LlamaServer
from ollamapy.bench.plan import Workload
from ollamapy.bench.result import Point
from ollamapy.child import python_environment
from ollamapy.client import Client
from ollamapy.errors import Error, NotFound, Unreachable
from ollamapy.modelfile import parse
from ollamapy.names import Digest

HOME = Path.home() / ".cache" / "ollamapy" / "bench"
MODEL = "starter"
START_SECONDS = 30.0


class NotYet(Exception):
    """The feature that a row measures is not there."""


@dataclass(slots=True)
class Teller:
    """A Watcher that prints what begins."""

    def began(self, text: str) -> None:
        print(f"    {text}", file=sys.stderr, flush=True)

    def ended(self, point: Point) -> None:
        pass


class Ground:
    """The daemon, which can be started again. `home` is its folder."""

    def __init__(self, home: Path = HOME) -> None:
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()
        self.teller = Teller()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> Client:
        return Client(self.url)

    def start(self) -> None:
        self._home.mkdir(parents=True, exist_ok=True)
        own = {"OLLAMAPY_HOME": str(self._home), "OLLAMA_HOST": f"127.0.0.1:{self.port}", "OLLAMA_KEEP_ALIVE": "-1"}
        others = {name: value for name, value in python_environment().items() if not name.startswith("OLLAMA")}
        with (self._home / "daemon.log").open("wb") as log:
            command = [sys.executable, "-m", "ollamapy", "serve"]
            self._process = subprocess.Popen(
                command, env=others | own, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise Error("the daemon did not start", hint=f"see {self._home / 'daemon.log'}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Ends the daemon as a service manager would, so that it can keep what it wants to keep."""
        if self._process:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def peak_bytes(self) -> int:
        """The most memory that the daemon has had so far, on Linux."""
        assert self._process
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                client.heartbeat()
        except Unreachable:
            return False
        return True

    def weights(self) -> str:
        """The file of the starter, which is fetched when it is missing."""
        with self.client() as client:
            try:
                shown = client.show(MODEL)
            except NotFound:
                for _ in client.pull(MODEL):
                    pass
                shown = client.show(MODEL)
        return next(command.value for command in parse.parse(shown.modelfile).commands if command.name == "from")

    def put(self, name: str, make: Callable[[Path, Path], None]) -> None:
        """A model `name` on weights that `make` writes from the starter's (source, target)."""
        with TemporaryDirectory() as folder:
            target = Path(folder) / "model.gguf"
            make(Path(self.weights()), target)
            with target.open("rb") as file:
                digest = Digest(hashlib.file_digest(file, "sha256").hexdigest())
            with self.client() as client:
                if not client.has_blob(digest):
                    client.put_blob(digest, target)
                for _ in client.create({"model": name, "files": {target.name: str(digest)}}):
                    pass

    @asynccontextmanager
    async def bench(self, workload: Workload, *, slots: int | None = None, alone: bool = False) -> AsyncIterator[Bench]:
        """A benchmark of the starter against llama-server with `slots`, its best number of slots, or nobody."""
        peer = None if alone else LlamaServer(await asyncio.to_thread(self.weights), slots)
        async with Load() as load:
            yield Bench(load, await self.target(load), workload, self.teller, peer)

    async def target(self, load: Load, model: str = MODEL) -> Target:
        return await load.find("ollamapy", self.url, "ollama", model)


@contextmanager
def ground() -> Iterator[Ground]:
    """A daemon that runs until the block ends."""
    found = Ground()
    try:
        found.start()
        yield found
    finally:
        found.stop()


@contextmanager
def busy_core() -> Iterator[None]:
    """Another process that wants a whole core, until the block ends."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
