"""A program that kills a daemon while it works, again and again, and looks each time at what is left.

    python daemon_deaths.py create|import|gc|delete|pull|push HOME DEATHS

The daemon is a fork of this process, its store a copy of a prepared one. It ends with SIGKILL before a line of the
store's, the verbs' or the remotes' code that was drawn by lot among all lines that run from the verb's beginning to its
end. Then fsck must find nothing, every model must be whole, here and in the registry that the verb is at, and the verb,
called again, must succeed.
"""

import asyncio
import contextlib
import io
import json
import mmap
import os
import random
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
from fakes.faulty_registry import FaultyRegistry
from fakes.gguf_files import echo_gguf
from fakes.store_files import digest_of

import ollamapy
from ollamapy.cli import import_
from ollamapy.client import Client
from ollamapy.errors import Error
from ollamapy.server import daemon
from ollamapy.settings import Settings
from ollamapy.store.store import Store
from ollamapy.store.survey import survey

_CODE = tuple(str(Path(ollamapy.__file__).parent / part) for part in ("store", "actions", "remotes"))
_FIRST = {verb: f"{verb}.py" for verb in ("create", "delete", "pull", "push")} | {
    "import": "blobs.py",
    "gc": "usage.py",
}
"""The file of `actions/` in which a verb begins."""
_OTHER = echo_gguf(context_length=2048)
_THERE = random.Random(4).randbytes(3 << 20)
"""The weights of a model that a registry has."""
_HOUR = 3600
_UNUSED = "sha256-000000"
"""How the names of the prepared files of no model begin."""

Verb = Callable[["Fork"], object]


class Fork:
    """A daemon in a child of this process, which dies before the line `last` counted from the verb's beginning."""

    def __init__(self, home: Path, first: str = "", last: int = 0, registry: str = "") -> None:
        self.registry = registry
        self.lines = mmap.mmap(-1, 8)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.pid = os.fork()
        if not self.pid:
            self._serve(home, first, last)
        self.socket.close()

    def _serve(self, home: Path, first: str, last: int) -> None:
        if first:
            self._die_at(f"actions/{first}", last)
        settings = Settings.from_env({"OLLAMAPY_HOME": str(home)})
        with contextlib.suppress(BaseException):
            asyncio.run(daemon.serve(settings, [self.socket]))
        os._exit(0)

    def _die_at(self, first: str, last: int) -> None:
        count = -1

        def trace(frame: FrameType, event: str, argument: object) -> Any:
            nonlocal count
            file = frame.f_code.co_filename
            if not file.startswith(_CODE):
                return None
            if count < 0 and file.endswith(first):
                count = 0
            if count >= 0 and event == "line":
                count += 1
                self.lines[:] = count.to_bytes(8, "big")
                if count == last:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        threading.settrace(trace)
        sys.settrace(trace)

    @property
    def num_lines(self) -> int:
        return int.from_bytes(self.lines[:], "big")

    def post(self, path: str, method: str = "POST", **body: object) -> None:
        answer = httpx.request(method, self.url + path, json={"stream": False, **body}, timeout=60)
        assert answer.status_code == 200, answer.text

    def put_blob(self, data: bytes) -> str:
        digest = digest_of(data)
        assert httpx.post(f"{self.url}/api/blobs/{digest}", content=data, timeout=60).status_code in (200, 201)
        return digest

    def stop(self) -> bool:
        """True when it had died before."""
        died, code = os.waitpid(self.pid, os.WNOHANG)
        if not died:
            os.kill(self.pid, signal.SIGTERM)
            _, code = os.waitpid(self.pid, 0)
        return code == signal.SIGKILL


def create(fork: Fork) -> None:
    """Over an existing model, so that old blobs go."""
    digest = fork.put_blob(_OTHER)
    fork.post("/api/create", model="one", files={"o.gguf": digest}, system="new", template="{{ .Prompt }}!")


def delete(fork: Fork) -> None:
    fork.post("/api/delete", "DELETE", model="one")


def collect(fork: Fork) -> None:
    fork.post("/api/gc")


def take_in(archive: bytes) -> Verb:
    def take(fork: Fork) -> None:
        with Client(fork.url) as client:
            found = import_.take(io.BytesIO(archive), client, None, lambda member, done: None)
            for name, manifest in found:
                client.link(name.full, manifest)

    return take


def pull(fork: Fork) -> None:
    fork.post("/api/pull", model=f"{fork.registry}/ns/there", insecure=True)


def push(fork: Fork) -> None:
    fork.post("/api/copy", source="two", destination=f"{fork.registry}/ns/sent")
    fork.post("/api/push", model=f"{fork.registry}/ns/sent", insecure=True)


