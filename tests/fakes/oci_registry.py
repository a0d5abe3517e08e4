"""Debian's docker-registry as a process on a free port, and a way to put models into it without our own code."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes.daemon_process import DEADLINE_SECONDS, wait_until
from fakes.store_files import CONFIG, CONFIG_TYPE, LAYER_TYPE, MANIFEST_TYPE

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CACHE = Path.home() / ".cache" / "ollamapy" / "test-oracles" / "docker-registry"


def program() -> str:
    """docker-registry: installed, or unpacked from Debian's package without installing it.

    Skips the test where neither works and says so; with OLLAMAPY_TEST_STRICT=1 it fails.
    """
    unpacked = CACHE / "usr" / "bin" / "docker-registry"
    found = shutil.which("docker-registry") or (str(unpacked) if unpacked.exists() else None)
    if found:
        return found
    try:
        return _unpack(unpacked)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = f"no docker-registry, so nothing was tested with it (Debian: apt-get install docker-registry): {error}"
        if os.environ.get("OLLAMAPY_TEST_STRICT"):
            pytest.fail(reason)
        pytest.skip(reason)


def _unpack(target: Path) -> str:
    CACHE.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE.parent) as folder:
        download = ["apt-get", "-q", "download", "docker-registry"]
        if subprocess.run(download, cwd=folder, capture_output=True, check=False).returncode:
            subprocess.run(["apt-get", "-q", "update"], capture_output=True, check=True)
            subprocess.run(download, cwd=folder, capture_output=True, check=True)
        (package,) = Path(folder).glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", str(package), f"{folder}/root"], capture_output=True, check=True)
        Path(folder, "root").replace(CACHE)
    return str(target)


@dataclass(frozen=True)
class Registry:
    """The registry at `address`, its files below `root`."""

    address: str
    root: Path

    @property
    def client(self) -> httpx.Client:
        return httpx.Client(base_url=f"http://{self.address}", timeout=DEADLINE_SECONDS, trust_env=False)

    def push(self, repository: str, tag: str, weights: bytes, **texts: bytes) -> dict[str, Any]:
        """Uploads a model; its manifest."""
        layers = [self._blob(repository, LAYER_TYPE + "model", weights)]
        layers += [self._blob(repository, LAYER_TYPE + kind, text) for kind, text in texts.items()]
        config = self._blob(repository, CONFIG_TYPE, json.dumps(CONFIG).encode())
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": layers}
        with self.client as client:
            path = f"/v2/{repository}/manifests/{tag}"
            raw = json.dumps(manifest).encode()
            client.put(path, content=raw, headers={"Content-Type": MANIFEST_TYPE}).raise_for_status()
        return manifest

    def push_artefact(
        self, repository: str, tag: str, config: tuple[str, bytes], layers: Iterable[tuple[str, bytes, str]]
    ) -> dict[str, Any]:
        """Uploads what another program made: media types and bytes, and a file name for each layer or "".

        Answers the manifest.
        """
        listed = []
        for media_type, data, title in layers:
            named = {"annotations": {"org.opencontainers.image.title": title}} if title else {}
            listed.append(self._blob(repository, media_type, data) | named)
        manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": self._blob(repository, *config)}
        manifest["layers"] = listed
        with self.client as client:
            path, raw = f"/v2/{repository}/manifests/{tag}", json.dumps(manifest).encode()
            client.put(path, content=raw, headers={"Content-Type": OCI_MANIFEST}).raise_for_status()
        return manifest

    def _blob(self, repository: str, media_type: str, data: bytes) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        with self.client as client:
            begun = client.post(f"/v2/{repository}/blobs/uploads/").raise_for_status()
            where = begun.headers["location"]
            client.put(f"{where}&digest={digest}", content=data).raise_for_status()
        return {"mediaType": media_type, "digest": digest, "size": len(data)}


@contextmanager
def running(root: Path) -> Iterator[Registry]:
    """A registry until the block ends."""
    command = program()
    config, log_path = root / "registry.yml", root / "log"
    storage = {"filesystem": {"rootdirectory": str(root / "data")}, "delete": {"enabled": True}}
    config.write_text(json.dumps({"version": "0.1", "storage": storage, "http": {"addr": "127.0.0.1:0"}}))
    with log_path.open("wb") as log:
        process = subprocess.Popen([command, "serve", str(config)], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: _address(log_path) != "", "docker-registry to listen")
        registry = Registry(_address(log_path), root)
        wait_until(lambda: _answers(registry), "docker-registry to answer")
        yield registry
    finally:
        process.terminate()
        process.wait(DEADLINE_SECONDS)


def _address(log: Path) -> str:
    """Where it says that it listens: the system chose the port."""
    found = re.search(r'listening on (127\.0\.0\.1:\d+)"', log.read_text())
    return found[1] if found else ""


def _answers(registry: Registry) -> bool:
    try:
        with registry.client as client:
            return client.get("/v2/").status_code == 200
    except httpx.TransportError:
        return False
