"""Damage in the store of a running daemon: found before use, found by fsck, mended by it; df, gc and resolve."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.daemon_process import DaemonProcess
from fakes.gguf_files import echo_gguf


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    """A daemon with `echo`, which a catalogue on this disk can give again."""
    (tmp_path / "local.gguf").write_bytes(echo_gguf())
    (tmp_path / "catalogue.yaml").write_text("local:\n  source: file:local.gguf\n  description: echo\n")
    daemon = DaemonProcess(tmp_path, {"OLLAMAPY_CATALOGUE": str(tmp_path / "catalogue.yaml")})
    assert daemon.post("/api/pull", model="local") == {"status": "success"}
    yield daemon
    assert daemon.stop() == 0


def run(daemon: DaemonProcess, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ollamapy", *words]
    env = {**daemon.env, "OLLAMA_HOST": daemon.address}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)


def weights(daemon: DaemonProcess) -> Path:
    return Path(daemon.post("/api/resolve", model="local")["weights"])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(1, 1))


def test_a_flipped_bit_is_found_before_use_and_repair_mends_it(daemon: DaemonProcess) -> None:
    flip(weights(daemon))
    body = {"model": "local", "prompt": "hi", "raw": True, "stream": False}

    refused = daemon.request("POST", "/api/generate", body)
    found = run(daemon, "fsck", "--deep")
    mended = run(daemon, "fsck", "--deep", "--repair")

    assert refused.status_code == 500
    assert "the model blob of the model local:latest cannot be used" in refused.json()["error"]
    assert refused.json()["hint"] == "ollamapy fsck --repair mends it"
    assert (found.returncode, "content: " in found.stdout) == (1, True)
    assert (mended.returncode, "fetched again" in mended.stdout) == (0, True)
    assert daemon.post("/api/generate", model="local", prompt="hi", raw=True)["response"] == "hi"
    assert len(list((weights(daemon).parents[1] / "quarantine").iterdir())) == 1


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"")], ids=["missing", "emptied"])
def test_a_blob_that_is_gone_or_cut_is_fetched_again(daemon: DaemonProcess, damage) -> None:
    damage(weights(daemon))

    mended = run(daemon, "fsck", "--repair")

    assert mended.returncode == 0, mended.stdout
    assert daemon.post("/api/generate", model="local", prompt="hi", raw=True)["response"] == "hi"


def test_what_cannot_be_fetched_again_is_said_and_ends_with_1(daemon: DaemonProcess) -> None:
    daemon.request("POST", "/api/copy", {"source": "local", "destination": "mine"})
    daemon.request("DELETE", "/api/delete", {"model": "local"})
    path = Path(daemon.post("/api/resolve", model="mine")["weights"])
    path.unlink()

    mended = run(daemon, "fsck", "--repair")

    assert mended.returncode == 1
    assert "mine:latest cannot be fetched again" in mended.stdout


def test_a_blob_that_a_model_made_here_shares_comes_back_and_the_model_stays_as_it_was_made(
    daemon: DaemonProcess,
) -> None:
    assert daemon.post("/api/create", model="a-mine", **{"from": "local"}, system="be kind") == {"status": "success"}
    before = daemon.request("GET", "/api/tags").json()["models"]
    weights(daemon).unlink()

    mended = run(daemon, "fsck", "--repair")

    assert (mended.returncode, "fetched again" in mended.stdout) == (0, True), mended.stdout
    digests = {model["name"]: model["digest"] for model in before}
    assert {model["name"]: model["digest"] for model in daemon.request("GET", "/api/tags").json()["models"]} == digests
    assert daemon.post("/api/generate", model="a-mine", prompt="hi", raw=True)["response"] == "hi"


def test_a_torn_manifest_is_replaced_and_its_model_works_again(daemon: DaemonProcess) -> None:
    manifest = Path(daemon.post("/api/resolve", model="local")["manifest"])
    manifest.write_bytes(manifest.read_bytes()[:20])

    mended = run(daemon, "fsck", "--repair")

    assert mended.returncode == 0, mended.stdout
    assert daemon.post("/api/generate", model="local", prompt="hi", raw=True)["response"] == "hi"


def test_a_store_in_order_passes(daemon: DaemonProcess) -> None:
    checked = run(daemon, "fsck", "--deep")

    assert (checked.returncode, checked.stdout) == (0, "1 models, 2 blobs: all is well\n")


def test_df_tells_shared_from_unique_bytes(daemon: DaemonProcess) -> None:
    daemon.post("/api/create", model="other", **{"from": "local"}, system="be kind")

    usage = json.loads(run(daemon, "df", "--json").stdout)
    table = run(daemon, "df").stdout

    sizes = {model["model"]: model for model in usage["models"]}
    assert sizes["other:latest"]["size_bytes"] > sizes["other:latest"]["unique_bytes"] > 0
    assert usage["shared_bytes"] >= weights(daemon).stat().st_size
    assert "local:latest" in table


def test_gc_removes_old_files_of_no_model_and_spares_young_ones(daemon: DaemonProcess) -> None:
    blobs = weights(daemon).parent
    old, young = blobs / f"sha256-{'0' * 64}", blobs / f"sha256-{'1' * 64}"
    old.write_bytes(b"old")
    young.write_bytes(b"young")
    os.utime(old, (1, 1))

    collected = run(daemon, "gc")

    assert collected.stdout.startswith("removed 1 files")
    assert (old.exists(), young.exists()) == (False, True)


def test_resolve_of_an_unknown_model_is_the_usual_error(daemon: DaemonProcess) -> None:
    asked = run(daemon, "resolve", "nobody")

    assert (asked.returncode, asked.stderr.splitlines()[0]) == (1, "Error: model 'nobody:latest' not found")
