"""A draft model from its Modelfile to the numbers of an answer, through the command line and the daemon."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.daemon_process import DaemonProcess
from fakes.gguf_files import tiny_model
from fakes.tiny_models import attention

pytestmark = pytest.mark.weights

TENS = "10, 20, 30, 40, 50, 60,"
"""Twelve tokens follow of which none is in doubt, whatever is rounded how, and of which none can be found in it."""


def cli(daemon: DaemonProcess, *words: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "ollamapy", *words]
    env = {**daemon.env, "OLLAMA_HOST": daemon.address}
    return subprocess.run(command, env=env, cwd=daemon.home, input=stdin, capture_output=True, timeout=120, check=False)


def written(daemon: DaemonProcess, text: str) -> str:
    path = daemon.home / "Modelfile"
    path.write_text(text)
    return str(path)


def drafts(daemon: DaemonProcess, model: str) -> list[str]:
    lines: list[str] = daemon.post("/api/show", model=model)["modelfile"].splitlines()
    return [line for line in lines if line.startswith("DRAFT ")]


def counted(daemon: DaemonProcess, name: str) -> float:
    found = re.findall(rf"^ollamapy_{name}_total\{{.*\}} (\S+)$", daemon.client.get("/metrics").text, re.MULTILINE)
    return sum(map(float, found))


def test_a_model_guesses_with_its_draft_model(start: Callable[..., DaemonProcess], starter_gguf: Path) -> None:
    daemon = start()
    os.symlink(starter_gguf, daemon.home / "model.gguf")
    (daemon.home / "draft.gguf").write_bytes(starter_gguf.read_bytes() + bytes(32))  # another blob of the same model
    created = cli(daemon, "create", "drafted", "-f", written(daemon, "FROM ./model.gguf\nDRAFT ./draft.gguf\n"))
    assert created.returncode == 0, created.stderr
    shown = cli(daemon, "show", "drafted", "--modelfile")
    again = cli(daemon, "create", "again", "-f", written(daemon, shown.stdout.decode()))
    assert again.returncode == 0, again.stderr
    assert daemon.request("POST", "/api/copy", {"source": "drafted", "destination": "copy"}).status_code == 200
    answer: dict[str, Any] = daemon.post(
        "/api/generate", model="copy", prompt=TENS, raw=True, options={"temperature": 0, "num_predict": 16}
    )

    assert drafts(daemon, "again") == drafts(daemon, "copy") == drafts(daemon, "drafted") != []
    assert drafts(daemon, "copy") == ["DRAFT " + daemon.post("/api/resolve", model="copy")["draft"]]
    assert answer["response"].startswith(" 70, 80, 90")
    assert 0 < answer["draft_accepted_count"] <= answer["draft_count"]
    assert "warning" not in answer
    assert counted(daemon, "draft_accepted_tokens") == answer["draft_accepted_count"]
    (loaded,) = daemon.request("GET", "/api/ps").json()["models"]
    assert loaded["size"] > 2 * starter_gguf.stat().st_size
    assert daemon.post("/api/generate", model="copy", keep_alive=0)["done_reason"] == "unload"


def test_a_draft_model_of_other_tokens_is_refused(start: Callable[..., DaemonProcess]) -> None:
    daemon = start()
    attention(daemon.home / "model.gguf")
    (daemon.home / "draft.gguf").write_bytes(tiny_model())

    created = cli(daemon, "create", "new", "-f", written(daemon, "FROM ./model.gguf\nDRAFT ./draft.gguf\n"))

    assert created.returncode == 1
    assert b"draft.gguf cannot be the draft model: its vocabulary has 4 tokens" in created.stderr
    assert b"take a smaller model of the same family" in created.stderr


def test_a_draft_model_that_turns_out_not_to_fit_is_a_warning(start: Callable[..., DaemonProcess]) -> None:
    """As many tokens, of which one is another: that shows at the load."""
    daemon = start()
    attention(daemon.home / "model.gguf")
    data = (daemon.home / "model.gguf").read_bytes()
    (daemon.home / "draft.gguf").write_bytes(data.replace(b"<unk>", b"<odd>", 1))
    made = cli(daemon, "create", "new", "-f", written(daemon, "FROM ./model.gguf\nDRAFT ./draft.gguf\n"))
    assert made.returncode == 0, made.stderr

    answer = daemon.post("/api/generate", model="new", prompt="abc", raw=True, options={"num_predict": 3})

    reason = "the draft model is not used: its vocabulary differs from that of the model, first at token 0"
    assert answer.get("warning") == reason, answer
    assert f"model not used whole model=new:latest reason={reason}" in daemon.log
