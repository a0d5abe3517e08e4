"""Ranking through the daemon, on a random model: which document is first means nothing, that it stays so does."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.daemon_process import DaemonProcess
from fakes.tiny_bert_gguf import ranker, tiny

pytestmark = pytest.mark.weights

DOCUMENTS = ["the sky is blue", "a blue sky", "no", "is the sky blue"]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A daemon with a model that ranks."""
    home = tmp_path_factory.mktemp("ranker")
    data = ranker(home).read_bytes()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    daemon = DaemonProcess(home)
    assert daemon.client.post(f"/api/blobs/{digest}", content=data).status_code == 201
    assert daemon.post("/api/create", model="ranker", files={"ranker.gguf": digest}) == {"status": "success"}
    yield daemon
    assert daemon.stop() == 0


def rerank(daemon: DaemonProcess, **body: Any) -> dict[str, Any]:
    whole = {"model": "ranker", "query": "is the sky blue?", "documents": DOCUMENTS, **body}
    response = daemon.request("POST", "/api/rerank", whole)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_every_document_has_a_score_and_the_best_comes_first(daemon: DaemonProcess) -> None:
    answer = rerank(daemon)

    scores = [result["relevance_score"] for result in answer["results"]]
    assert scores == sorted(scores, reverse=True)
    assert sorted(result["index"] for result in answer["results"]) == [0, 1, 2, 3]
    assert len(set(scores)) == 4
    assert answer["prompt_eval_count"] > 0


def test_a_score_does_not_depend_on_the_other_documents(daemon: DaemonProcess) -> None:
    together = {result["index"]: result["relevance_score"] for result in rerank(daemon)["results"]}

    for index, document in enumerate(DOCUMENTS):
        [alone] = rerank(daemon, documents=[document])["results"]
        assert alone["relevance_score"] == pytest.approx(together[index], abs=0.02)


def test_only_the_best_are_told_when_that_is_asked_for(daemon: DaemonProcess) -> None:
    best = [result["index"] for result in rerank(daemon)["results"]]

    assert [result["index"] for result in rerank(daemon, top_n=2)["results"]] == best[:2]
    assert [result["index"] for result in rerank(daemon, top_n=9)["results"]] == best


def test_a_long_document_is_cut_and_the_answer_says_by_how_much(daemon: DaemonProcess) -> None:
    assert rerank(daemon, documents=["the " * 100])["prompt_dropped_count"] > 0


def test_the_form_of_cohere_and_jina_gives_the_same_ranking(daemon: DaemonProcess) -> None:
    body = {"model": "ranker", "query": "is the sky blue?", "documents": DOCUMENTS, "top_n": 3}

    answer = daemon.request("POST", "/v1/rerank", {**body, "return_documents": True}).json()

    native = rerank(daemon, top_n=3)
    assert [result["index"] for result in answer["results"]] == [result["index"] for result in native["results"]]
    assert [result["document"]["text"] for result in answer["results"]] == [
        DOCUMENTS[result["index"]] for result in answer["results"]
    ]
    assert answer["usage"]["total_tokens"] == native["prompt_eval_count"]


@pytest.mark.parametrize("path", ["/api/rerank", "/v1/rerank"])
def test_a_model_that_makes_vectors_cannot_rank(daemon: DaemonProcess, tmp_path: Path, path: str) -> None:
    data = tiny(tmp_path).read_bytes()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    daemon.client.post(f"/api/blobs/{digest}", content=data)
    assert daemon.post("/api/create", model="vectors", files={"tiny.gguf": digest}) == {"status": "success"}

    response = daemon.request("POST", path, {"model": "vectors", "query": "q", "documents": ["a"]})

    error = response.json()["error"]
    message = error if path.startswith("/api") else error["message"]
    assert (response.status_code, message) == (400, '"vectors" cannot rank documents')


def test_a_model_that_ranks_has_no_vectors(daemon: DaemonProcess) -> None:
    response = daemon.request("POST", "/api/embed", {"model": "ranker", "input": "the sky"})

    assert response.status_code == 400
    assert "ranks documents" in response.json()["error"]
