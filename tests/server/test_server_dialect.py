"""Errors of `/v1` over HTTP: each path answers in the words of the API that it belongs to."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fakes.gguf_files import tiny_model
from fakes.served_app import Served, served, services_for, settings_for

MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One completion model, `tiny`. Nothing can be loaded."""
    services = services_for(settings_for(tmp_path_factory.mktemp("home") / "models"))
    services.store.start()
    with served(services) as running:
        running.create("tiny", files={"m.gguf": running.upload(tiny_model())})
        yield running
    services.store.close()


OPENAI: list[tuple[str, dict[str, Any], int, str, str]] = [
    ("chat/completions", {}, 400, "invalid_request_error", "[] is too short - 'messages'"),
    ("chat/completions", {"messages": MESSAGES}, 400, "invalid_request_error", "model is required"),
    ("chat/completions", {"model": "x", "messages": MESSAGES}, 404, "not_found_error", "model 'x' not found"),
    ("chat/completions", {"model": "a b", "messages": MESSAGES}, 400, "invalid_request_error", "invalid model name"),
    (
        "chat/completions",
        {"model": "tiny", "messages": MESSAGES, "logprobs": True, "top_logprobs": 21},
        400,
        "invalid_request_error",
        "top_logprobs must be between 0 and 20",
    ),
    (
        "chat/completions",
        {"model": "tiny", "messages": MESSAGES, "reasoning_effort": "high"},
        400,
        "invalid_request_error",
        '"tiny" does not support thinking',
    ),
    (
        "chat/completions",
        {"model": "tiny", "messages": MESSAGES, "options": {"num_ctx": "x"}},
        500,
        "api_error",
        'option "num_ctx" must be of type integer',
    ),
    (
        "chat/completions",
        {"model": "tiny:cloud", "messages": MESSAGES},
        403,
        "api_error",
        "ollama cloud is disabled: remote model is unavailable",
    ),
    ("completions", {"prompt": "x"}, 404, "not_found_error", "model '' not found"),
    ("completions", {"model": "x", "prompt": "x"}, 404, "not_found_error", "model 'x' not found"),
    (
        "completions",
        {"model": "tiny", "prompt": "x", "suffix": "y"},
        400,
        "invalid_request_error",
        "registry.ollama.ai/library/tiny:latest does not support insert",
    ),
    ("responses", {"model": "x", "input": "hi"}, 404, "not_found_error", "model 'x' not found"),
    ("embeddings", {"model": "tiny"}, 400, "invalid_request_error", "invalid input"),
]


@pytest.mark.parametrize(("path", "body", "status", "kind", "text"), OPENAI)
@pytest.mark.parametrize("stream", [True, False])
def test_openais_paths_refuse_in_openais_shape(
    api: Served, stream: bool, path: str, body: dict[str, Any], status: int, kind: str, text: str
) -> None:
    response = api.post(f"/v1/{path}", stream=stream, **body)
    error = response.json()["error"]
    error.pop("hint", None)

    assert response.headers["Content-Type"] == "application/json"
    assert (response.status_code, error) == (status, {"message": text, "type": kind, "param": None, "code": None})


@pytest.mark.parametrize(
    ("body", "status", "kind", "text"),
    [
        ({}, 400, "invalid_request_error", "model is required"),
        ({"model": "tiny"}, 400, "invalid_request_error", "max_tokens is required and must be positive"),
        ({"model": "x", "max_tokens": 1, "messages": MESSAGES}, 404, "not_found_error", "model 'x' not found"),
        (
            {"model": "x", "max_tokens": 1, "messages": MESSAGES, "thinking": {"type": "enabled"}},
            404,
            "not_found_error",
            "model 'x' not found",
        ),
        (
            {"model": "tiny:cloud", "max_tokens": 1, "messages": MESSAGES},
            403,
            "permission_error",
            "ollama cloud is disabled: remote model is unavailable",
        ),
    ],
)
def test_anthropics_paths_refuse_in_anthropics_shape(
    api: Served, body: dict[str, Any], status: int, kind: str, text: str
) -> None:
    response = api.post("/v1/messages?beta=true", **body)
    found = response.json()

    assert (response.status_code, found["type"]) == (status, "error")
    assert (found["error"]["type"], found["error"]["message"]) == (kind, text)
    assert re.fullmatch(r"req_[0-9a-f]{24}", found["request_id"])


