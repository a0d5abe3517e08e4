"""The application as clients see it: routes, refusals, headers. The verbs themselves are tested with the actions."""

import json
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes.gguf_files import tiny_model
from fakes.served_app import Served, served, services_for, settings_for

from ollamapy import EMULATED_VERSION, __version__
from ollamapy.errors import InvalidInput
from ollamapy.server.app import build_app


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(services_for(settings_for(tmp_path_factory.mktemp("home") / "models"))) as served_app:
        yield served_app


def test_the_root_says_that_ollama_is_running(api: Served) -> None:
    response = api.http.get("/")

    assert response.text == "Ollama is running"
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_the_version_is_the_emulated_one(api: Served) -> None:
    assert api.http.get("/api/version").json() == {"version": EMULATED_VERSION, "ollamapy": __version__}


def test_the_cloud_is_off(api: Served) -> None:
    assert api.http.get("/api/status").json() == {"cloud": {"disabled": True, "source": "env"}}
    assert api.http.get("/api/experimental/model-recommendations").json() == {"recommendations": []}


@pytest.mark.parametrize("path", ["/", "/api/version", "/api/tags"])
def test_head_answers_like_get_without_a_body(api: Served, path: str) -> None:
    response = api.http.head(path)

    assert response.status_code == 200
    assert response.content == b""
    assert response.headers["Content-Type"] == api.http.get(path).headers["Content-Type"]


@pytest.mark.parametrize("path", ["/api/tags", "/api/ps", "/api/version", "/api/status"])
def test_objects_are_sent_as_json_with_a_charset(api: Served, path: str) -> None:
    assert api.http.get(path).headers["Content-Type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize("path", ["/nothing", "/api", "/api/me", "/api/tags/x", "/api/blobs/a/b", "/%2e%2e/etc/passwd"])
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_an_unknown_path_is_404_in_plain_text(api: Served, path: str, method: str) -> None:
    response = api.http.request(method, path)

    assert response.status_code == 404
    assert response.headers["Content-Type"] == "text/plain"
    assert response.text == ("" if method == "HEAD" else "404 page not found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/", "GET, HEAD"),
        ("PUT", "/api/tags", "GET, HEAD"),
        ("POST", "/api/ps", "GET"),
        ("HEAD", "/api/ps", "GET"),
        ("GET", "/api/chat", "POST"),
        ("GET", "/api/generate", "POST"),
        ("POST", "/api/delete", "DELETE"),
        ("GET", "/api/blobs/sha256:00", "HEAD, POST"),
    ],
)
def test_a_wrong_method_is_405_and_names_the_right_ones(api: Served, method: str, path: str, allowed: str) -> None:
    response = api.http.request(method, path)

    assert response.status_code == 405
    assert response.headers["Allow"] == allowed
    assert response.headers["Content-Type"] == "text/plain"
    assert response.text == ("" if method == "HEAD" else "405 method not allowed")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/api/experimental/web_search", "ollama cloud is disabled: web search is unavailable"),
        ("/api/experimental/web_fetch", "ollama cloud is disabled: web fetch is unavailable"),
    ],
)
def test_features_of_the_cloud_are_refused(api: Served, path: str, text: str) -> None:
    response = api.http.post(path)

    assert (response.status_code, response.json()) == (403, {"error": text})


READERS = ["/api/generate", "/api/chat", "/api/show", "/api/pull", "/api/create", "/api/copy"]


@pytest.mark.parametrize("path", READERS)
@pytest.mark.parametrize("body", [b"", b" \n"])
def test_an_empty_body_is_refused(api: Served, path: str, body: bytes) -> None:
    response = api.http.post(path, content=body)

    assert (response.status_code, response.json()) == (400, {"error": "missing request body"})


@pytest.mark.parametrize("path", READERS)
@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"[" * 100_000, b'{"model": 5, "source": 5}', b"\xff\xfe"])
def test_a_body_that_cannot_be_read_is_refused_with_a_reason(api: Served, path: str, body: bytes) -> None:
    response = api.http.post(path, content=body)

    assert response.status_code == 400
    assert response.json()["error"]


def test_the_content_type_of_a_request_does_not_matter(api: Served) -> None:
    response = api.http.post("/api/show", content=json.dumps({"model": "x"}), headers={"Content-Type": "text/weird"})

    assert (response.status_code, response.json()["error"]) == (404, "model 'x:latest' not found")


