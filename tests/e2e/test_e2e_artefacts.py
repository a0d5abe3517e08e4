"""Artefacts that other programs made, out of Debian's docker-registry; and one that is written for them."""

import gzip
import hashlib
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import oras.client
import pytest
from fakes.daemon_process import DaemonProcess
from fakes.gguf_files import echo_gguf, tiny_model
from fakes.oci_registry import OCI_MANIFEST, Registry, running

WEIGHTS = echo_gguf()
DOCKER = "application/vnd.docker.ai."
DOCKER_CONFIG = (
    f"{DOCKER}model.config.v0.1+json",
    json.dumps(
        {"config": {"format": "gguf", "architecture": "echo", "parameters": "1 B", "quantization": "F16"}}
    ).encode(),
)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with running(tmp_path_factory.mktemp("docker-registry")) as registry:
        yield registry


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    daemon = DaemonProcess(tmp_path_factory.mktemp("home"), {"OLLAMAPY_OFFLINE": "0"})
    yield daemon
    assert daemon.stop() == 0


def pull(daemon: DaemonProcess, registry: Registry, name: str) -> str:
    """The name that the model has here."""
    said = list(daemon.stream("/api/pull", model=f"oci://{registry.address}/{name}", insecure=True))
    assert said[-1] == {"status": "success"}, said
    return f"{registry.address}/{name}"


def answer(daemon: DaemonProcess, name: str) -> str:
    return str(daemon.post("/api/generate", model=name, prompt="hello", raw=True)["response"])


def test_a_model_artefact_of_docker_is_pulled_and_kept_byte_for_byte(daemon: DaemonProcess, registry: Registry) -> None:
    layers = [
        (f"{DOCKER}gguf.v3", WEIGHTS, ""),
        (f"{DOCKER}license", b"be good", ""),
        (f"{DOCKER}chat.template.jinja", b"[{{ messages[-1].content }}]", ""),
    ]
    registry.push_artefact("ai/parrot", "v1", DOCKER_CONFIG, layers)
    plain = daemon.post("/api/pull", model=f"{registry.address}/ai/parrot:v1", insecure=True)
    assert "is pulled by oci://" in plain["hint"]

    name = pull(daemon, registry, "ai/parrot:v1")

    assert answer(daemon, name) == "hello"
    shown = daemon.post("/api/show", model=name)
    assert shown["license"] == "be good"
    details = shown["details"]
    assert [details[key] for key in ("family", "parameter_size", "quantization_level")] == ["echo", "1B", "F16"]
    chat = daemon.post("/api/chat", model=name, messages=[{"role": "user", "content": "hi"}])
    assert chat["message"]["content"] == "[hi]"
    with registry.client as client:
        sent = client.get("/v2/ai/parrot/manifests/v1", headers={"Accept": OCI_MANIFEST}).content
    listed = {model["name"]: model for model in daemon.request("GET", "/api/tags").json()["models"]}
    assert listed[name]["digest"] == hashlib.sha256(sent).hexdigest()


def test_a_damaged_artefact_is_fetched_again_by_the_words_that_brought_it(
    daemon: DaemonProcess, registry: Registry
) -> None:
    registry.push_artefact("ai/mend", "v1", DOCKER_CONFIG, [(f"{DOCKER}gguf.v3", tiny_model("mamba"), "")])
    name = pull(daemon, registry, "ai/mend:v1")
    blob = Path(daemon.post("/api/resolve", model=name)["weights"])
    blob.write_bytes(b"damaged")

    last = list(daemon.stream("/api/fsck", repair=True))[-1]

    assert (last["num_faults"], last["num_repaired"]) == (1, 1), last
    assert blob.read_bytes() == tiny_model("mamba")


def test_a_repository_may_have_any_number_of_parts(daemon: DaemonProcess, registry: Registry) -> None:
    for repository, name in (("solo", "library/solo"), ("org/team.a/deep", "org-team-a/deep")):
        registry.push_artefact(repository, "v1", DOCKER_CONFIG, [(f"{DOCKER}gguf.v3", WEIGHTS, "")])

        pull(daemon, registry, f"{repository}:v1")

        assert answer(daemon, f"{registry.address}/{name}:v1") == "hello"


