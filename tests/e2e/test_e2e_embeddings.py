"""Vectors and words over HTTP, row by row of the contract. The echo engine counts bytes, so every vector is known."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from fakes.daemon_process import DaemonProcess, wait_until

PutEcho = Callable[..., str]


def counted(text: str) -> list[float]:
    """The echo engine's vector of a text, of length 1."""
    counts = [0.0] * 16
    for byte in text.encode():
        counts[byte % 16] += 1
    length = math.sqrt(sum(count * count for count in counts))
    return [count / length for count in counts]


def post(daemon: DaemonProcess, path: str, **body: Any) -> httpx.Response:
    return daemon.request("POST", path, {"model": "echo", **body})


def embed(daemon: DaemonProcess, **body: Any) -> dict[str, Any]:
    response = post(daemon, "/api/embed", **body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def refused(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]


# POST /api/embed


def test_a_text_becomes_a_vector_of_length_1(shared: DaemonProcess) -> None:
    answer = embed(shared, input="hello")

    assert list(answer) == ["model", "embeddings", "total_duration", "load_duration", "prompt_eval_count"]
    assert answer["model"] == "echo"
    assert answer["embeddings"] == [pytest.approx(counted("hello"), abs=1e-8)]
    assert answer["prompt_eval_count"] == 5
    assert answer["total_duration"] >= answer["load_duration"] > 0


def test_many_texts_keep_their_order(shared: DaemonProcess) -> None:
    texts = [f"text number {n} " * (n % 7 + 1) for n in range(600)]

    answer = embed(shared, input=texts)

    assert answer["embeddings"] == [pytest.approx(counted(text), abs=1e-8) for text in texts]
    assert answer["prompt_eval_count"] == sum(map(len, texts))


def test_many_clients_at_once_get_their_own_vectors(shared: DaemonProcess) -> None:
    texts = [[f"client {client} text {n}" for n in range(20)] for client in range(16)]

    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(lambda own: embed(shared, input=own)["embeddings"], texts))

    for own, found in zip(texts, answers, strict=True):
        assert found == [pytest.approx(counted(text), abs=1e-8) for text in own]


@pytest.mark.parametrize("body", [{}, {"input": None}, {"input": ""}, {"input": []}])
def test_no_input_loads_the_model_and_no_more(shared: DaemonProcess, body: dict[str, Any]) -> None:
    assert embed(shared, **body) == {"model": "echo", "embeddings": []}
    assert "echo:latest" in shared.loaded()


@pytest.mark.parametrize("value", [5, True, {"a": "b"}, [5], ["a", 5], ["a", None], [["a"]]])
def test_an_input_that_is_no_text_is_refused_before_the_model_is_looked_for(shared: DaemonProcess, value: Any) -> None:
    assert refused(post(shared, "/api/embed", model="nowhere", input=value)) == (400, "invalid input type")


@pytest.mark.parametrize(
    ("model", "status", "text"),
    [
        ("", 404, "model '' not found"),
        ("nowhere", 404, 'model "nowhere" not found, try pulling it first'),
        ("bad:na:me", 400, "invalid model name"),
    ],
)
def test_a_model_that_is_not_here_is_said_so(shared: DaemonProcess, model: str, status: int, text: str) -> None:
    assert refused(post(shared, "/api/embed", model=model, input="x")) == (status, text)


def test_fewer_dimensions_are_normalised_again(shared: DaemonProcess) -> None:
    [vector] = embed(shared, input="hello", dimensions=13)["embeddings"]
    whole = counted("hello")[:13]
    length = math.sqrt(sum(number * number for number in whole))

    assert vector == pytest.approx([number / length for number in whole], abs=1e-8)


@pytest.mark.parametrize("dimensions", [0, -1, 16, 1000])
def test_other_dimensions_change_nothing(shared: DaemonProcess, dimensions: int) -> None:
    assert len(embed(shared, input="hello", dimensions=dimensions)["embeddings"][0]) == 16


@pytest.mark.parametrize("truncate", [None, True])
def test_a_long_input_is_cut_and_the_answer_says_by_how_much(shared: DaemonProcess, truncate: bool | None) -> None:
    answer = embed(shared, input=["abcdefghij", "xy"], truncate=truncate, options={"num_ctx": 8})

    assert answer["embeddings"][0] == pytest.approx(counted("abcdefgh"), abs=1e-8)
    assert (answer["prompt_eval_count"], answer["prompt_dropped_count"]) == (10, 2)
    assert "input truncated model=echo:latest dropped_tokens=2" in shared.log


def test_tokens_that_were_read_are_counted(start: Callable[..., DaemonProcess]) -> None:
    daemon = start()
    daemon.post("/api/pull", model="echo")
    embed(daemon, input=["abcdefghij", "xy"], options={"num_ctx": 8})

    counted_ = daemon.request("GET", "/metrics").text
    assert 'ollamapy_prompt_tokens_total{model="echo:latest"} 10.0' in counted_
    assert 'ollamapy_prompt_dropped_tokens_total{model="echo:latest"} 2.0' in counted_


def test_a_long_input_that_may_not_be_cut_refuses_the_whole_request(shared: DaemonProcess) -> None:
    response = post(shared, "/api/embed", input=["x", "abcdefghij"], truncate=False, options={"num_ctx": 8})

    assert refused(response) == (400, "the input length exceeds the context length")


