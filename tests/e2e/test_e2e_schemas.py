"""The corpus of schemas, answered by the starter at temperature 1, many at once: what ends satisfies its schema."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from fakes.daemon_process import DaemonProcess

pytestmark = pytest.mark.weights

CORPUS = Path(__file__).parents[1] / "modelfile" / "grammar" / "schemas.yaml"
CASES = yaml.safe_load(CORPUS.read_text())
SCHEMAS: dict[str, Any] = {case["name"]: case["schema"] for case in CASES if isinstance(case["schema"], dict)}
NUM_AT_ONCE = 16
NUM_PREDICT = 80
HOT = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "num_predict": NUM_PREDICT}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, starter_gguf: Path) -> Iterator[DaemonProcess]:
    home = tmp_path_factory.mktemp("schemas")
    catalogue = home / "catalogue.yaml"
    catalogue.write_text(f"starter:\n  source: file:{starter_gguf}\n")
    daemon = DaemonProcess(home, {"OLLAMAPY_CATALOGUE": str(catalogue)})
    assert daemon.post("/api/pull", model="starter") == {"status": "success"}
    yield daemon
    assert daemon.stop() == 0


@pytest.fixture(scope="module")
def answers(daemon: DaemonProcess) -> dict[str, dict[str, Any]]:
    """An answer to each schema, the next one asked for as soon as one of the sixteen is there."""

    def ask(name: str) -> dict[str, Any]:
        options = {**HOT, "seed": list(SCHEMAS).index(name)}
        body = {"prompt": f"Give an example in JSON: {name}", "format": SCHEMAS[name], "options": options}
        *chunks, last = daemon.stream("/api/generate", model="starter", **body)
        return {**last, "response": "".join(chunk["response"] for chunk in chunks)}

    with ThreadPoolExecutor(NUM_AT_ONCE) as pool:
        return dict(zip(SCHEMAS, pool.map(ask, SCHEMAS), strict=True))


@pytest.mark.parametrize("name", SCHEMAS)
def test_an_answer_that_ends_satisfies_its_schema(answers: dict[str, dict[str, Any]], name: str) -> None:
    answer = answers[name]

    if answer["done_reason"] == "stop":
        kind = jsonschema.Draft4Validator if name.startswith("old ") else jsonschema.Draft202012Validator
        kind(SCHEMAS[name], format_checker=kind.FORMAT_CHECKER).validate(json.loads(answer["response"]))
    else:
        assert (answer["done_reason"], answer["eval_count"]) == ("length", NUM_PREDICT)


def test_sixty_answers_end(answers: dict[str, dict[str, Any]]) -> None:
    """Otherwise the test above would say little. About 80 of 96 end by themselves; roundings decide which."""
    ended = [name for name, answer in answers.items() if answer["done_reason"] == "stop"]

    assert len(ended) >= 60
