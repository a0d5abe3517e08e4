"""Pulls as jobs of a real daemon: paused, resumed, cancelled, limited, by the API and by the command line."""

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.daemon_process import DaemonProcess, wait_until
from fakes.faulty_registry import FaultyRegistry

WEIGHTS = random.Random(7).randbytes(8_000_000)
FAST, SLOW = 500_000, 20_000
"""Bytes a second until the first have come, and from then on: the rest takes minutes, longer than any command."""


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with FaultyRegistry(bytes_per_second=FAST) as registry:
        registry.add_model("ns/big", "latest", WEIGHTS)
        registry.add_model("ns/small", "latest", b"small")
        yield registry


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """One for all tests that set no limit: each has a registry, and so jobs, of its own."""
    daemon = DaemonProcess(tmp_path_factory.mktemp("home"), {"OLLAMAPY_OFFLINE": "0"})
    yield daemon
    assert daemon.stop() == 0


@pytest.fixture(autouse=True)
def blobs_are_forgotten(daemon: DaemonProcess) -> Iterator[None]:
    """What a test has pulled, whole or in part, is nothing to the next one, whose registry may get the same port."""
    yield
    for job in daemon.request("GET", "/api/jobs").json()["jobs"]:
        assert daemon.request("DELETE", f"/api/jobs/{job['id']}").status_code == 200
    for model in daemon.request("GET", "/api/tags").json()["models"]:
        assert daemon.request("DELETE", "/api/delete", {"model": model["name"]}).status_code == 200
    for path in (daemon.home / "models" / "blobs").iterdir():
        path.unlink()


def run(daemon: DaemonProcess, *words: str) -> "subprocess.CompletedProcess[str]":
    env = {**daemon.env, "OLLAMA_HOST": daemon.address}
    command = [sys.executable, "-m", "ollamapy", *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=180, check=False)


def jobs(daemon: DaemonProcess, where: str) -> list[dict[str, Any]]:
    """The jobs that pull from the host `where`."""
    found: list[dict[str, Any]] = daemon.request("GET", "/api/jobs").json()["jobs"]
    return [job for job in found if job["model"].startswith(where)]


def await_bytes(daemon: DaemonProcess, registry: FaultyRegistry) -> str:
    """The number of the only job, once some bytes have come. The others come slowly."""
    wait_until(lambda: any(job["completed"] for job in jobs(daemon, registry.host)), "some bytes")
    registry.bytes_per_second = SLOW
    return str(jobs(daemon, registry.host)[0]["id"])


class Client(threading.Thread):
    """A client that follows the pull of the big model."""

    def __init__(self, daemon: DaemonProcess, registry: FaultyRegistry) -> None:
        super().__init__(daemon=True)
        self.statuses: list[str] = []
        self.daemon_process, self.name_of_model = daemon, f"{registry.host}/ns/big"
        self.start()

    def run(self) -> None:
        for line in self.daemon_process.stream("/api/pull", model=self.name_of_model, insecure=True):
            self.statuses.append(line.get("status", line.get("error", "")))


def first_bytes(registry: FaultyRegistry) -> list[int]:
    """Where each request for the big blob began, but for the one that looks for redirects."""
    digest = registry.add_blob(WEIGHTS)
    ranges = [asked.headers.get("range", "bytes=0-") for asked in registry.asked("GET", digest)]
    return [int(asked[len("bytes=") :].partition("-")[0]) for asked in ranges if asked != "bytes=0-0"]


def blob(daemon: DaemonProcess, registry: FaultyRegistry) -> Path:
    return daemon.home / "models" / "blobs" / registry.add_blob(WEIGHTS).replace(":", "-")


def test_a_pause_stops_the_bytes_and_a_resume_brings_the_rest(registry: FaultyRegistry, daemon: DaemonProcess) -> None:
    client = Client(daemon, registry)
    number = await_bytes(daemon, registry)
    (job,) = jobs(daemon, registry.host)
    assert (job["kind"], job["model"], job["status"]) == ("pull", f"{registry.host}/ns/big:latest", "running")

    paused = run(daemon, "jobs", "pause", number)
    assert paused.stdout.splitlines()[1].split()[2] == "paused", paused.stderr
    words = f"paused, ollamapy jobs resume {number} goes on"
    wait_until(lambda: words in client.statuses, "the client to be told")
    registry.bytes_per_second = 0
    asked = first_bytes(registry)
    daemon.post("/api/pull", model=f"{registry.host}/ns/small", insecure=True)
    (still,) = [found for found in jobs(daemon, registry.host) if found["id"] == job["id"]]
    assert (still["status"], still["bytes_per_second"]) == ("paused", 0)
    assert 0 < still["completed"] < still["total"]
    assert first_bytes(registry) == asked
    assert not blob(daemon, registry).exists()

    assert run(daemon, "jobs", "resume", number).returncode == 0
    client.join(60)
    assert client.statuses[-1] == "success"
    assert first_bytes(registry)[-1] > 0
    assert blob(daemon, registry).read_bytes() == WEIGHTS
    assert {found["status"] for found in jobs(daemon, registry.host)} == {"done"}


