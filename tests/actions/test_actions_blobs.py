"""Uploads over HTTP: what is stored, what is refused, and what a client that leaves half-way leaves behind."""

import hashlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.served_app import Served, served, services_for, settings_for

DATA = b"some weights" * 1000
DIGEST = "sha256:" + hashlib.sha256(DATA).hexdigest()
OTHER = "sha256:" + "0" * 64
PATIENCE_SECONDS = 120.0


def leftovers(api: Served) -> list[str]:
    """The names of files beside the blobs that are none."""
    return [path.name for path in api.store.blobs.files() if not api.store.layout.digest_of(path)]


def test_a_new_blob_is_created_and_found(api: Served) -> None:
    response = api.http.post(f"/api/blobs/{DIGEST}", content=DATA)

    assert (response.status_code, response.content) == (201, b"")
    assert api.blob(DIGEST) == DATA
    assert api.http.head(f"/api/blobs/{DIGEST}").status_code == 200
    assert leftovers(api) == []


def test_a_blob_in_many_pieces_is_one_blob(api: Served) -> None:
    pieces = [bytes([number]) * 300_000 for number in range(10)]
    digest = "sha256:" + hashlib.sha256(b"".join(pieces)).hexdigest()

    response = api.http.post(f"/api/blobs/{digest}", content=iter(pieces))

    assert response.status_code == 201
    assert api.blob(digest) == b"".join(pieces)


def test_an_empty_blob_is_a_blob(api: Served) -> None:
    digest = "sha256:" + hashlib.sha256(b"").hexdigest()

    assert api.http.post(f"/api/blobs/{digest}", content=b"").status_code == 201
    assert api.blob(digest) == b""


def test_a_blob_that_is_there_is_not_read_again(api: Served) -> None:
    api.upload(DATA)

    response = api.http.post(f"/api/blobs/{DIGEST}", content=b"something else")

    assert (response.status_code, response.content) == (200, b"")
    assert api.blob(DIGEST) == DATA


def test_another_content_is_refused_and_stays_under_its_real_digest(api: Served) -> None:
    response = api.http.post(f"/api/blobs/{OTHER}", content=DATA)

    assert response.status_code == 400
    assert response.json() == {"error": f'digest mismatch, expected "{OTHER}", got "{DIGEST}"'}
    assert api.blob(DIGEST) == DATA
    assert api.http.head(f"/api/blobs/{OTHER}").status_code == 404


@pytest.mark.parametrize(
    "digest",
    ["sha256:abc", "md5:" + "0" * 64, "0" * 64, "sha256:" + "g" * 64, "sha256:" + "0" * 65, "..", "sha256:..%2F..%2Fx"],
)
@pytest.mark.parametrize("method", ["HEAD", "POST"])
def test_what_is_no_digest_is_refused(api: Served, digest: str, method: str) -> None:
    response = api.http.request(method, f"/api/blobs/{digest}")

    assert response.status_code == (404 if digest == ".." else 400)
    assert method == "HEAD" or digest == ".." or response.json()["error"] == "invalid digest format"


def test_a_blob_that_is_not_there_is_404(api: Served) -> None:
    assert api.http.head(f"/api/blobs/{OTHER}").status_code == 404


def test_a_digest_may_be_spelled_as_the_file_is(api: Served) -> None:
    api.upload(DATA)

    assert api.http.head(f"/api/blobs/{DIGEST.replace(':', '-')}").status_code == 200
    assert api.http.head(f"/api/blobs/{DIGEST.upper().replace('SHA', 'sha')}").status_code == 200


def test_an_upload_that_breaks_off_leaves_nothing(api: Served) -> None:
    port = api.http.base_url.port or 0
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        head = f"POST /api/blobs/{DIGEST} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(DATA)}\r\n\r\n"
        connection.sendall(head.encode() + DATA[:5000])
        wait_until(lambda: bool(leftovers(api)))

    wait_until(lambda: not leftovers(api))
    assert api.store.blobs.digests() == []


def test_an_upload_that_the_shutdown_meets_ends_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    """The client never sends the rest; a daemon that waited for it would not end."""
    services = services_for(settings_for(tmp_path / "models"))
    with served(services) as api:
        connection = socket.create_connection(("127.0.0.1", api.http.base_url.port or 0), timeout=PATIENCE_SECONDS)
        head = f"POST /api/blobs/{DIGEST} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(DATA)}\r\n\r\n"
        connection.sendall(head.encode() + DATA[:5000])
        wait_until(lambda: bool(leftovers(api)))

    assert leftovers(api) == []
    assert "the server is shutting down" in received(connection, "shutting down")
    connection.close()


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Served]:
    services = services_for(settings_for(tmp_path / "models"))
    services.store.start()
    with served(services) as running:
        yield running
    services.store.close()


def test_more_than_the_disk_holds_is_refused_before_it_is_sent(full: Served) -> None:
    port = full.http.base_url.port or 0
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        head = f"POST /api/blobs/{DIGEST} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {1 << 60}\r\n\r\n"
        connection.sendall(head.encode())
        answer = received(connection, "no room for the model")

    assert answer.startswith("HTTP/1.1 500 ")
    assert "no room for the model" in answer
    assert leftovers(full) == []


def received(connection: socket.socket, wanted: str) -> str:
    """What the server says up to `wanted`, or all of it: an answer may come in parts."""
    answer = ""
    while wanted not in answer and (more := connection.recv(1000)):
        answer += more.decode()
    return answer


def wait_until(condition: object) -> None:
    """Looks until the other thread has come so far."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    assert callable(condition)
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)
