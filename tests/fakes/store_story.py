"""A program that makes, copies, replaces and deletes models, to be killed while it does.

    python store_story.py loop ROOT           goes on for ever, and says "turn N" after every turn
    python store_story.py lines ROOT STRIDE   kills itself at every STRIDEth line of the store's code, and looks each
                                              time at what is left; says how many deaths it tried

`look` holds what must be true at every moment.
"""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from ollamapy import store as store_package
from ollamapy.names import Digest, ModelName
from ollamapy.store.store import Store

_CODE = str(Path(store_package.__file__).parent)
_LAYER = "application/vnd.ollama.image."
M, C, N = (ModelName.parse(text) for text in ("m", "copies/c:1", "n"))

STATES: list[dict[str, bytes]] = [
    {},
    {"m:latest": b"one" * 1000},
    {"m:latest": b"one" * 1000, "copies/c:1": b"one" * 1000},
    {"m:latest": b"two" * 1000, "copies/c:1": b"one" * 1000},
    {"m:latest": b"two" * 1000},
    {"m:latest": b"two" * 1000, "n:latest": b"three" * 1000},
    {"n:latest": b"three" * 1000},
]
"""The weights of every model, before the first and after every step of `tell`; a death may leave no other state."""


def tell(store: Store) -> None:
    """One turn: begins with any of the states, ends with the first."""
    for name in store.manifests.names():
        store.delete(name)
    store.link(M, manifest(store, put_in_pieces(store, b"one" * 1000), b"{{ .Prompt }}"))
    store.copy(M, C)
    store.link(M, manifest(store, put_in_pieces(store, b"two" * 1000), b"{{ .System }}"))
    store.delete(C)
    store.link(N, manifest(store, adopt(store, b"three" * 1000), b"{{ .Prompt }}"))
    store.delete(M)
    store.delete(N)


def put_in_pieces(store: Store, content: bytes) -> tuple[Digest, int]:
    with store.blobs.writer() as writer:
        for start in range(0, len(content), 1000):
            writer.write(content[start : start + 1000])
        return writer.commit(), writer.size_bytes


def adopt(store: Store, content: bytes) -> tuple[Digest, int]:
    partial = store.blobs.partial_path("url-1")
    partial.write_bytes(content)
    return store.blobs.adopt(partial), len(content)


def manifest(store: Store, weights: tuple[Digest, int], template: bytes) -> bytes:
    layers = {"model": weights, "template": store.blobs.put(template)}
    config = store.blobs.put(b'{"model_format":"gguf"}')
    return json.dumps({"schemaVersion": 2, "config": _layer("config", config), "layers": _layers(layers)}).encode()


def _layers(layers: dict[str, tuple[Digest, int]]) -> list[dict[str, Any]]:
    return [_layer(kind, blob) for kind, blob in layers.items()]


def _layer(kind: str, blob: tuple[Digest, int]) -> dict[str, Any]:
    return {"mediaType": _LAYER + kind, "digest": str(blob[0]), "size": blob[1]}


def look(root: Path) -> None:
    """Raises unless the books balance, every listed model is whole, and a later start removes every trace."""
    store = Store(root)
    store.check(contents=True)
    models = [store.resolve(name) for name in store.manifests.names()]
    state = {model.name.short: model.model_path.read_bytes() for model in models}
    assert state in STATES, sorted(state)
    store.start(now=time.time() + 7200)
    left = {store.layout.digest_of(path) for path in store.blobs.files()}
    assert left == store.used_digests(), left
    store.check(contents=True)
    store.close()


def die_at(line: int) -> None:
    """Kills this process before the given line of the store's code, counted in the order they run."""
    left = line

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal left
        if not frame.f_code.co_filename.startswith(_CODE):
            return None
        if event == "line":
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)


def loop(root: Path) -> None:
    store = Store(root)
    store.start()
    for turn in range(1_000_000):
        tell(store)
        print(f"turn {turn}", flush=True)


def lines(root: Path, stride: int) -> None:
    deaths = 0
    while dies(root, 1 + deaths * stride):
        look(root)
        deaths += 1
        shutil.rmtree(root, ignore_errors=True)
    look(root)
    print(f"deaths {deaths}")


def dies(root: Path, line: int) -> bool:
    """Whether a turn that is to end at `line` comes so far."""
    child = os.fork()
    if child == 0:
        store = Store(root)
        die_at(line)
        store.start()
        tell(store)
        sys.settrace(None)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
    return status != 0


if __name__ == "__main__":
    if sys.argv[1] == "loop":
        loop(Path(sys.argv[2]))
    else:
        lines(Path(sys.argv[2]), int(sys.argv[3]))