MODEL = b'--x\r\nContent-Disposition: form-data; name="model"\r\n'
FORM = "multipart/form-data; boundary=x"


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        (b"{}", "application/json", "failed to parse multipart form: "),
        (b"", "multipart/form-data", "failed to parse multipart form: "),
        (b"what?", FORM, "failed to parse multipart form: "),
        (MODEL + b"\r\nti", FORM, "failed to parse multipart form: "),
        (MODEL + b"Content-Type: a/b\r\n\r\nm\r\n--x--\r\n", FORM, "failed to parse multipart form: "),
        (MODEL + b"Content-Type: text/plain; charset=no\r\n\r\nm\r\n--x--\r\n", FORM, "failed to parse multipart"),
        (b"--x--\r\n", FORM, "model is required"),
    ],
)
def test_a_form_that_cannot_be_read_is_a_400(api: Served, body: bytes, kind: str, text: str) -> None:
    response = api.http.post("/v1/audio/transcriptions", content=body, headers={"Content-Type": kind})

    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith(text)


@pytest.mark.parametrize(
    ("model", "sound", "status", "text"),
    [
        ("tiny", None, 400, "file is required: there is no file in the form"),
        ("tiny", "as a text", 400, "file is required: there is no file in the form"),
        ("tiny", b"", 400, "audio file is empty"),
        ("nope", b"RIFF", 404, "model 'nope' not found"),
        ("tiny", b"RIFF", 400, "registry.ollama.ai/library/tiny:latest does not support audio"),
    ],
)
def test_a_sound_needs_a_model_that_can_hear(api: Served, model: str, sound: Any, status: int, text: str) -> None:
    name = None if isinstance(sound, str | None) else "a.wav"
    parts: Any = {"model": (None, model), "file": (name, sound or b"")}
    if sound is None:
        del parts["file"]
    response = api.http.post("/v1/audio/transcriptions", files=parts)

    assert (response.status_code, response.json()["error"]["message"]) == (status, text)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses"])
@pytest.mark.parametrize(("body", "text"), [(b"", "EOF"), (b"{", "Input data was truncated")])
def test_a_body_that_is_no_json_is_a_400_with_the_parsers_text(api: Served, path: str, body: bytes, text: str) -> None:
    response = api.http.post(path, content=body)

    assert (response.status_code, response.json()["error"]["message"]) == (400, text)


@pytest.mark.parametrize("path", ["/v1/other", "/v1/messages/batches", "/v1/chat"])
def test_an_unknown_path_is_not_found(api: Served, path: str) -> None:
    response = api.http.post(path, content=b"{}")

    assert (response.status_code, response.text) == (404, "404 page not found")


def test_a_model_is_found_under_raw_and_encoded_slashes(api: Served) -> None:
    for name in ("tiny", "library/tiny", "library%2Ftiny", "registry.ollama.ai/library/tiny:latest"):
        assert api.http.get(f"/v1/models/{name}").json()["owned_by"] == "library"
    missing = api.http.get("/v1/models/x/y")
    assert (missing.status_code, missing.json()["error"]["type"]) == (404, "not_found_error")


def zstd_frame(data: bytes) -> bytes:
    """`data` as zstd keeps what it cannot make smaller: blocks of at most 128 KiB, as they are."""
    blocks = [data[at : at + 131072] for at in range(0, len(data), 131072)] or [b""]
    header = b"\x28\xb5\x2f\xfd" + b"\x00" + b"\x58"
    return header + b"".join(
        ((len(block) << 3) | (block is blocks[-1])).to_bytes(3, "little") + block for block in blocks
    )


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (zstd_frame(b'{"model": "x", "input": "hi"}'), 404, "model 'x' not found"),
        (b"junk", 400, "failed to decompress zstd body"),
        (zstd_frame(b" " * (21 << 20)), 400, "failed to decompress zstd body"),
    ],
)
def test_a_body_may_be_compressed_with_zstd(api: Served, body: bytes, status: int, text: str) -> None:
    with httpx.Client(base_url=api.http.base_url, trust_env=False) as http:  # a refusal in mid-body ends the connection
        response = http.post("/v1/responses", content=body, headers={"Content-Encoding": "zstd"})

    assert (response.status_code, response.json()["error"]["message"]) == (status, text)
