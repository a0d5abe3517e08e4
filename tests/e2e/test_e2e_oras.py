"""A stock OCI client reads what ollamapy pushed."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import oras.client
from fakes.daemon_process import DaemonProcess
from fakes.gguf_files import echo_gguf
from fakes.oci_registry import running


def test_oras_lists_and_fetches_what_was_pushed(
    tmp_path: Path, start: Callable[..., DaemonProcess], put_echo: Callable[..., str]
) -> None:
    daemon = start(OLLAMAPY_OFFLINE="0")
    put_echo(daemon, "parrot")
    with running(tmp_path) as registry:
        name = f"{registry.address}/ns/parrot:v1"
        daemon.request("POST", "/api/copy", {"source": "parrot", "destination": name}).raise_for_status()
        assert daemon.post("/api/push", model=name, insecure=True) == {"status": "success"}

        client = oras.client.OrasClient(hostname=registry.address, insecure=True)
        assert client.get_tags(f"{registry.address}/ns/parrot") == ["v1"]
        media_type = "application/vnd.docker.distribution.manifest.v2+json"
        manifest = client.get_manifest(f"{registry.address}/ns/parrot:v1", allowed_media_type=[media_type])
        kinds = {layer["mediaType"].rpartition(".")[2]: layer["digest"] for layer in manifest["layers"]}
        target = tmp_path / "weights"
        client.download_blob(f"{registry.address}/ns/parrot:v1", kinds["model"], str(target))

    assert target.read_bytes() == echo_gguf()
    assert kinds["model"] == f"sha256:{hashlib.sha256(echo_gguf()).hexdigest()}"
