"""Puts models into a model directory byte by byte, as Ollama would, without the store's own code."""

import hashlib
import json
from pathlib import Path
from typing import Any

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
LAYER_TYPE = "application/vnd.ollama.image."

CONFIG = {
    "model_format": "gguf",
    "model_family": "llama",
    "model_families": ["llama"],
    "model_type": "8.0B",
    "file_type": "Q4_K_M",
    "architecture": "amd64",
    "os": "linux",
    "rootfs": {"type": "layers", "diff_ids": []},
}


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def blob_path(root: Path, content: bytes) -> Path:
    return root / "blobs" / digest_of(content).replace(":", "-")


def write_blob(root: Path, content: bytes) -> str:
    path = blob_path(root, content)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return digest_of(content)


def layer(root: Path, kind: str, content: bytes, **more: Any) -> dict[str, Any]:
    """A layer whose blob is in the directory."""
    media_type = kind if "/" in kind else LAYER_TYPE + kind
    return {"mediaType": media_type, "digest": write_blob(root, content), "size": len(content), **more}


def manifest_bytes(root: Path, *layers: dict[str, Any], config: dict[str, Any] | None = None, **more: Any) -> bytes:
    """A manifest over those layers; its config blob is written too."""
    config_blob = json.dumps(CONFIG if config is None else config).encode()
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": layer(root, CONFIG_TYPE, config_blob),
        "layers": list(layers),
        **more,
    }
    return json.dumps(document, indent=1).encode()


def write_manifest(root: Path, path: str, raw: bytes) -> Path:
    """`path` is `host/namespace/model/tag`."""
    target = root / "manifests" / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(raw)
    return target


def write_model(root: Path, path: str, weights: bytes = b"weights", **texts: bytes) -> Path:
    """A model with weights and text layers; answers where its manifest lies."""
    layers = [layer(root, "model", weights), *(layer(root, kind, text) for kind, text in texts.items())]
    return write_manifest(root, path, manifest_bytes(root, *layers))


def tree(root: Path) -> set[str]:
    """Every file below `root` that Ollama knows: without the lock, the stamps and the notes of pulls."""
    ours = (".ollamapy.lock", ".ollamapy.verified", "pulled.json")
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.name not in ours}