def test_a_file_that_is_named_is_enough(daemon: DaemonProcess, registry: Registry) -> None:
    config = ("application/vnd.cncf.model.config.v1+json", b'{"descriptor":{"name":"x"}}')
    raw = "application/vnd.cncf.model.weight.v1.raw"
    registry.push_artefact(
        "ns/pack", "latest", config, [(raw, WEIGHTS, "parrot.gguf"), (raw, b"# read me", "README.md")]
    )

    name = pull(daemon, registry, "ns/pack:latest")

    assert answer(daemon, name) == "hello"
    assert daemon.post("/api/show", model=name)["details"]["family"] == "echo"


def image_layer(*files: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, data in files:
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("models/model.file")
        link.type, link.linkname = tarfile.SYMTYPE, files[0][0].rpartition("/")[2]
        tar.addfile(link)
    return buffer.getvalue()


def test_an_image_as_ramalama_makes_it_is_unpacked(daemon: DaemonProcess, registry: Registry) -> None:
    config = ("application/vnd.oci.image.config.v1+json", b'{"architecture":"amd64","os":"linux"}')
    layer = gzip.compress(image_layer(("models/parrot.gguf", WEIGHTS), ("models/other", b"x" * 9)))
    registry.push_artefact("ns/image", "latest", config, [("application/vnd.oci.image.layer.v1.tar+gzip", layer, "")])

    name = pull(daemon, registry, "ns/image:latest")

    assert answer(daemon, name) == "hello"
    archive = daemon.home / "models" / "blobs" / f"sha256-{hashlib.sha256(layer).hexdigest()}"
    assert not archive.exists()


@pytest.mark.parametrize(
    ("media_type", "data", "said"),
    [
        (f"{DOCKER}safetensors", b"x", "has no GGUF file"),
        ("application/vnd.oci.image.layer.v1.tar", image_layer(("readme", b"x")), "no GGUF file in its archives"),
        ("application/vnd.oci.image.layer.v1.tar", b"no archive" * 99, "is no archive that can be read"),
    ],
)
def test_what_holds_no_gguf_file_is_an_error_and_leaves_nothing(
    daemon: DaemonProcess, registry: Registry, media_type: str, data: bytes, said: str
) -> None:
    config = ("application/vnd.oci.image.config.v1+json", b"{}")
    registry.push_artefact("ns/none", "latest", config, [(media_type, data, "")])

    answer = daemon.post("/api/pull", model=f"oci://{registry.address}/ns/none", insecure=True)

    assert said in answer["error"]
    assert not (daemon.home / "models" / "blobs" / f"sha256-{hashlib.sha256(data).hexdigest()}").exists()
    assert "not found" in daemon.post("/api/show", model=f"{registry.address}/ns/none")["error"]


def test_what_is_pushed_for_docker_is_read_by_oras_and_by_us(
    daemon: DaemonProcess, registry: Registry, tmp_path: Path
) -> None:
    digest = f"sha256:{hashlib.sha256(tiny_model()).hexdigest()}"
    daemon.client.post(f"/api/blobs/{digest}", content=tiny_model())
    name = f"{registry.address}/ns/mine:v1"
    daemon.post("/api/create", model=name, files={"m.gguf": digest}, system="be kind", license="be good")

    env = {**daemon.env, "OLLAMA_HOST": daemon.address}
    command = [sys.executable, "-m", "ollamapy", "push", name, "--insecure", "--format", "docker"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    assert "left out, Docker's format has no place for it: system" in done.stderr
    client = oras.client.OrasClient(hostname=registry.address, insecure=True)
    manifest = client.get_manifest(name, allowed_media_type=[OCI_MANIFEST])
    assert manifest["config"]["mediaType"] == DOCKER_CONFIG[0]
    assert {layer["mediaType"]: layer["digest"] for layer in manifest["layers"]}[f"{DOCKER}gguf.v3"] == digest
    client.download_blob(name, manifest["config"]["digest"], str(tmp_path / "config"))
    config = json.loads((tmp_path / "config").read_bytes())
    assert (config["config"]["architecture"], config["config"]["quantization"]) == ("llama", "F16")
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]

    daemon.client.request("DELETE", "/api/delete", json={"model": name})
    shown = daemon.post("/api/show", model=pull(daemon, registry, "ns/mine:v1"))
    assert (shown["license"], shown["details"]["family"]) == ("be good", "llama")


def test_a_format_that_nobody_knows_is_refused(daemon: DaemonProcess) -> None:
    assert "'tarball' is not known" in daemon.post("/api/push", model="a/b/c", format="tarball")["error"]
