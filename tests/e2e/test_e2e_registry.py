"""The daemon as a registry for other machines: what OCI clients ask of one, and where it stays closed."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.daemon_process import DaemonProcess


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    daemon = DaemonProcess(tmp_path_factory.mktemp("registry"))
    assert daemon.post("/api/pull", model="echo") == {"status": "success"}
    assert daemon.post("/api/create", model="h.example/ns/Mine:v1", **{"from": "echo"}, system="be kind")
    yield daemon
    assert daemon.stop() == 0


def manifest(daemon: DaemonProcess) -> Any:
    return daemon.request("GET", "/v2/library/echo/manifests/latest").json()


def test_the_first_question_of_every_client_is_answered(daemon: DaemonProcess) -> None:
    answer = daemon.request("GET", "/v2/")

    assert (answer.status_code, answer.headers["Docker-Distribution-API-Version"]) == (200, "registry/2.0")


def test_a_manifest_comes_byte_for_byte_by_tag_and_by_digest(daemon: DaemonProcess) -> None:
    answer = daemon.request("GET", "/v2/library/echo/manifests/latest")
    digest = f"sha256:{hashlib.sha256(answer.content).hexdigest()}"

    assert answer.headers["Docker-Content-Digest"] == digest
    assert answer.headers["Content-Type"] == "application/vnd.docker.distribution.manifest.v2+json"
    assert Path(daemon.post("/api/resolve", model="echo")["manifest"]).read_bytes() == answer.content
    assert daemon.request("GET", f"/v2/library/echo/manifests/{digest}").content == answer.content


def test_blobs_come_whole_and_in_ranges(daemon: DaemonProcess) -> None:
    layer = manifest(daemon)["layers"][0]
    path = f"/v2/library/echo/blobs/{layer['digest']}"

    whole = daemon.client.get(path)
    part = daemon.client.get(path, headers={"Range": "bytes=10-19"})
    head = daemon.client.head(path)

    assert f"sha256:{hashlib.sha256(whole.content).hexdigest()}" == layer["digest"]
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{layer['size']}"
    assert (head.status_code, int(head.headers["Content-Length"])) == (200, layer["size"])


def test_models_of_other_hosts_keep_their_host_and_names_ignore_case(daemon: DaemonProcess) -> None:
    assert daemon.request("GET", "/v2/_catalog").json() == {"repositories": ["h.example/ns/Mine", "library/echo"]}
    assert daemon.request("GET", "/v2/h.example/ns/mine/tags/list").json()["tags"] == ["v1"]
    assert daemon.request("GET", "/v2/h.example/ns/mine/manifests/v1").status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/library/nobody/manifests/latest", 404),
        ("/v2/library/nobody/tags/list", 404),
        (f"/v2/library/echo/blobs/sha256:{'0' * 64}", 404),
        ("/v2/library/echo/blobs/sha256:1", 400),
        ("/v2/library/.echo/manifests/latest", 400),
        (f"/v2/library/echo/manifests/sha256:{'0' * 64}", 404),
    ],
)
def test_what_is_not_there_is_an_error_in_a_registrys_words(daemon: DaemonProcess, path: str, status: int) -> None:
    answer = daemon.request("GET", path)

    assert answer.status_code == status
    assert answer.json()["errors"][0]["message"]


def test_a_blob_of_another_repository_is_not_given_out(daemon: DaemonProcess) -> None:
    mine = daemon.request("GET", "/v2/h.example/ns/mine/manifests/v1").json()
    system = next(layer for layer in mine["layers"] if layer["mediaType"].endswith("system"))

    assert daemon.request("GET", f"/v2/library/echo/blobs/{system['digest']}").status_code == 404


@pytest.mark.parametrize(("setting", "status"), [({}, 403), ({"OLLAMAPY_SERVE_REGISTRY": "1"}, 200)])
def test_a_daemon_that_others_reach_gives_nothing_away_unless_told(
    tmp_path: Path, setting: dict[str, str], status: int
) -> None:
    daemon = DaemonProcess(tmp_path, setting, host="0.0.0.0:0")

    assert daemon.request("GET", "/v2/_catalog").status_code == status

    assert daemon.stop() == 0
