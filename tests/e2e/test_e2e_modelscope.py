"""A model of ModelScope whose registry refuses it, by the file API; against a fake of the site."""

import hashlib
from collections.abc import Callable

from fakes.daemon_process import DaemonProcess
from fakes.gguf_files import echo_gguf
from fakes.modelscope_server import ModelScopeServer

WEIGHTS = echo_gguf()


def test_what_the_registry_refuses_comes_by_the_file_api(start: Callable[..., DaemonProcess]) -> None:
    with ModelScopeServer("org/parrot", {"README.md": b"x", "sub/parrot-Q4_K_M.gguf": WEIGHTS}) as scope:
        daemon = start(OLLAMAPY_OFFLINE="0", MODELSCOPE_DOMAIN=scope.host, NO_PROXY="127.0.0.1")
        name = f"{scope.host}/org/parrot"

        said = list(daemon.stream("/api/pull", model=name, insecure=True))

        assert said[-1] == {"status": "success"}, (said, scope.requests)
        assert [line["status"] for line in said][1] == "asking the hub itself"
        assert daemon.post("/api/generate", model=name, prompt="hi", raw=True)["response"] == "hi"
        blob = daemon.home / "models" / "blobs" / f"sha256-{hashlib.sha256(WEIGHTS).hexdigest()}"
        assert blob.read_bytes() == WEIGHTS
        missing = daemon.post("/api/pull", model=f"{scope.host}/org/other", insecure=True)
        assert "file does not exist" in missing["error"]


def test_offline_nobody_is_asked(start: Callable[..., DaemonProcess]) -> None:
    with ModelScopeServer("org/parrot", {"parrot.gguf": WEIGHTS}) as scope:
        daemon = start(MODELSCOPE_DOMAIN=scope.host)

        answer = daemon.post("/api/pull", model=f"{scope.host}/org/parrot", insecure=True)

        assert "error" in answer
        assert scope.requests == []
