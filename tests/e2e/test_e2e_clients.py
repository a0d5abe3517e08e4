"""The official Python client of Ollama against the daemon, every method of it: nothing changes but the address."""

import asyncio
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ollama
import pydantic
import pytest
from fakes.daemon_process import DaemonProcess
from fakes.gguf_files import echo_gguf

MESSAGES = [{"role": "user", "content": "hello"}]
CALL = '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>'
ELSEWHERE = {
    "close",
    "web_fetch",  # these two ask ollama.com
    "web_search",
    "systemone",  # not in the API that is emulated
}

Ask = Callable[[Any], Any]
Good = Callable[[Any], bool]

CALLS: dict[str, tuple[Ask, Good]] = {
    "generate": (lambda c: c.generate("echo", "hello"), lambda a: a.response == "hello" and a.done_reason == "stop"),
    "chat": (lambda c: c.chat("echo", MESSAGES), lambda a: a.message.content == "hello" and a.eval_count > 0),
    "embed": (
        lambda c: c.embed("echo", ["a", "b"], keep_alive=0),
        lambda a: [len(v) for v in a.embeddings] == [16, 16],
    ),
    "embeddings": (lambda c: c.embeddings("echo", "hello", keep_alive=0), lambda a: len(a.embedding) == 16),
    "pull": (lambda c: c.pull("echo"), lambda a: a.status == "success"),
    "create": (lambda c: c.create("made", from_="echo", system="be kind"), lambda a: a.status == "success"),
    "show": (lambda c: c.show("made"), lambda a: "be kind" in a.modelfile),
    "list": (lambda c: c.list(), lambda a: {"echo:latest", "made:latest"} <= {m.model for m in a.models}),
    "copy": (lambda c: c.copy("made", "made-too"), lambda a: a.status == "success"),
    "ps": (lambda c: c.ps(), lambda a: ("echo:latest", 4096) in {(m.name, m.context_length) for m in a.models}),
    "delete": (lambda c: c.delete("made-too"), lambda a: a.status == "success"),
}
"""What each method is asked, in this order, and whether the answer is right."""


@pytest.fixture
def client(shared: DaemonProcess) -> Iterator[ollama.Client]:
    with ollama.Client(host=shared.url) as client:
        yield client


def in_async_client(shared: DaemonProcess, ask: Callable[[ollama.AsyncClient], Any]) -> Any:
    async def main() -> Any:
        async with ollama.AsyncClient(host=shared.url) as client:
            return await ask(client)

    return asyncio.run(main())


@pytest.mark.parametrize("client_type", [ollama.Client, ollama.AsyncClient])
def test_every_method_is_tried(client_type: type) -> None:
    methods = {name for name, _ in inspect.getmembers(client_type, inspect.isfunction) if not name.startswith("_")}

    assert methods - ELSEWHERE == {*CALLS, "push", "create_blob"}


@pytest.mark.client("ollama", "generate", "chat", "embeddings", "models")
def test_every_method_answers(client: ollama.Client) -> None:
    for name, (ask, is_good) in CALLS.items():
        answer = ask(client)

        assert is_good(answer), f"{name}: {answer!r}"


@pytest.mark.client("ollama", "async")
def test_every_asynchronous_method_answers(shared: DaemonProcess) -> None:
    async def ask_all(client: ollama.AsyncClient) -> None:
        for name, (ask, is_good) in CALLS.items():
            answer = await ask(client)

            assert is_good(answer), f"{name}: {answer!r}"

    in_async_client(shared, ask_all)


@pytest.mark.client("ollama", "stream")
def test_answers_and_progress_stream(client: ollama.Client) -> None:
    chat = list(client.chat("echo", MESSAGES, stream=True))
    text = list(client.generate("echo", "hello", stream=True))
    pull = [progress.status for progress in client.pull("echo", stream=True)]
    create = [progress.status for progress in client.create("streamed", from_="echo", stream=True)]

    assert "".join(part.message.content or "" for part in chat) == "hello"
    assert "".join(part.response for part in text) == "hello"
    assert [part.done for part in text] == [False] * (len(text) - 1) + [True]
    assert (pull[0], pull[-1], create[-1]) == ("pulling manifest", "success", "success")


