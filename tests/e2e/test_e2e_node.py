"""JavaScript clients under Node against the daemon: scripts in tests/node print what they were answered."""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from fakes.daemon_process import DaemonProcess

pytestmark = pytest.mark.slow  # npm may have to fetch the packages

SCRIPTS = Path(__file__).resolve().parents[1] / "node"
CACHE = Path.home() / ".cache" / "ollamapy" / "test-node"
ELSEWHERE = {"constructor", "webSearch", "webFetch", "systemone", "encodeImage", "processStreamableRequest"}


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts beside the packages that they import, which `npm ci` installs once per lock file."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        do_without("Node and npm are not there")
    packages = CACHE / hashlib.sha256((SCRIPTS / "package-lock.json").read_bytes()).hexdigest()[:16] / "node_modules"
    if not packages.exists():
        install(packages)
    folder = tmp_path_factory.mktemp("node")
    for script in SCRIPTS.glob("*.mjs"):
        shutil.copy(script, folder)
    (folder / "node_modules").symlink_to(packages)
    return folder


def install(packages: Path) -> None:
    """Puts the packages in place, all or none. Node looks for what they import in a folder of that name only."""
    packages.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=packages.parent) as folder:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SCRIPTS / name, folder)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode:
            do_without(f"npm cannot install the packages of tests/node:\n{done.stderr}")
        with contextlib.suppress(OSError):  # another run was faster
            (Path(folder) / packages.name).rename(packages)


def do_without(reason: str) -> NoReturn:
    """Skips the test and says so; with OLLAMAPY_TEST_STRICT=1 it fails."""
    text = f"no JavaScript client was tested: {reason}"
    if os.environ.get("OLLAMAPY_TEST_STRICT") == "1":
        pytest.fail(text, pytrace=False)
    pytest.skip(text)


def run(scripts: Path, script: str, daemon: DaemonProcess, *words: str) -> Any:
    command = ["node", str(scripts / script), daemon.url, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.client(
    "ollama (npm)", "generate", "chat", "stream", "tools", "thinking", "embeddings", "models", "errors", "async"
)
def test_every_method_of_the_javascript_client_answers(
    shared: DaemonProcess, scripts: Path, caller: str, thinker: str, put_echo: Callable[..., str]
) -> None:
    slow = put_echo(shared, "slow", step_seconds=0.3)  # ten minutes: it is aborted long before it ends
    found = run(scripts, "ollama.mjs", shared, caller, thinker, slow)
    answers = found["answers"]

    assert set(found["methods"]) - ELSEWHERE <= set(answers)
    assert answers["generate"]["response"] == answers["chat"]["message"]["content"] == "hello"
    assert "".join(part["message"]["content"] for part in answers["streams"]) == "hello"
    assert answers["streams"][-1]["done_reason"] == "stop"
    assert [len(vector) for vector in answers["embed"]["embeddings"]] == [16, 16]
    assert len(answers["embeddings"]["embedding"]) == 16
    [call] = answers["tools"]["message"]["tool_calls"]
    assert call["function"] == {"index": 0, "name": "get_weather", "arguments": {"city": "Paris"}}
    assert answers["thinking"]["message"] == {"role": "assistant", "content": "four", "thinking": "hm"}
    assert answers["pull"][-1] == answers["create"] == answers["copy"] == answers["delete"] == {"status": "success"}
    assert "be kind" in answers["show"]["modelfile"]
    assert {"echo:latest", "from-node-too:latest"} <= {model["name"] for model in answers["list"]["models"]}
    assert "echo:latest" in {model["name"] for model in answers["ps"]["models"]}
    assert answers["abort"] == "AbortError"
    assert answers["missing"] == [404, "model 'nope' not found"]
    assert answers["push"][0] >= 400
    assert answers["version"]["version"]


@pytest.mark.client("ai + ollama-ai-provider-v2 (npm)", "chat", "stream", "async")
def test_the_ai_sdk_answers_and_streams(shared: DaemonProcess, scripts: Path) -> None:
    found = run(scripts, "ai.mjs", shared, "answers", "echo")

    assert found == {"text": "hello", "streamed": "hello", "finishReason": "stop", "inputTokens": len("hello") + 1}


@pytest.mark.client("ai + ollama-ai-provider-v2 (npm)", "tools")
def test_the_ai_sdk_calls_a_tool_and_sends_its_result(shared: DaemonProcess, scripts: Path, caller: str) -> None:
    found = run(scripts, "ai.mjs", shared, "tools", caller)

    assert found == {"text": "sunny in Paris", "calls": [["get_weather", {"city": "Paris"}]]}


@pytest.mark.weights
@pytest.mark.client("ai + ollama-ai-provider-v2 (npm)", "structured output", "embeddings")
def test_the_ai_sdk_gets_an_object_and_vectors(starters: DaemonProcess, scripts: Path) -> None:
    found = run(scripts, "ai.mjs", starters, "object", "starter")
    lengths = run(scripts, "ai.mjs", starters, "vectors", "starter-embed")

    assert (set(found), type(found["city"]), type(found["degrees"])) == ({"city", "degrees"}, str, int)
    assert lengths == [384, 384]
