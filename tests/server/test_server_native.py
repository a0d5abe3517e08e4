"""Generate and chat up to where a model would be loaded: every refusal with the contract's status and text."""

from collections.abc import Iterator
from typing import Any

import pytest
from fakes.gguf_files import tiny_model
from fakes.served_app import Served, served, services_for, settings_for

MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One completion model, `tiny`, and one that can only embed, `vectors`. Nothing can be loaded."""
    services = services_for(settings_for(tmp_path_factory.mktemp("home") / "models"))
    services.store.start()
    with served(services) as running:
        running.create("tiny", files={"m.gguf": running.upload(tiny_model())})
        running.create("vectors", files={"m.gguf": running.upload(tiny_model("bert", bert__pooling_type=1))})
        yield running
    services.store.close()


COMMON: list[tuple[dict[str, Any], int, str]] = [
    ({"model": "a b"}, 400, "invalid model name"),
    ({"model": "../x"}, 400, "invalid model name"),
    ({"model": "/etc/passwd"}, 400, "invalid model name"),
    ({"model": "a" * 81}, 400, "invalid model name"),
    ({"model": "Absent"}, 404, "model 'Absent' not found"),
    ({"model": "tiny:cloud"}, 403, "ollama cloud is disabled: remote model is unavailable"),
    ({"model": "", "top_logprobs": 21}, 400, "top_logprobs must be between 0 and 20"),
    ({"model": "tiny", "top_logprobs": -1}, 400, "top_logprobs must be between 0 and 20"),
    (
        {"model": "tiny", "think": "much"},
        400,
        'invalid think value: "much" (must be "high", "medium", "low", "max", true, or false)',
    ),
    (
        {"model": "tiny", "think": 1},
        400,
        'think must be a boolean or string ("high", "medium", "low", "max", true, or false)',
    ),
    ({"model": "tiny", "think": True}, 400, '"tiny" does not support thinking'),
    ({"model": "tiny", "keep_alive": True}, 400, "Unsupported type: 'bool'"),
    ({"model": "tiny", "keep_alive": "5"}, 400, 'time: missing unit in duration "5"'),
    ({"model": "tiny", "keep_alive": "1d"}, 400, 'time: unknown unit "d" in duration "1d"'),
    ({"model": "tiny", "options": {"num_ctx": "x"}}, 500, 'option "num_ctx" must be of type integer'),
    ({"model": "tiny", "options": {"temperature": []}}, 500, 'option "temperature" must be of type float32'),
    ({"model": "tiny", "options": {"use_mmap": 1}}, 500, 'option "use_mmap" must be of type boolean'),
    ({"model": "tiny", "options": {"stop": "x"}}, 500, 'option "stop" must be of type array'),
    ({"model": "tiny", "options": {"stop": [1]}}, 500, 'option "stop" must be of an array of strings'),
]


@pytest.mark.parametrize(("fields", "status", "text"), COMMON)
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", ["/api/generate", "/api/chat"])
def test_both_refuse_in_the_contracts_words(
    api: Served, path: str, stream: bool, fields: dict[str, Any], status: int, text: str
) -> None:
    response = api.post(path, prompt="hi", messages=MESSAGES, stream=stream, **fields)

    assert (response.status_code, response.json()["error"]) == (status, text)
    assert response.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize(
    ("path", "fields", "status", "text"),
    [
        ("/api/generate", {}, 404, "model '' not found"),
        ("/api/generate", {"model": "vectors", "prompt": "x"}, 400, '"vectors" does not support generate'),
        (
            "/api/generate",
            {"model": "tiny", "prompt": "x", "suffix": "y"},
            400,
            "registry.ollama.ai/library/tiny:latest does not support insert",
        ),
        *(
            ("/api/generate", RAW | extra, 400, "raw mode does not support template, system, or context")
            for RAW in [{"model": "tiny", "prompt": "x", "raw": True}]
            for extra in ({"system": "s"}, {"template": "t"}, {"context": [1]})
        ),
        ("/api/chat", {}, 400, "model is required"),
        ("/api/chat", {"model": "vectors", "messages": MESSAGES}, 400, '"vectors" does not support chat'),
        (
            "/api/chat",
            {"model": "tiny", "messages": MESSAGES, "tools": [{"type": "function", "function": {"name": "f"}}]},
            400,
            "registry.ollama.ai/library/tiny:latest does not support tools",
        ),
    ],
)
def test_each_refuses_in_words_of_its_own(
    api: Served, path: str, fields: dict[str, Any], status: int, text: str
) -> None:
    response = api.post(path, **fields)

    assert (response.status_code, response.json()["error"]) == (status, text)


def test_a_model_that_is_not_loaded_can_be_unloaded(api: Served) -> None:
    completion = api.post("/api/generate", model="tiny", keep_alive=0)
    chat = api.post("/api/chat", model="tiny", keep_alive="0")

    for response in (completion, chat):
        assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    body = completion.json()
    assert body.pop("created_at").endswith("Z")
    assert body == {"model": "tiny", "response": "", "done": True, "done_reason": "unload"}
    assert chat.json()["message"] == {"role": "assistant", "content": ""}
    assert chat.json()["done_reason"] == "unload"


def test_even_a_model_that_cannot_complete_can_be_unloaded(api: Served) -> None:
    assert api.post("/api/generate", model="vectors", keep_alive=0).json()["done_reason"] == "unload"