def test_an_option_of_the_wrong_type_is_an_error(shared: DaemonProcess) -> None:
    assert post(shared, "/api/embed", input="x", options={"num_ctx": "many"}).status_code == 500


def test_a_keep_alive_of_nothing_unloads_when_the_answer_is_there(start: Callable[..., DaemonProcess]) -> None:
    daemon = start()
    daemon.post("/api/pull", model="echo")
    embed(daemon, input="x", keep_alive=0)

    wait_until(lambda: daemon.loaded() == [], "the runner to end")


def test_a_model_that_generates_and_embeds_has_a_runner_for_each_and_stop_ends_both(
    start: Callable[..., DaemonProcess],
) -> None:
    daemon = start()
    daemon.post("/api/pull", model="echo")
    embed(daemon, input="x")
    assert daemon.post("/api/generate", model="echo", prompt="hi")["response"] == "hi"
    assert len(daemon.runner_pids()) == 2

    daemon.post("/api/generate", model="echo", keep_alive=0)

    wait_until(lambda: daemon.loaded() == [], "both runners to end")


# POST /api/embeddings


def test_the_older_interface_answers_with_one_vector(shared: DaemonProcess) -> None:
    response = post(shared, "/api/embeddings", prompt="hello")

    assert response.json() == {"embedding": pytest.approx(counted("hello"), abs=1e-8)}


def test_the_older_interface_loads_without_a_prompt(shared: DaemonProcess) -> None:
    assert post(shared, "/api/embeddings").json() == {"embedding": []}


@pytest.mark.parametrize(
    ("model", "status", "text"),
    [
        ("", 400, "model is required"),
        ("nowhere", 404, 'model "nowhere" not found, try pulling it first'),
        ("bad:na:me", 400, "invalid model name"),
    ],
)
def test_the_older_interface_has_words_of_its_own(shared: DaemonProcess, model: str, status: int, text: str) -> None:
    assert refused(post(shared, "/api/embeddings", model=model, prompt="x")) == (status, text)


def test_the_older_interface_cuts_nothing(shared: DaemonProcess) -> None:
    response = post(shared, "/api/embeddings", prompt="abcdefghij", options={"num_ctx": 8})

    assert refused(response) == (500, "the input length exceeds the context length")


# POST /api/rerank


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"query": "q", "documents": ["a"]}, '"echo" cannot rank documents'),
        ({"documents": ["a"]}, "query is required"),
        ({"query": "q"}, "documents are required"),
        ({"query": "q", "documents": ["a"], "top_n": -1}, "top_n must not be negative: found -1"),
    ],
)
def test_what_cannot_be_ranked_is_refused(shared: DaemonProcess, body: dict[str, Any], text: str) -> None:
    assert refused(post(shared, "/api/rerank", **body)) == (400, text)


# POST /api/tokenize, /api/detokenize, /api/apply-template


def test_tokens_of_a_text_and_the_text_of_tokens(shared: DaemonProcess) -> None:
    tokens = post(shared, "/api/tokenize", text="héllo").json()
    assert tokens == {"model": "echo", "tokens": list("héllo".encode())}

    assert post(shared, "/api/detokenize", tokens=tokens["tokens"]).json() == {"model": "echo", "text": "héllo"}


def test_special_tokens_come_when_they_are_asked_for(shared: DaemonProcess) -> None:
    assert post(shared, "/api/tokenize", text="a", add_special=True).json()["tokens"] == [97, 256]


def test_words_need_no_weights_and_load_no_model(start: Callable[..., DaemonProcess]) -> None:
    daemon = start()
    daemon.post("/api/pull", model="echo")

    assert post(daemon, "/api/tokenize", text="a").json()["tokens"] == [97]
    assert daemon.loaded() == []
    assert len(daemon.runner_pids()) == 1


def test_a_model_that_is_loaded_answers_for_its_words(start: Callable[..., DaemonProcess]) -> None:
    daemon = start()
    daemon.post("/api/pull", model="echo")
    daemon.post("/api/generate", model="echo", prompt="")

    assert post(daemon, "/api/tokenize", text="a").json()["tokens"] == [97]
    assert len(daemon.runner_pids()) == 1


def test_a_token_that_cannot_be_is_refused(shared: DaemonProcess) -> None:
    assert refused(post(shared, "/api/detokenize", tokens=[-1])) == (400, "a token id is a number from 0 on")


def test_a_template_is_applied_as_a_chat_would(shared: DaemonProcess) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]

    rendered = shared.post("/api/chat", model="echo", messages=messages, _debug_render_only=True)

    prompt = post(shared, "/api/apply-template", messages=messages).json()["prompt"]
    assert prompt == rendered["_debug_info"]["rendered_template"]


@pytest.mark.parametrize("path", ["/api/tokenize", "/api/detokenize", "/api/apply-template", "/api/rerank"])
def test_words_of_a_model_that_is_not_here(shared: DaemonProcess, path: str) -> None:
    body = {"query": "q", "documents": ["a"], "model": "nowhere"}

    assert post(shared, path, **body).status_code == 404


def test_a_runner_that_dies_over_a_load_is_an_error_with_its_reason(
    start: Callable[..., DaemonProcess], put_echo: PutEcho
) -> None:
    daemon = start()
    put_echo(daemon, "dying", fault="load-exit")

    response = daemon.request("POST", "/api/embed", {"model": "dying", "input": "x"})

    assert response.status_code == 500
    assert "model runner ended while loading" in response.json()["error"]