@pytest.mark.client("ollama", "async", "stream")
def test_asynchronous_answers_stream_several_at_once(shared: DaemonProcess) -> None:
    async def ask_all(client: ollama.AsyncClient) -> list[str]:
        async def ask(text: str) -> str:
            return "".join([part.response async for part in await client.generate("echo", text, stream=True)])

        return await asyncio.gather(*(ask(f"number {n}") for n in range(8)))

    assert in_async_client(shared, ask_all) == [f"number {n}" for n in range(8)]


@pytest.mark.client("ollama", "tools")
def test_a_python_function_is_a_tool(client: ollama.Client, caller: str) -> None:
    def get_weather(city: str) -> str:
        """The weather of a city.

        Args:
            city: which one
        """
        return f"sunny in {city}"

    messages: list[Any] = [{"role": "user", "content": CALL}]
    answer = client.chat(caller, messages, tools=[get_weather])
    [call] = answer.message.tool_calls or []
    result = get_weather(**call.function.arguments)
    messages += [answer.message, {"role": "tool", "tool_name": "get_weather", "content": result}]
    after = client.chat(caller, messages)

    assert call.function.name == "get_weather"
    assert after.message.content == "sunny in Paris"


@pytest.mark.client("ollama", "thinking")
def test_thinking_comes_apart(client: ollama.Client, thinker: str) -> None:
    messages = [{"role": "user", "content": "<think>hm</think>four"}]
    answer = client.chat(thinker, messages, think=True)
    streamed = list(client.chat(thinker, messages, think=True, stream=True))

    assert (answer.message.thinking, answer.message.content) == ("hm", "four")
    assert "".join(part.message.thinking or "" for part in streamed) == "hm"


def test_what_a_model_is_made_of_is_shown(client: ollama.Client) -> None:
    client.create("kindly", from_="echo", system="be kind", parameters={"temperature": 0.5})
    shown = client.show("kindly")
    client.delete("kindly")

    assert shown.capabilities == ["completion"]
    assert "temperature" in (shown.parameters or "")
    assert shown.details is not None
    assert shown.details.family == "echo"
    assert "kindly:latest" not in {model.model for model in client.list().models}


@pytest.mark.client("ollama", "errors")
def test_errors_arrive_as_the_clients_own(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="model 'nope' not found") as missing:
        client.chat("nope", MESSAGES)
    with pytest.raises(ollama.ResponseError) as streamed:
        list(client.generate("nope", "x", stream=True))
    with pytest.raises(ollama.ResponseError) as pushed:
        client.push("nobody/nothing")

    assert [caught.value.status_code for caught in (missing, streamed)] == [404, 404]
    assert pushed.value.status_code >= 400


@pytest.mark.client("ollama", "models")
def test_a_blob_is_uploaded_for_create(client: ollama.Client, shared: DaemonProcess, tmp_path: Path) -> None:
    path = tmp_path / "mine.gguf"
    path.write_bytes(echo_gguf())
    digest = client.create_blob(path)
    client.create("mine", files={"mine.gguf": digest})

    assert client.generate("mine", "hello", keep_alive=0).response == "hello"
    assert in_async_client(shared, lambda other: other.create_blob(path)) == digest
    client.delete("mine")


@pytest.mark.weights
@pytest.mark.client("ollama", "structured output")
def test_an_answer_satisfies_the_schema_of_a_type(starters: DaemonProcess) -> None:
    class Weather(pydantic.BaseModel):
        """Bounded, so that every answer ends, whatever the model says."""

        city: str = pydantic.Field(min_length=1, max_length=20)
        degrees: int = pydantic.Field(ge=-99, le=99)

    messages = [{"role": "user", "content": "What is the weather in Paris? Name the city and a number of degrees."}]
    with ollama.Client(host=starters.url) as client:
        answer = client.chat("starter", messages, format=Weather.model_json_schema(), options={"temperature": 0})

    assert Weather.model_validate_json(answer.message.content or "").city
