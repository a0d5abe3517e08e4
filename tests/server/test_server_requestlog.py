"""Bodies of requests on the disk."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.served_app import Served, served, services_for, settings_for

from ollamapy.server.requestlog import replay


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def api(folder: Path) -> Iterator[Served]:
    with served(services_for(settings_for(folder / "models", log_requests=True))) as running:
        yield running


def test_bodies_of_inference_are_written_and_others_are_not(api: Served, folder: Path) -> None:
    api.http.post("/api/show", content=b'{"model": "secret"}')
    api.http.post("/api/generate", content=b'{"model": "nope", "prompt": "hi"}')
    api.http.post("/v1/chat/completions", content=b"no JSON")

    [logs] = folder.glob("ollama-request-logs-*")
    assert logs.stat().st_mode & 0o777 == 0o700
    assert [path.read_text() for path in sorted(logs.glob("*_body.json"))] == [
        '{"model": "nope", "prompt": "hi"}',
        "no JSON",
    ]
    assert [path.name.split("_", 2)[2] for path in sorted(logs.glob("*.sh"))] == [
        "api_generate_request.sh",
        "v1_chat_completions_request.sh",
    ]


def test_a_folder_that_is_gone_fails_no_request(api: Served, folder: Path) -> None:
    [logs] = folder.glob("ollama-request-logs-*")
    logs.rmdir()

    assert api.http.post("/api/generate", content=b'{"model": "nope"}').status_code == 404


def test_the_script_is_one_that_a_shell_reads_whatever_stands_in_the_address() -> None:
    script = replay("http://localhost:1/api/chat?x=';rm -rf /'", "a body.json")

    assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0
    assert "--data-binary @'a body.json'" in script
