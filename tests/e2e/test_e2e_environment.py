"""Environment variables of the daemon, as clients see them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.daemon_process import DaemonProcess

Start = Callable[..., DaemonProcess]
STALE = f"sha256-{'0' * 64}"


def origin(daemon: DaemonProcess, value: str, **headers: str) -> tuple[int, str]:
    response = daemon.client.get("/api/version", headers={"Origin": value, **headers})
    return response.status_code, response.headers.get("Access-Control-Allow-Origin", "")


def test_origins_are_those_of_the_list_and_of_this_machine(start: Start) -> None:
    daemon = start(OLLAMA_ORIGINS=" 'http://a.example, http://*.b.example,chrome-extension://*' ")

    assert origin(daemon, "http://a.example") == (200, "http://a.example")
    assert origin(daemon, "http://x.b.example") == (200, "http://x.b.example")
    assert origin(daemon, "chrome-extension://abc") == (200, "chrome-extension://abc")
    assert origin(daemon, "http://localhost:3000") == (200, "http://localhost:3000")
    for foreign in ("http://a.example:8080", "https://a.example", "http://evil.example", "null"):
        assert origin(daemon, foreign) == (403, "")


def test_a_star_lets_every_page_in(start: Start) -> None:
    assert origin(start(OLLAMA_ORIGINS="*"), "http://evil.example") == (200, "*")


def test_beyond_loopback_every_host_name_is_good(start: Start) -> None:
    daemon = start(host="0.0.0.0:0")
    headers = {"Host": "example.com"}

    with_host = daemon.client.get(daemon.url.replace("0.0.0.0", "127.0.0.1") + "/api/version", headers=headers)
    assert with_host.status_code == 200


@pytest.mark.parametrize("host", ["http://127.0.0.1:0/ollama", ' "127.0.0.1:0" ', "https://127.0.0.1:0"])
def test_the_address_may_be_written_as_clients_write_it(start: Start, host: str) -> None:
    """The server speaks plain HTTP whatever the scheme says, and has no path in front."""
    assert start(host=host).request("GET", "/api/version").status_code == 200


@pytest.mark.parametrize(("value", "is_there"), [("", False), ("0", False), ("1", True), ("maybe", True)])
def test_what_no_model_uses_goes_at_the_start_unless_it_may_not(start: Start, value: str, is_there: bool) -> None:
    first = start()
    first.stop()
    stale = Path(first.home) / "models" / "blobs" / STALE
    stale.parent.mkdir(parents=True, exist_ok=True)
    stale.write_bytes(b"old")
    os.utime(stale, (1, 1))
    start(OLLAMA_NOPRUNE=value)

    assert stale.exists() == is_there


def test_the_models_lie_where_the_variable_says(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    daemon = start(OLLAMA_MODELS=str(folder))
    daemon.post("/api/pull", model="echo")

    assert (folder / "manifests" / "registry.ollama.ai" / "library" / "echo" / "latest").is_file()


@pytest.mark.parametrize(("value", "is_there"), [("1", True), ("2", True), ("0", False), ("", False)])
def test_debug_lines_are_written_when_they_are_asked_for(start: Start, value: str, is_there: bool) -> None:
    daemon = start(OLLAMA_DEBUG=value)
    daemon.post("/api/pull", model="echo")
    for blob in (Path(daemon.home) / "models" / "blobs").iterdir():
        blob.unlink()

    assert len(daemon.request("GET", "/api/tags").json()["models"]) == 1
    assert (" DEBUG model incomplete name=echo:latest" in daemon.log) == is_there


def test_values_that_make_no_sense_are_warned_about_and_passed_over(start: Start) -> None:
    daemon = start(
        OLLAMA_MAX_QUEUE="1e3", OLLAMA_NUM_PARALLEL="-1", OLLAMA_KEEP_ALIVE="abc", OLLAMA_MULTIUSER_CACHE="1"
    )

    assert daemon.request("GET", "/api/version").status_code == 200
    assert "OLLAMA_MAX_QUEUE" in daemon.log
    assert "OLLAMA_NUM_PARALLEL" in daemon.log


def test_the_log_begins_with_the_variables_that_were_set(start: Start) -> None:
    daemon = start(OLLAMA_KEEP_ALIVE="7m", OLLAMA_CONTEXT_LENGTH="8192")

    assert any("OLLAMA_KEEP_ALIVE" in line and "7m" in line and "8192" in line for line in daemon.log.splitlines())
