"""A daemon that is offline reaches for no other machine: an audit hook in it sees every connection and every name."""

import subprocess
import sys
from pathlib import Path

from fakes.daemon_process import DaemonProcess

GUARD = """
import ipaddress, os, sys

def _is_ours(host):
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("localhost", "", None)

def _watch(event, args):
    if event == "socket.connect" and isinstance(args[1], tuple):
        host = args[1][0]
    elif event == "socket.getaddrinfo":
        host = args[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if not _is_ours(host):
        with open(os.environ["GUARD_LOG"], "a") as log:
            log.write(f"{event} {host}\\n")

sys.addaudithook(_watch)
"""


def guarded(home: Path, **env: str) -> DaemonProcess:
    (home / "guard").mkdir(exist_ok=True)
    (home / "guard" / "sitecustomize.py").write_text(GUARD)
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"), "")
    return DaemonProcess(
        home, {**proxies, "PYTHONPATH": str(home / "guard"), "GUARD_LOG": str(home / "reached"), **env}
    )


def test_an_offline_daemon_connects_to_nobody(tmp_path: Path) -> None:
    daemon = guarded(tmp_path, OLLAMAPY_OFFLINE="1")

    assert daemon.post("/api/pull", model="echo") == {"status": "success"}
    assert daemon.post("/api/generate", model="echo", prompt="hi", raw=True)["response"] == "hi"
    names = (
        "nobody/nothing",
        "192.0.2.1:5000/ns/m",
        "hf.co/ns/m",
        "modelscope.cn/ns/m",
        "ms://ns/m",
        "oci://docker.io/ai/m",
    )
    urls = ("https://model.invalid/m.gguf", "https://model.invalid/m-00001-of-00002.gguf")
    for model in (*names, *urls, "starter", "starter-embed"):
        assert "error" in daemon.post("/api/pull", model=model, insecure=True)
        daemon.post("/api/push", model=model)
    daemon.post("/api/push", model="echo")
    daemon.post("/api/push", model="echo", format="docker")

    assert daemon.stop() == 0
    assert not (tmp_path / "reached").exists()


def test_the_guard_sees_a_daemon_that_is_not_offline(tmp_path: Path) -> None:
    daemon = guarded(tmp_path, OLLAMAPY_OFFLINE="0")

    assert "error" in daemon.post("/api/pull", model="model.invalid/ns/m")

    assert daemon.stop() == 0
    assert "socket.getaddrinfo model.invalid" in (tmp_path / "reached").read_text()


def test_config_check_says_what_the_file_has_and_what_is_wrong(tmp_path: Path) -> None:
    def check() -> subprocess.CompletedProcess[str]:
        env = {"OLLAMAPY_HOME": str(tmp_path), "HOME": str(tmp_path)}
        command = [sys.executable, "-m", "ollamapy", "config", "check"]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    assert "is not there: nothing is configured" in check().stdout
    (tmp_path / "config.yaml").write_text("registries: {a.example: {insecure: true}}")
    assert "all is well; registries: a.example" in check().stdout
    (tmp_path / "config.yaml").write_text("registries: {a.example: {insecure: maybe}}")
    wrong = check()
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "Expected `bool`, got `str`" in wrong.stderr