def test_a_json_body_without_bounds_is_refused(api: Served) -> None:
    """Only what is announced is looked at here: sending so much would take the test's time."""
    host, port = api.http.base_url.host, api.http.base_url.port
    with socket.create_connection((host, port or 0), timeout=60) as connection:
        connection.sendall(b"POST /api/show HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999\r\n\r\n")
        answer = connection.recv(1000).decode()

    assert answer.startswith("HTTP/1.1 413 ")


def test_a_body_that_is_not_what_its_encoding_says_is_refused(api: Served) -> None:
    response = api.http.post("/api/show", content=b"hello", headers={"Content-Encoding": "gzip", "Connection": "close"})

    assert response.status_code == 400
    assert "cannot be read" in response.json()["error"]


def test_each_request_leaves_one_line_in_the_log(api: Served, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "ollamapy.server.app"):
        api.http.get("/api/nothing?x=%0Afake")

    lines = [record.getMessage() for record in caplog.records if record.name == "ollamapy.server.app"]
    assert len(lines) == 1
    assert lines[0].startswith("request method=GET path=/api/nothing status=404 duration=")


# Who may come in


def request(api: Served, method: str = "GET", path: str = "/api/version", **headers: str) -> httpx.Response:
    return api.http.request(method, path, headers=headers)


def test_an_allowed_page_reads_answers_errors_and_streams(api: Served) -> None:
    """The header must be on every answer: a page cannot read an error without it."""
    origin = {"Origin": "http://localhost:3000"}
    for method, path, status in [("GET", "/api/version", 200), ("GET", "/nothing", 404), ("POST", "/api/chat", 400)]:
        response = request(api, method, path, **origin)

        assert response.status_code == status
        assert response.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
        assert response.headers["Vary"] == "Origin"


def test_a_stream_names_the_origin_too(api: Served) -> None:
    digest = api.upload(tiny_model())
    fields: dict[str, Any] = {"model": "x", "files": {"a.gguf": digest}}
    with api.http.stream("POST", "/api/create", json=fields, headers={"Origin": "http://localhost"}) as response:
        assert response.headers["Content-Type"] == "application/x-ndjson"
        assert response.headers["Access-Control-Allow-Origin"] == "http://localhost"


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("path", ["/api/version", "/nothing"])
@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
def test_a_foreign_page_gets_an_empty_403_everywhere(api: Served, method: str, path: str, origin: str) -> None:
    response = request(api, method, path, Origin=origin)

    assert (response.status_code, response.content) == (403, b"")
    assert "Access-Control-Allow-Origin" not in response.headers


def test_a_preflight_is_answered_before_any_route(api: Served) -> None:
    for path in ("/api/chat", "/nothing"):
        response = request(api, "OPTIONS", path, Origin="http://localhost:3000")

        assert (response.status_code, response.content) == (204, b"")
        assert response.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
        assert response.headers["Access-Control-Max-Age"] == "43200"
        assert "x-stainless-os" in response.headers["Access-Control-Allow-Headers"]


def test_a_page_of_the_same_host_needs_no_headers(api: Served) -> None:
    response = request(api, Origin="http://foo.local:1", Host="foo.local:1")

    assert response.status_code == 200
    assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("example.com", 403),
        ("8.8.8.8", 403),
        ("[::1]", 403),
        ("192.168.1.5:11434", 200),
        ("foo.local", 200),
        ("FOO.INTERNAL:80", 200),
        (socket.gethostname(), 200),
    ],
)
def test_on_loopback_the_host_header_must_be_a_near_one(api: Served, host: str, status: int) -> None:
    response = request(api, Host=host)

    assert response.status_code == status
    assert status == 200 or response.content == b""


def test_options_without_origin_is_answered_by_name_and_routed_by_address(api: Served) -> None:
    assert request(api, "OPTIONS", Host="localhost").status_code == 204
    assert request(api, "OPTIONS", Host="127.0.0.1").status_code == 405


def test_beyond_loopback_every_host_is_accepted(tmp_path: Path) -> None:
    with served(services_for(settings_for(tmp_path / "models", address="0.0.0.0"))) as api:
        assert request(api, Host="example.com").status_code == 200


def test_every_origin_is_accepted_when_the_user_says_so(tmp_path: Path) -> None:
    with served(services_for(settings_for(tmp_path / "models", origins=("*",)))) as api:
        assert request(api, Origin="http://evil.example").headers["Access-Control-Allow-Origin"] == "*"


def test_a_bad_origin_keeps_the_daemon_from_starting(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="bad origin"):
        build_app(services_for(settings_for(tmp_path / "models", origins=("a.example",))))
