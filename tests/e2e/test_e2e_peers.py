"""Daemons that fetch from each other: by name, by digest before the registry, and instead of one that is away."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes import patient_daemon
from fakes.daemon_process import DaemonProcess, wait_until
from fakes.faulty_registry import FOR_EVER, FaultyRegistry, cut, serve, status
from fakes.gguf_files import echo_gguf

WEIGHTS = echo_gguf()
NOBODY = "127.0.0.1:1"
"""An address where nothing listens."""

Start = Callable[..., DaemonProcess]


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A daemon that has `echo`, and `h.example/ns/Mine:v1` made of it."""
    daemon = DaemonProcess(tmp_path_factory.mktemp("peer"), {"OLLAMAPY_OFFLINE": "0"})
    assert daemon.post("/api/pull", model="echo") == {"status": "success"}
    assert daemon.post("/api/create", model="h.example/ns/Mine:v1", **{"from": "echo"}, system="be kind")
    yield daemon
    assert daemon.stop() == 0


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts daemons that never take a peer for dead because the machine is busy."""
    started: list[DaemonProcess] = []

    def make(name: str = "home", **env: str) -> DaemonProcess:
        (tmp_path / name).mkdir()
        started.append(DaemonProcess(tmp_path / name, env, program=("-P", patient_daemon.__file__)))
        return started[-1]

    yield make
    for daemon in started:
        daemon.stop()


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with FaultyRegistry() as registry:
        registry.add_model("ns/parrot", "latest", WEIGHTS, system=b"be kind")
        yield registry


@pytest.fixture
def liar() -> Iterator[FaultyRegistry]:
    """A peer that says it has everything, and sends something else."""
    with FaultyRegistry() as liar:
        yield liar


def statuses(daemon: DaemonProcess, **body: object) -> list[str]:
    lines = list(daemon.stream("/api/pull", **body))
    return list(dict.fromkeys(line.get("status") or line["error"] for line in lines))


def digests(daemon: DaemonProcess) -> dict[str, str]:
    return {model["name"]: model["digest"] for model in daemon.request("GET", "/api/tags").json()["models"]}


def answers(daemon: DaemonProcess, model: str) -> bool:
    return daemon.post("/api/generate", model=model, prompt="hi", raw=True).get("response") == "hi"


def test_any_name_comes_from_a_peer_and_keeps_its_name_and_digest(peer: DaemonProcess, start: Start) -> None:
    daemon = start()

    said = [statuses(daemon, model=name, from_peer=peer.address) for name in ("echo", "h.example/ns/mine:v1")]

    assert all(each[1] == f"pulling manifest from the peer {peer.address}" for each in said)
    assert [each[-1] for each in said] == ["success", "success"]
    assert digests(daemon).keys() == {"echo:latest", "h.example/ns/mine:v1"}
    assert sorted(digests(daemon).values()) == sorted(digests(peer).values())
    assert answers(daemon, "echo")


def test_the_command_takes_the_peer(peer: DaemonProcess, start: Start) -> None:
    daemon = start()
    command = [sys.executable, "-m", "ollamapy", "pull", "--from-peer", peer.address, "echo"]
    env = {**daemon.env, "OLLAMA_HOST": daemon.address}

    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=180)

    assert done.returncode == 0, done.stderr
    assert digests(daemon)["echo:latest"] == digests(peer)["echo:latest"]


@pytest.mark.parametrize(
    ("host", "model", "said"),
    [
        ("not a host", "echo", "is no peer"),
        ("http://h/path", "echo", "is no peer"),
        ("0[0", "echo", "is no peer"),
        (NOBODY, "echo", "pull model manifest: "),
        ("", "nobody", "file does not exist"),
        ("", "https://h.example/x.gguf", "a peer has models, not URLs"),
    ],
)
def test_a_peer_that_is_none_or_lacks_the_model_is_an_error(
    peer: DaemonProcess, start: Start, host: str, model: str, said: str
) -> None:
    assert said in statuses(start(), model=model, from_peer=host or peer.address)[-1]


def test_blobs_come_from_a_peer_when_the_registry_has_given_the_manifest(
    peer: DaemonProcess, start: Start, registry: FaultyRegistry
) -> None:
    name = f"{registry.host}/ns/parrot"
    assert peer.post("/api/pull", model=name, insecure=True) == {"status": "success"}
    before = len(registry.asked("GET", "/blobs/"))
    daemon = start(OLLAMAPY_OFFLINE="0", OLLAMAPY_PEERS=f"{NOBODY}, {peer.address}")

    assert daemon.post("/api/pull", model=name, insecure=True) == {"status": "success"}

    assert len(registry.asked("GET", "/manifests/")) == 2
    assert len(registry.asked("GET", "/blobs/")) == before > 0
    assert daemon.log.count("blob from peers") == 3
    assert daemon.log.count("peer dropped") == 1
    assert answers(daemon, name)


@pytest.mark.parametrize("lie", ["other bytes", "longer", "403"])
def test_a_lying_peer_is_dropped_and_the_blob_comes_from_elsewhere(
    start: Start, registry: FaultyRegistry, liar: FaultyRegistry, lie: str
) -> None:
    name = f"{registry.host}/ns/parrot"
    for digest, data in registry.blobs.items():
        liar.blobs[digest] = data + b"!" if lie == "longer" else bytes(len(data))
    if lie == "403":
        liar.fault("GET", "/blobs/", status(403), times=FOR_EVER)
    daemon = start(OLLAMAPY_OFFLINE="0", OLLAMAPY_PEERS=liar.host)

    assert daemon.post("/api/pull", model=name, insecure=True) == {"status": "success"}

    assert daemon.log.count("peer dropped") == 1
    assert len({asked.path for asked in liar.asked("HEAD")}) == 1
    assert answers(daemon, name)


def test_a_wrong_part_that_a_peer_left_does_not_spoil_the_registrys_blob(
    start: Start, registry: FaultyRegistry, liar: FaultyRegistry
) -> None:
    """The peer sends a wrong beginning and then refuses, so that the registry goes on behind it at first."""
    name = f"{registry.host}/ns/parrot"
    for digest, data in registry.blobs.items():
        liar.blobs[digest] = bytes(len(data))
    liar.fault("GET", "/blobs/", serve(b"!"))  # the probe for the direct URL
    liar.fault("GET", "/blobs/", cut(100))
    liar.fault("GET", "/blobs/", status(403), times=FOR_EVER)
    daemon = start(OLLAMAPY_OFFLINE="0", OLLAMAPY_PEERS=liar.host)

    assert daemon.post("/api/pull", model=name, insecure=True) == {"status": "success"}

    assert "wrong bytes, parts are fetched again from others" in daemon.log
    assert answers(daemon, name)


def test_offline_a_peer_may_say_what_the_model_is_and_the_pull_says_so(peer: DaemonProcess, start: Start) -> None:
    daemon = start(OLLAMAPY_PEERS=peer.address)

    said = statuses(daemon, model="h.example/ns/Mine:v1")

    assert said[:2] == ["pulling manifest", f"pulling manifest from the peer {peer.address}"]
    assert digests(daemon)["h.example/ns/Mine:v1"] == digests(peer)["h.example/ns/Mine:v1"]
    assert "no peer has it" in statuses(daemon, model="h.example/ns/other")[-1]


def test_a_peer_answers_for_a_registry_that_is_away_and_not_for_one_that_says_no(
    peer: DaemonProcess, start: Start, registry: FaultyRegistry
) -> None:
    away = f"{NOBODY}/ns/mine:v1"
    assert peer.request("POST", "/api/copy", {"source": "echo", "destination": away}).status_code == 200
    refused = f"{registry.host}/ns/mine:v1"
    assert peer.request("POST", "/api/copy", {"source": "echo", "destination": refused}).status_code == 200
    daemon = start(OLLAMAPY_OFFLINE="0", OLLAMAPY_PEERS=peer.address)

    assert statuses(daemon, model=away, insecure=True)[-1] == "success"
    assert "file does not exist" in statuses(daemon, model=refused, insecure=True)[-1]


def test_daemons_that_look_for_each_other_find_each_other_and_share_blobs_but_no_manifests(
    start: Start, registry: FaultyRegistry
) -> None:
    name, away = f"{registry.host}/ns/parrot", f"{NOBODY}/ns/mine:v1"
    first = start("first", OLLAMAPY_OFFLINE="0", OLLAMAPY_DISCOVER="1")
    assert first.post("/api/pull", model=name, insecure=True) == {"status": "success"}
    assert first.request("POST", "/api/copy", {"source": name, "destination": away}).status_code == 200
    before = registry.sent_bytes
    second = start("second", OLLAMAPY_OFFLINE="0", OLLAMAPY_DISCOVER="1")
    wait_until(lambda: f"peer found peer={first.address}" in second.log, "the first to be found")

    assert second.post("/api/pull", model=name, insecure=True) == {"status": "success"}

    assert second.log.count(f"peers={first.address}") == 3
    assert registry.sent_bytes - before < 2000  # the manifest
    assert "success" not in statuses(second, model=away, insecure=True)[-1]
    first.stop()
    wait_until(lambda: "peer gone" in second.log, "the first to be missed")
