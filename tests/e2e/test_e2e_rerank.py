"""Ranking through the daemon, on a random model: which document is first means nothing, that it stays so does."""

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from fakes.daemon_process import DaemonProcess
from fakes.tiny_bert_gguf import ranker

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
    assert rerank(daemon, top_n=2)["results"] == rerank(daemon)["results"][:2]
    assert rerank(daemon, top_n=9)["results"] == rerank(daemon)["results"]


def test_a_long_document_is_cut_and_the_answer_says_by_how_much(daemon: DaemonProcess) -> None:
    assert rerank(daemon, documents=["the " * 100])["prompt_dropped_count"] > 0


def test_a_model_that_ranks_has_no_vectors(daemon: DaemonProcess) -> None:
    response = daemon.request("POST", "/api/embed", {"model": "ranker", "input": "the sky"})

    assert response.status_code == 400
    assert "ranks documents" in response.json()["error"]
