"""export and import between two daemons: the same models come out, and hostile archives do nothing."""

import hashlib
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.daemon_process import DaemonProcess
from fakes.pseudo_terminal import PseudoTerminal

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
NAMES = ["echo", "h.example/ns/Mine:v1"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    daemon = DaemonProcess(tmp_path_factory.mktemp("source"))
    assert daemon.post("/api/pull", model="echo") == {"status": "success"}
    assert daemon.post("/api/create", model=NAMES[1], **{"from": "echo"}, system="be kind")
    yield daemon
    assert daemon.stop() == 0


@pytest.fixture(scope="module")
def shared_target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A daemon that refused archives are tried on: it must stay empty."""
    daemon = DaemonProcess(tmp_path_factory.mktemp("target"))
    yield daemon
    assert daemon.request("GET", "/api/tags").json() == {"models": []}
    assert daemon.stop() == 0


@pytest.fixture
def target(tmp_path: Path) -> Iterator[DaemonProcess]:
    daemon = DaemonProcess(tmp_path)
    yield daemon
    assert daemon.stop() == 0


@pytest.fixture(scope="module")
def exported(source: DaemonProcess, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("archive") / "models.tar"
    done = run(source, "export", *NAMES, "-o", str(path))
    assert done.returncode == 0, done.stderr
    return path.read_bytes()


def run(daemon: DaemonProcess, *words: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "ollamapy", *words]
    env = {**daemon.env, "OLLAMA_HOST": daemon.address}
    return subprocess.run(command, env=env, input=stdin, capture_output=True, timeout=60)


def tags(daemon: DaemonProcess) -> dict[str, str]:
    return {model["name"]: model["digest"] for model in daemon.request("GET", "/api/tags").json()["models"]}


def tar(*members: tuple[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def index(name: str, manifest: bytes, digest: str = "") -> bytes:
    entry = {
        "mediaType": MANIFEST_TYPE,
        "digest": digest or f"sha256:{sha256(manifest)}",
        "size": len(manifest),
        "annotations": {"org.opencontainers.image.ref.name": name},
    }
    return json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()


def test_models_of_all_hosts_come_out_as_they_went_in(
    source: DaemonProcess, target: DaemonProcess, exported: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "models.tar"
    path.write_bytes(exported)

    done = run(target, "import", str(path))

    assert (done.returncode, done.stdout) == (0, b"imported h.example/ns/Mine:v1\nimported echo:latest\n"), done.stderr
    assert tags(target) == tags(source)
    assert target.post("/api/generate", model="echo", prompt="hi", raw=True)["response"] == "hi"
    assert run(target, "fsck", "--deep").returncode == 0


def test_an_archive_may_come_through_a_pipe(source: DaemonProcess, target: DaemonProcess, exported: bytes) -> None:
    piped = run(source, "export", *NAMES, "-o", "-")

    assert piped.stdout == exported
    assert run(target, "import", stdin=piped.stdout).returncode == 0
    assert tags(target) == tags(source)


def test_every_tar_program_can_read_it_and_its_files_are_what_their_names_say(exported: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(exported)) as archive:
        members = archive.getmembers()
        contents = {member.name: archive.extractfile(member).read() for member in members}  # type: ignore[union-attr]

    assert [member.name for member in members[:2]] == ["oci-layout", "index.json"]
    assert all(name == f"blobs/sha256/{sha256(data)}" for name, data in list(contents.items())[2:])
    assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in members} == {(0, 0, 0, "", 0o644)}
    names = [
        m["annotations"]["org.opencontainers.image.ref.name"] for m in json.loads(contents["index.json"])["manifests"]
    ]
    assert names == ["h.example/ns/Mine:v1", "registry.ollama.ai/library/echo:latest"]


def test_the_order_of_the_names_does_not_change_a_byte(source: DaemonProcess, exported: bytes) -> None:
    assert run(source, "export", *reversed(NAMES), "-o", "-").stdout == exported


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.6, 0.95, 1.0])
def test_a_broken_export_goes_on_to_the_same_bytes(
    source: DaemonProcess, exported: bytes, tmp_path: Path, share: float
) -> None:
    path = tmp_path / "models.tar"
    Path(f"{path}.partial").write_bytes(exported[: int(len(exported) * share)])

    assert run(source, "export", *NAMES, "-o", str(path)).returncode == 0

    assert path.read_bytes() == exported
    assert not Path(f"{path}.partial").exists()


@pytest.mark.parametrize("at", [0, 600, 1600, -2000, -1])
def test_a_partial_file_with_a_wrong_byte_is_written_again_from_there(
    source: DaemonProcess, exported: bytes, tmp_path: Path, at: int
) -> None:
    path, broken = tmp_path / "models.tar", bytearray(exported + b"more")
    broken[at] ^= 1
    Path(f"{path}.partial").write_bytes(broken)

    assert run(source, "export", *NAMES, "-o", str(path)).returncode == 0

    assert path.read_bytes() == exported


def test_an_export_of_nobody_says_so_and_leaves_no_file(source: DaemonProcess, tmp_path: Path) -> None:
    done = run(source, "export", "nobody", "-o", str(tmp_path / "models.tar"))

    assert (done.returncode, list(tmp_path.iterdir())) == (1, [])
    assert b"model 'nobody:latest' not found" in done.stderr


MANIFEST = json.dumps(
    {"schemaVersion": 2, "layers": [{"mediaType": "x", "digest": f"sha256:{sha256(b'w')}", "size": 1}]}
).encode()
BLOB = f"blobs/sha256/{sha256(MANIFEST)}"
WEIGHTS = f"blobs/sha256/{sha256(b'w')}"


def linked(name: str, target: str) -> Callable[[], bytes]:
    def make() -> bytes:
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w") as archive:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
        return file.getvalue()

    return make


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "ends too early"),
        (b"no tar at all" * 100, "not a tar archive"),
        (tar(("index.json", b"{")), "index.json cannot be read"),
        (tar(("index.json", index("m", MANIFEST))), "does not hold its manifest"),
        (tar(("index.json", index("../../m", MANIFEST)), (BLOB, MANIFEST), (WEIGHTS, b"w")), "invalid model name"),
        (tar(("../../etc/passwd", b"x")), "does not belong"),
        (tar(("/etc/passwd", b"x")), "does not belong"),
        (tar((f"blobs/sha256/../{sha256(b'')}", b"")), "does not belong"),
        (linked(BLOB, "/etc/passwd")(), "no regular file"),
        (tar(("index.json", index("m", MANIFEST)), (BLOB, MANIFEST[:-1] + b" ")), "not what its name says"),
        (tar(("index.json", index("m", MANIFEST)), (BLOB, MANIFEST), (WEIGHTS, b"v")), "digest mismatch"),
        (tar(("index.json", index("m", MANIFEST)), (BLOB, MANIFEST)), "which is not here"),
        (tar(("index.json", index("m", b"{}")), (f"blobs/sha256/{sha256(b'{}')}", b"{}")), "schema"),
        (tar((BLOB, MANIFEST), ("oci-layout", b"{}")), "no index.json"),
        (tar(("index.json", index("m", MANIFEST)), (BLOB, MANIFEST), (WEIGHTS, b"w"))[:2560], "ends too early"),
    ],
)
def test_a_hostile_or_broken_archive_is_refused_and_links_nothing(
    shared_target: DaemonProcess, tmp_path: Path, data: bytes, said: str
) -> None:
    path = tmp_path / "models.tar"
    path.write_bytes(data)

    done = run(shared_target, "import", str(path))

    assert done.returncode == 1
    assert said in done.stderr.decode(), done.stderr


def test_a_stream_whose_index_comes_late_is_refused_and_the_file_is_taken(
    target: DaemonProcess, tmp_path: Path
) -> None:
    data = tar((WEIGHTS, b"w"), (BLOB, MANIFEST), ("index.json", index("h.example/ns/late:1", MANIFEST)))
    path = tmp_path / "late.tar"
    path.write_bytes(data)

    assert b"does not begin with its index.json" in run(target, "import", stdin=data).stderr
    assert run(target, "import", str(path)).stdout == b"imported h.example/ns/late:1\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [(("export", "echo", "-o", "-"), "nothing for a terminal"), (("import",), "name the archive")],
)
def test_a_terminal_is_neither_written_to_nor_read_from(words: tuple[str, ...], said: str) -> None:
    terminal = PseudoTerminal([sys.executable, "-m", "ollamapy", *words])
    try:
        terminal.expect(said)
        assert terminal.wait() == 1
    finally:
        terminal.close()
