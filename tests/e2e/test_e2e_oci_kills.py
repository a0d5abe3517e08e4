"""kill -9 of the daemon at random moments of a pull: nothing is damaged, and what came is not fetched again.

OLLAMAPY_TEST_KILLS sets the number of moments, OLLAMAPY_TEST_SEED which ones they are.
"""

import json
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from fakes.daemon_process import DEADLINE_SECONDS, DaemonProcess, wait_until
from fakes.faulty_registry import FaultyRegistry
from fakes.store_files import blob_path

NUM_KILLS = int(os.environ.get("OLLAMAPY_TEST_KILLS", "20"))
MB = 1 << 20
WEIGHTS = random.Random(3).randbytes(64 * MB)
PART = 16 * MB

Moment = Callable[["Pull"], bool]


class Pull(threading.Thread):
    """A pull by a client that notes the lines until the daemon is gone."""

    def __init__(self, daemon: DaemonProcess, registry: FaultyRegistry) -> None:
        super().__init__(daemon=True)
        self.daemon_process, self.registry = daemon, registry
        self.num_before = registry.sent_bytes
        self.statuses: list[str] = []
        self.start()

    def run(self) -> None:
        try:
            for line in self.daemon_process.stream("/api/pull", model=name(self.registry), insecure=True):
                self.statuses.append(line.get("status", line.get("error", "")))
        except httpx.TransportError:
            pass

    @property
    def num_sent(self) -> int:
        return self.registry.sent_bytes - self.num_before


def name(registry: FaultyRegistry) -> str:
    return f"{registry.host}/ns/m:latest"


def moment(chance: random.Random) -> Moment:
    """When to kill: after so many bytes, or when the daemon says that it has come so far."""
    count, status = chance.randrange(24 * MB), chance.choice(["pulling manifest", "verifying", "writing", "success"])
    if chance.random() < 0.75:
        return lambda pull: pull.num_sent >= count
    return lambda pull: any(seen.startswith(status) for seen in pull.statuses)


def seed_parts(root: Path) -> None:
    """What Ollama leaves of a pull that has only just begun, in smaller parts than it would make."""
    partial = Path(f"{blob_path(root, WEIGHTS)}-partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    with partial.open("wb") as file:
        file.truncate(len(WEIGHTS))
    for n, offset in enumerate(range(0, len(WEIGHTS), PART)):
        state = {"N": n, "Offset": offset, "Size": PART, "Completed": 0}
        Path(f"{partial}-{n}").write_text(json.dumps(state))


def num_here(root: Path) -> int:
    """Bytes of the weights that the states say are here; all of them when they are a blob."""
    if blob_path(root, WEIGHTS).exists():
        return len(WEIGHTS)
    states = blob_path(root, WEIGHTS).parent.glob("*-partial-*")
    return sum(json.loads(state.read_text())["Completed"] for state in states)


def num_asked(registry: FaultyRegistry, since: int) -> int:
    """Bytes of the weights that requests asked for."""
    ranges = [asked.headers["range"] for asked in registry.requests[since:] if "range" in asked.headers]
    spans = [span.removeprefix("bytes=").split("-") for span in ranges]
    return sum(int(end) - int(start) + 1 for start, end in spans if int(end) < len(WEIGHTS))


def fsck(daemon: DaemonProcess) -> list[dict[str, object]]:
    """The faults of the store."""
    return [line for line in daemon.stream("/api/fsck", deep=True) if line.get("fault") or line.get("error")]


@pytest.mark.slow
@pytest.mark.timeout(600 + 30 * NUM_KILLS)
def test_a_pull_survives_being_killed_at_any_moment(tmp_path: Path) -> None:
    chance = random.Random(int(os.environ.get("OLLAMAPY_TEST_SEED", "1")))
    root = tmp_path / "models"
    seed_parts(root)
    with FaultyRegistry(bytes_per_second=24 * MB) as registry:
        registry.add_model("ns/m", "latest", WEIGHTS, system=b"be kind", license=b"MIT")
        for _ in range(NUM_KILLS):
            daemon = DaemonProcess(tmp_path, {"OLLAMAPY_OFFLINE": "0"})
            assert fsck(daemon) == []
            has_come = moment(chance)
            before, since = num_here(root), len(registry.requests)
            pull = Pull(daemon, registry)
            wait_until(lambda: has_come(pull) or not pull.is_alive(), "the moment to come")  # noqa: B023
            daemon.process.kill()
            pull.join(DEADLINE_SECONDS)
            daemon.stop()

            assert num_here(root) >= before
            texts = 2000
            assert num_asked(registry, since) <= len(WEIGHTS) - before + 0.02 * before + texts
            if "success" in pull.statuses:
                _start_over(tmp_path, root, registry)

        daemon = DaemonProcess(tmp_path, {"OLLAMAPY_OFFLINE": "0"})
        assert daemon.post("/api/pull", model=name(registry), insecure=True) == {"status": "success"}
        assert fsck(daemon) == []
        assert blob_path(root, WEIGHTS).read_bytes() == WEIGHTS
        assert len(list((root / "blobs").glob("sha256-*"))) == 4
        assert daemon.stop() == 0


def _start_over(home: Path, root: Path, registry: FaultyRegistry) -> None:
    """A pull that was over before the moment came: the next one begins at nothing."""
    daemon = DaemonProcess(home)
    daemon.client.request("DELETE", "/api/delete", json={"model": name(registry)}).raise_for_status()
    assert daemon.stop() == 0
    seed_parts(root)
