"""The row of pulls: a blob of 2 GB from a registry on this machine, against curl and sha256sum of the same blob."""

import asyncio
import hashlib
import json
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import httpx

from ollamapy.bench.measures import ratio
from ollamapy.wire.manifest import CONFIG_TYPE, Layer, Manifest, encode_manifest, layer_type
from scripts.lib.bar.finding import Finding
from scripts.lib.bar.ground import Ground, NotYet

SIZE = 2_000_000_000
NUM_PAIRS = 3
MOST_MEMORY = 64.0
REPOSITORY = "bench/pull"
_PIECE_BYTES = 1 << 20


async def pulls(ground: Ground) -> list[Finding]:
    """2 GB from docker-registry on this machine, against `curl` and then `sha256sum`, in turn."""
    if sys.platform != "linux" or not all(map(shutil.which, ("docker-registry", "curl", "sha256sum"))):
        raise NotYet("needs Linux with docker-registry, curl and sha256sum")
    return await asyncio.to_thread(_pulls)


def _pulls() -> list[Finding]:
    with tempfile.TemporaryDirectory() as folder, _registry(Path(folder)) as address:
        digest = _publish(address, Path(folder) / "blob")
        theirs, ours, growths = [], [], []
        for _ in range(NUM_PAIRS):
            theirs.append(_seconds(lambda: _curl(f"http://{address}/v2/{REPOSITORY}/blobs/{digest}", Path(folder))))
            seconds, growth = _pull(address, Path(folder) / "home")
            ours.append(seconds)
            growths.append(growth)
    detail = f"{median(ours):.1f} s against {median(theirs):.1f} s"
    return [
        Finding("rate of curl + sha256sum", ratio(theirs, ours), 0.8, detail=detail),
        Finding("daemon memory, MB more", max(growths), MOST_MEMORY, is_limit=True, detail="at its peak"),
    ]


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _curl(url: str, folder: Path) -> None:
    target = folder / "curl"
    subprocess.run(["curl", "-sSf", "-o", target, url], check=True)
    subprocess.run(["sha256sum", target], check=True, stdout=subprocess.DEVNULL)
    target.unlink()


def _pull(address: str, home: Path) -> tuple[float, float]:
    """Seconds, and the MB that a new daemon grew by. A small pull before has loaded the code that any pull needs."""
    ground = Ground(home)
    ground.start()
    try:
        with ground.client() as client:
            for _ in client.pull(f"{address}/bench/small", insecure=True):
                pass
            before = ground.peak_bytes()
            seconds = _seconds(lambda: list(client.pull(f"{address}/{REPOSITORY}", insecure=True)))
            return seconds, (ground.peak_bytes() - before) / 1e6
    finally:
        ground.stop()
        shutil.rmtree(home)


@contextmanager
def _registry(folder: Path) -> Iterator[str]:
    """The address of a registry that runs until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    config = folder / "registry.yml"
    storage = {"filesystem": {"rootdirectory": str(folder / "data")}}
    config.write_text(json.dumps({"version": "0.1", "storage": storage, "http": {"addr": address}}))
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log)
    try:
        while not _answers(address):
            time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait()


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"http://{address}/v2/", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def _publish(address: str, path: Path) -> str:
    """Puts the large and a small model into the registry; the digest of the large blob."""
    hasher, piece = hashlib.sha256(), random.Random(1).randbytes(_PIECE_BYTES)
    with path.open("wb") as file:
        for at in range(0, SIZE, _PIECE_BYTES):
            data = (at.to_bytes(8, "big") + piece)[: min(_PIECE_BYTES, SIZE - at)]
            file.write(data)
            hasher.update(data)
    digest = f"sha256:{hasher.hexdigest()}"
    _put_model(address, REPOSITORY, path, Layer(layer_type("model"), digest, SIZE))
    path.write_bytes(b"small")
    small = f"sha256:{hashlib.sha256(b'small').hexdigest()}"
    _put_model(address, "bench/small", path, Layer(layer_type("model"), small, len(b"small")))
    path.unlink()
    return digest


def _put_model(address: str, repository: str, weights: Path, layer: Layer) -> None:
    config = b"{}"
    config_layer = Layer(CONFIG_TYPE, f"sha256:{hashlib.sha256(config).hexdigest()}", len(config))
    manifest = Manifest(schema_version=2, config=config_layer, layers=(layer,))
    with httpx.Client(base_url=f"http://{address}", trust_env=False, timeout=600) as client:
        with weights.open("rb") as file:
            _put_blob(client, repository, layer, iter(lambda: file.read(_PIECE_BYTES), b""))
        _put_blob(client, repository, config_layer, [config])
        path, headers = f"/v2/{repository}/manifests/latest", {"Content-Type": manifest.media_type}
        client.put(path, content=encode_manifest(manifest), headers=headers).raise_for_status()


def _put_blob(client: httpx.Client, repository: str, layer: Layer, content: object) -> None:
    place = client.post(f"/v2/{repository}/blobs/uploads/").raise_for_status().headers["location"]
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(layer.size)}
    client.put(f"{place}&digest={layer.digest}", content=content, headers=headers).raise_for_status()  # type: ignore[arg-type]