def test_a_cancelled_pull_leaves_what_came_for_the_next_one(registry: FaultyRegistry, daemon: DaemonProcess) -> None:
    name = f"{registry.host}/ns/big"
    said = run(daemon, "pull", name, "--insecure", "--detach")
    number = await_bytes(daemon, registry)
    assert said.stdout == f"job {number} pulls {name}:latest\n"

    assert run(daemon, "jobs", "cancel", number).stdout.splitlines()[1].split()[2] == "cancelled"

    assert list(blob(daemon, registry).parent.glob("*-partial"))
    assert not blob(daemon, registry).exists()
    registry.bytes_per_second = 0
    assert daemon.post("/api/pull", model=name, insecure=True) == {"status": "success"}
    assert first_bytes(registry)[-1] > 0
    assert blob(daemon, registry).read_bytes() == WEIGHTS


def test_a_client_learns_that_somebody_cancelled_its_pull(registry: FaultyRegistry, daemon: DaemonProcess) -> None:
    client = Client(daemon, registry)
    number = await_bytes(daemon, registry)

    assert daemon.request("DELETE", f"/api/jobs/{number}").json()["status"] == "cancelled"

    client.join(60)
    assert client.statuses[-1] == f"the pull of {registry.host}/ns/big:latest was cancelled"


def test_a_client_that_leaves_ends_its_job_and_not_the_one_in_the_background(
    registry: FaultyRegistry, daemon: DaemonProcess
) -> None:
    registry.bytes_per_second = SLOW
    name = f"{registry.host}/ns/big"
    daemon.post("/api/jobs", model=name, insecure=True)
    with daemon.client.stream("POST", "/api/pull", json={"model": name, "insecure": True}) as response:
        lines = response.iter_lines()
        wait_until(lambda: "total" in json.loads(next(lines)), "progress")

    def statuses() -> list[str]:
        return [job["status"] for job in jobs(daemon, registry.host)]

    wait_until(lambda: statuses() == ["running", "cancelled"], "the job to end")
    registry.bytes_per_second = 0
    wait_until(lambda: statuses()[0] == "done", "the other job")
    assert len(first_bytes(registry)) == 1


@pytest.mark.parametrize("where", ["request", "environment", "file"])
def test_a_limit_holds_wherever_it_is_set(
    registry: FaultyRegistry, start: Callable[..., DaemonProcess], tmp_path: Path, where: str
) -> None:
    """No time is too long for it, but one is too short: 1.5 MB at 1 MB a second."""
    registry.bytes_per_second = 0
    registry.add_model("ns/m", "latest", WEIGHTS[:1_500_000])
    (tmp_path / "home").mkdir()
    if where == "file":
        (tmp_path / "home" / "config.yaml").write_text("limit_rate: 1MB\n")
    daemon = start(OLLAMAPY_OFFLINE="0", **({"OLLAMAPY_LIMIT_RATE": "1MB"} if where == "environment" else {}))
    begun = time.monotonic()

    fields = {"limit_rate": 1_000_000} if where == "request" else {}
    assert daemon.post("/api/pull", model=f"{registry.host}/ns/m", insecure=True, **fields) == {"status": "success"}

    assert time.monotonic() - begun > 1.0


def test_what_is_wrong_with_a_job_is_said(daemon: DaemonProcess) -> None:
    def found() -> list[dict[str, Any]]:
        return jobs(daemon, "nowhere.invalid")

    unknown = run(daemon, "jobs", "pause", "777")
    assert (unknown.returncode, unknown.stderr.splitlines()[0]) == (1, "Error: job '777' not found")
    assert daemon.request("POST", "/api/jobs", {"model": "a b"}).json()["error"] == "invalid model name"
    assert daemon.request("POST", "/api/jobs", {"model": "nowhere.invalid/a/b", "limit_rate": -1}).status_code == 400
    assert found() == []
    number = daemon.post("/api/jobs", model="nowhere.invalid/a/b")["id"]
    wait_until(lambda: found()[0]["status"] == "failed", "the name to be looked up in vain", seconds=240)
    assert found()[0]["error"].startswith("pull model manifest: ")
    assert daemon.request("POST", f"/api/jobs/{number}/resume").status_code == 400
    assert daemon.request("DELETE", f"/api/jobs/{number}").status_code == 200
    assert found() == []
