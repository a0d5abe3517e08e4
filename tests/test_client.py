"""The client against the fake daemon: framing, errors, and what it never does."""

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.fake_daemon import FakeDaemon

from ollamapy.client import Client, _lines
from ollamapy.errors import Busy, Cancelled, Error, InvalidInput, NotFound, Refused, Unreachable, Unsupported
from ollamapy.names import Digest
from ollamapy.wire.native import GenerateRequest, Progress


@pytest.fixture(scope="module")
def process() -> Iterator[FakeDaemon]:
    fake = FakeDaemon()
    yield fake
    fake.close()


@pytest.fixture
def daemon(process: FakeDaemon) -> FakeDaemon:
    process.reset()
    return process


@pytest.fixture
def client(daemon: FakeDaemon) -> Iterator[Client]:
    with Client(daemon.url) as client:
        yield client


def chunk(**fields: object) -> dict[str, object]:
    return {"model": "m", "created_at": "", "done": False, "response": "", **fields}


def test_lists_and_pages_are_typed(client: Client) -> None:
    assert client.version().version == "0.30.0"
    assert [model.name for model in client.list().models] == ["m:latest", "thinker:latest", "embed-m:latest"]
    assert client.ps().models == ()
    assert client.show("m").model_info["llama.context_length"] == 8192
    assert client.embed({"model": "m", "input": "x"}).embeddings == ((0.6, -0.8),)


def test_a_stream_yields_its_chunks_one_by_one(client: Client) -> None:
    chunks = list(client.generate(GenerateRequest(model="m", prompt="hi")))

    assert [part.response for part in chunks] == ["You said: ", "hi", ""]
    assert chunks[-1].done
    assert chunks[-1].eval_count == 259


def test_progress_ends_with_success(client: Client) -> None:
    lines = list(client.pull("new"))

    assert lines[0] == Progress(status="pulling manifest")
    assert lines[-1] == Progress(status="success")
    assert max(line.completed for line in lines) == 4000


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, InvalidInput), (403, Refused), (404, NotFound), (500, Error), (501, Unsupported), (503, Busy), (418, Error)],
)
def test_an_error_has_the_servers_text_hint_and_status(
    client: Client, daemon: FakeDaemon, status: int, kind: type[Error]
) -> None:
    daemon.answer("/api/show", status=status, body={"error": "no", "hint": "try"})

    with pytest.raises(kind) as caught:
        client.show("m")
    assert (caught.value.message, caught.value.hint, caught.value.status) == ("no", "try", status)


def test_an_error_body_that_is_no_json_is_the_text(client: Client, daemon: FakeDaemon) -> None:
    daemon.answer("/api/show", status=404, body="404 page not found")

    with pytest.raises(NotFound, match=r"^404 page not found$"):
        client.show("m")


def test_a_streaming_route_puts_the_status_before_the_text(client: Client, daemon: FakeDaemon) -> None:
    with pytest.raises(NotFound, match=r"^404 Not Found: model 'x' not found$"):
        list(client.chat({"model": "x", "messages": [{"role": "user", "content": "hi"}]}))

    daemon.answer("/api/generate", status=500, body="")
    with pytest.raises(Error, match=r"^500 Internal Server Error$"):
        list(client.generate({"model": "m"}))


def test_an_error_line_in_a_stream_is_its_text_alone(client: Client, daemon: FakeDaemon) -> None:
    daemon.answer("/api/generate", lines=[chunk(response="a"), {"error": "broken", "hint": "mend"}])
    stream = client.generate({"model": "m", "prompt": "x"})

    assert next(stream).response == "a"
    with pytest.raises(Error) as caught:
        next(stream)
    assert (caught.value.message, caught.value.hint) == ("broken", "mend")


def test_a_connection_that_drops_in_the_middle_is_an_error(client: Client, daemon: FakeDaemon) -> None:
    daemon.answer("/api/generate", lines=[chunk(response="a")], then="cut")

    with pytest.raises(Unreachable, match="was lost before the answer was complete"):
        list(client.generate({"model": "m", "prompt": "x"}))


