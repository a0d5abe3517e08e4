"""The official Python client of Ollama against the daemon: nothing changes but the address."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import ollama
import pytest
from fakes.daemon_process import DaemonProcess


@pytest.fixture
def client(shared: DaemonProcess) -> Iterator[ollama.Client]:
    with ollama.Client(host=shared.url) as client:
        yield client


def test_chat_and_generate_stream_and_not(client: ollama.Client) -> None:
    messages = [{"role": "user", "content": "hello"}]

    assert client.chat("echo", messages).message.content == "hello"
    assert "".join(part.message.content or "" for part in client.chat("echo", messages, stream=True)) == "hello"
    assert client.generate("echo", "hello").response == "hello"
    assert "".join(part.response for part in client.generate("echo", "hello", stream=True)) == "hello"


def test_the_asynchronous_client_answers_several_at_once(shared: DaemonProcess) -> None:
    async def main() -> list[str]:
        async with ollama.AsyncClient(host=shared.url) as client:
            answers = await asyncio.gather(*(client.generate("echo", f"number {n}") for n in range(8)))
        return [answer.response for answer in answers]

    assert asyncio.run(main()) == [f"number {n}" for n in range(8)]


def test_models_are_listed_shown_copied_created_and_deleted(client: ollama.Client) -> None:
    client.create("kindly", from_="echo", system="be kind", parameters={"temperature": 0.5})
    client.copy("kindly", "kindlier")
    shown = client.show("kindlier")
    names = {model.model for model in client.list().models}
    client.delete("kindly")
    client.delete("kindlier")

    assert {"echo:latest", "kindly:latest", "kindlier:latest"} <= names
    assert shown.capabilities == ["completion"]
    assert "temperature" in (shown.parameters or "")
    assert shown.details is not None
    assert shown.details.family == "echo"
    assert not {"kindly:latest", "kindlier:latest"} & {model.model for model in client.list().models}


def test_pull_reports_progress_until_success(client: ollama.Client) -> None:
    statuses = [progress.status for progress in client.pull("echo", stream=True)]

    assert statuses[0] == "pulling manifest"
    assert statuses[-1] == "success"


def test_ps_shows_what_is_loaded(client: ollama.Client) -> None:
    client.generate("echo", "hi")

    [model] = client.ps().models
    assert model.name == "echo:latest"
    assert model.context_length == 4096


def test_errors_arrive_as_the_clients_own(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="model 'nope' not found") as caught:
        client.chat("nope", [{"role": "user", "content": "x"}])

    assert caught.value.status_code == 404


def test_a_blob_is_uploaded_for_create(client: ollama.Client, tmp_path: Path) -> None:
    from fakes.gguf_files import echo_gguf

    path = tmp_path / "mine.gguf"
    path.write_bytes(echo_gguf())
    digest = client.create_blob(path)
    client.create("mine", files={"mine.gguf": digest})

    assert client.generate("mine", "hello").response == "hello"
    client.delete("mine")