@contextlib.contextmanager
def registry() -> Iterator[str]:
    """A registry in a child of this process, which must not have threads when it forks; its address."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        with FaultyRegistry() as there:
            there.add_model("ns/there", "latest", _THERE, system=b"be here")
            os.write(writer, there.host.encode())
            signal.pause()
    try:
        yield os.read(reader, 100).decode()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reader)
        os.close(writer)


def look_there(address: str) -> bool:
    """Whether the registry has what is pushed to it. Raises unless that is whole."""
    with httpx.Client(base_url=f"http://{address}/v2/ns/sent", timeout=60) as client:
        manifest = client.get("/manifests/latest")
        if manifest.status_code == 404:
            return False
        listed = manifest.json()
        for layer in [listed["config"], *listed["layers"]]:
            assert digest_of(client.get(f"/blobs/{layer['digest']}").content) == layer["digest"]
    return True


def prepare(home: Path) -> bytes:
    """A store with two models that share weights, and files that nobody uses; an archive of two more."""
    fork = Fork(home)
    digest = fork.put_blob(echo_gguf())
    fork.post("/api/create", model="one", files={"e.gguf": digest}, system="be kind")
    fork.post("/api/create", model="two", **{"from": "one"}, system="be short")
    other = fork.put_blob(_OTHER)
    fork.post("/api/create", model="h.example/n/three", files={"o.gguf": other}, system="be long")
    archive = _exported(fork)
    fork.post("/api/delete", "DELETE", model="h.example/n/three")
    fork.stop()
    for number in range(6):
        old = home / "models" / "blobs" / f"sha256-{number:064x}"
        old.write_bytes(b"old")
        os.utime(old, (1, 1))
    return archive


def _exported(fork: Fork) -> bytes:
    from ollamapy.cli import export
    from ollamapy.names import ModelName

    out = io.BytesIO()
    with Client(fork.url) as client:
        names = [ModelName.parse(text) for text in ("two", "h.example/n/three")]
        parts = export.plan([(name, client.manifest(name)) for name in names])

        def fetch(part: export.Part, start: int) -> Any:
            return client.read_blob(part.model, part.digest, start)  # type: ignore[arg-type]

        export.write(out, parts, fetch, lambda part, done: None, is_new=True)
    return out.getvalue()


def look(home: Path, when: float) -> None:
    """Raises unless fsck finds nothing and every model is whole; with `when` in the future, nothing unused is left."""
    store = Store(home / "models")
    store.check(contents=True)
    faults = survey(store, deep=True, now=time.time(), on_progress=lambda done, total: None)
    assert not [fault for fault in faults if _UNUSED not in fault.path]
    models = {name.short: store.resolve(name) for name in store.manifests.names()}
    assert "two:latest" in models, models
    store.start(now=when)
    store.close()
    assert {store.layout.digest_of(path) for path in store.blobs.files()} == store.used_digests() or when <= time.time()
    store.check(contents=True)


def run(verb: str, home: Path, num_deaths: int) -> int:
    """How many of the daemons died."""
    archive = prepare(home / "first")
    verbs = {"create": create, "gc": collect, "delete": delete, "pull": pull, "push": push}
    act = take_in(archive) if verb == "import" else verbs[verb]
    with registry() as address:
        fork = Fork(_copy(home, "whole"), _FIRST[verb], 0, address)
        act(fork)
        fork.stop()
    chance, deaths, num_lines = random.Random(7), 0, fork.num_lines
    for _ in range(4 * num_deaths):
        if deaths < num_deaths:
            is_dead, num_run = _dies_at(chance.randrange(1, num_lines), verb, act, _copy(home, "copy"))
            deaths += is_dead
            num_lines = num_lines if is_dead else num_run  # who waits longer runs more lines
    return deaths


def _dies_at(line: int, verb: str, act: Verb, home: Path) -> tuple[bool, int]:
    """Whether a daemon that is to end at `line` does so, and how many it ran. Raises unless all goes on after it."""
    with registry() as address:
        fork = Fork(home, _FIRST[verb], line, address)
        with contextlib.suppress(httpx.TransportError, Error):
            act(fork)
        is_dead = fork.stop()
        look(home, time.time())
        look_there(address)
        again = Fork(home, registry=address)
        with contextlib.suppress(AssertionError) if verb == "delete" else contextlib.nullcontext():
            act(again)  # a second delete finds nothing when the first had come so far
        again.stop()
        look(home, time.time() + 2 * _HOUR)
        assert look_there(address) or verb != "push"
    return is_dead, fork.num_lines


def _copy(home: Path, name: str) -> Path:
    shutil.rmtree(home / name, ignore_errors=True)
    return Path(shutil.copytree(home / "first", home / name))


if __name__ == "__main__":
    print(json.dumps({"deaths": run(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))}))