def test_a_stream_without_its_last_line_is_an_error(client: Client, daemon: FakeDaemon) -> None:
    daemon.answer("/api/generate", lines=[chunk(response="a")])
    daemon.answer("/api/pull", lines=[{"status": "pulling manifest"}])

    with pytest.raises(Unreachable, match="ended its answer before it was complete"):
        list(client.generate({"model": "m", "prompt": "x"}))
    with pytest.raises(Unreachable, match="ended its answer before it was complete"):
        list(client.pull("m"))


def test_closing_a_stream_stops_the_generation(client: Client, daemon: FakeDaemon) -> None:
    daemon.answer("/api/generate", lines=[chunk(response="a")], then="hold")
    with contextlib.closing(client.generate({"model": "m", "prompt": "x"})) as stream:
        next(stream)

    daemon.wait_for("GONE", "/api/generate")


def test_lines_end_at_newlines_only() -> None:
    """U+2028 and its like may stand unescaped in JSON."""
    data = '{"a":"x\u2028y\x85z"}\n\n  \n{"b":1}'.encode()

    for size in (1, 2, 7, 1000):
        chunks = [data[start : start + size] for start in range(0, len(data), size)]
        assert list(_lines(chunks)) == ['{"a":"x\u2028y\x85z"}'.encode(), b'{"b":1}']


def test_odd_line_separators_in_an_answer_survive(client: Client) -> None:
    text = "".join(part.response for part in client.generate({"model": "m", "prompt": "a\u2028b\x85c\x0bd"}))

    assert text == "You said: a\u2028b\x85c\x0bd"


def test_an_answer_that_breaks_the_api_is_told(client: Client, daemon: FakeDaemon) -> None:
    daemon.answer("/api/tags", body={"models": 5})

    with pytest.raises(Error, match="not what its API promises") as caught:
        client.list()
    assert '{"models": 5}' in caught.value.hint


def test_nothing_listening_is_unreachable_with_the_address() -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(Unreachable) as caught:
        client.heartbeat()

    assert caught.value.message == "could not connect to ollama server, run 'ollamapy serve' to start it"
    assert caught.value.hint.startswith("tried http://127.0.0.1:1: ")


def test_a_server_that_accepts_and_says_nothing_is_unreachable() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with Client(f"http://127.0.0.1:{port}", heartbeat_seconds=0.1) as client, pytest.raises(Unreachable) as caught:
            client.heartbeat()

    assert "does not answer" in caught.value.message


def test_a_server_that_is_stopping_is_told_from_one_that_is_not_there(client: Client, daemon: FakeDaemon) -> None:
    daemon.answer("/", status=499)

    with pytest.raises(Cancelled, match="is stopping"):
        client.heartbeat()


@pytest.mark.parametrize("url", ["foo://127.0.0.1:1", "http://127.0.0.1:0", "http://exa mple:80", "http://[::1"])
def test_an_address_that_is_none_is_an_error_of_ours(url: str) -> None:
    with pytest.raises(Error), Client(url) as client:
        client.heartbeat()


def test_a_proxy_is_not_asked_for_this_machine(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

    for host in ("127.0.0.1", "localhost"):
        with Client(f"http://{host}:{daemon.port}") as client:
            client.heartbeat()
    with Client("http://example.invalid:80") as client, pytest.raises(Unreachable) as caught:
        client.heartbeat()
    assert "refused" in caught.value.hint, "the proxy was asked for other machines"


def test_a_blob_is_sent_in_pieces_and_told(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "blob"
    file.write_bytes(bytes(2_500_000))
    digest = Digest(hashlib.sha256(file.read_bytes()).hexdigest())
    sent: list[int] = []

    assert not client.has_blob(digest)
    client.put_blob(digest, file, sent.append)
    assert client.has_blob(digest)
    assert sent == [1 << 20, 2 << 20, 2_500_000]


def test_a_blob_that_is_something_else_is_refused(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "blob"
    file.write_bytes(b"x")

    with pytest.raises(InvalidInput, match="digest mismatch"):
        client.put_blob(Digest("0" * 64), file)


def test_stop_copy_and_delete(client: Client, daemon: FakeDaemon) -> None:
    client.copy("m", "n")
    client.stop("n")
    client.delete("n")

    assert daemon.requests("/api/generate") == [{"model": "n", "keep_alive": 0}]
    with pytest.raises(NotFound, match="model 'n' not found"):
        client.delete("n")
