"""Uploads files to a daemon as clients do."""

import hashlib

from fakes.daemon_process import DaemonProcess


def put_model(daemon: DaemonProcess, name: str, data: bytes) -> str:
    """Makes a model of the GGUF file `data` over the API; its name."""
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert daemon.client.post(f"/api/blobs/{digest}", content=data).status_code in (200, 201)
    assert daemon.post("/api/create", model=name, files={f"{name}.gguf": digest}) == {"status": "success"}
    return name
