"""The official Python client of Anthropic against the daemon: nothing changes but the address."""

import asyncio
import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import pytest
from fakes import goldens
from fakes.daemon_process import DaemonProcess

HELLO: Any = [{"role": "user", "content": "hello"}]
WEATHER: Any = {
    "name": "get_weather",
    "input_schema": {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}},
}
CALL = '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>'
TEMPLATE_WITH_TOOLS = (
    '{{ range .Messages }}{{ if .ToolCalls }}<tool_call>{{ range .ToolCalls }}{{ .Function.Name }}{{ end }}</tool_call>'
    '{{ end }}{{ if ne .Role "assistant" }}{{ .Content }}{{ end }}{{ end }}{{ if .Tools }}{{ end }}'
)  # fmt: skip
TEMPLATE_WITH_THINKING = (
    "{{ range .Messages }}{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ .Content }}{{ end }}"
)


@pytest.fixture
def client(shared: DaemonProcess) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=shared.url, api_key="unused", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def caller(templated: Callable[..., str]) -> str:
    """A model that offers tools and answers with what the user said."""
    return templated("anthropic-caller", TEMPLATE_WITH_TOOLS)


@pytest.fixture(scope="module")
def thinker(templated: Callable[..., str]) -> str:
    """A model that can think and answers with what the user said."""
    return templated("anthropic-thinker", TEMPLATE_WITH_THINKING)


@pytest.mark.client("anthropic", "chat")
def test_a_message_is_answered(client: anthropic.Anthropic) -> None:
    answer = client.messages.create(model="echo", max_tokens=99, messages=HELLO)

    [block] = answer.content
    assert (block.type, answer.role, answer.stop_reason) == ("text", "assistant", "end_turn")
    assert block.text == "hello"
    assert answer.usage.input_tokens == len("hello") + 1
    assert re.fullmatch(r"msg_[0-9a-f]{24}", answer.id)


@pytest.mark.client("anthropic", "stream")
def test_a_message_streams_and_is_put_together(client: anthropic.Anthropic) -> None:
    with client.messages.stream(model="echo", max_tokens=99, messages=HELLO) as stream:
        text = "".join(stream.text_stream)
        answer = stream.get_final_message()

    assert text == "hello"
    assert [block.type for block in answer.content] == ["text"]
    assert answer.stop_reason == "end_turn"
    assert answer.usage.output_tokens > 0


@pytest.mark.client("anthropic", "async")
def test_the_asynchronous_client_answers_several_at_once(shared: DaemonProcess) -> None:
    async def main() -> list[Any]:
        async with anthropic.AsyncAnthropic(base_url=shared.url, api_key="unused", max_retries=0) as client:

            async def ask(text: str) -> Any:
                messages: Any = [{"role": "user", "content": text}]
                return (await client.messages.create(model="echo", max_tokens=99, messages=messages)).content[0]

            return await asyncio.gather(*(ask(f"number {n}") for n in range(8)))

    assert [block.text for block in asyncio.run(main())] == [f"number {n}" for n in range(8)]


def test_a_bound_on_the_tokens_and_a_stop_text_end_an_answer(client: anthropic.Anthropic) -> None:
    limited = client.messages.create(model="echo", max_tokens=2, messages=HELLO)
    stopped = client.messages.create(model="echo", max_tokens=99, messages=HELLO, stop_sequences=["lo"])

    assert limited.stop_reason == "max_tokens"
    assert stopped.content[0].type == "text"
    assert stopped.content[0].text == "hel"
    assert stopped.stop_reason == "end_turn"


@pytest.mark.client("anthropic", "tools")
@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_tool_is_called_and_its_result_goes_back(client: anthropic.Anthropic, caller: str, is_streamed: bool) -> None:
    asked: Any = {"model": caller, "max_tokens": 99, "tools": [WEATHER]}
    first: Any = {"role": "user", "content": f"Let me see. {CALL}"}
    if is_streamed:
        with client.messages.stream(messages=[first], **asked) as stream:
            answer: Any = stream.get_final_message()
    else:
        answer = client.messages.create(messages=[first], **asked)
    text, use = answer.content
    result = {"type": "tool_result", "tool_use_id": use.id, "content": [{"type": "text", "text": "sunny"}]}
    history: Any = [first, {"role": "assistant", "content": answer.content}, {"role": "user", "content": [result]}]
    after = client.messages.create(model=caller, max_tokens=999, messages=history)

    assert answer.stop_reason == "tool_use"
    assert (text.type, text.text.strip()) == ("text", "Let me see.")
    assert (use.type, use.name, use.input) == ("tool_use", "get_weather", {"city": "Paris"})
    assert after.content[0].type == "text"
    assert after.content[0].text.endswith("sunny")


@pytest.mark.client("anthropic", "thinking")
def test_thinking_has_a_block_of_its_own(client: anthropic.Anthropic, thinker: str) -> None:
    asked: Any = [{"role": "user", "content": "<think>hm</think>four"}]
    thinking: Any = {"type": "enabled", "budget_tokens": 1024}
    whole = client.messages.create(model=thinker, max_tokens=2048, messages=asked, thinking=thinking)
    plain = client.messages.create(model=thinker, max_tokens=99, messages=asked, thinking={"type": "disabled"})
    with client.messages.stream(model=thinker, max_tokens=2048, messages=asked, thinking=thinking) as stream:
        streamed = stream.get_final_message()

    for answer in (whole, streamed):
        thought, text = answer.content
        assert (thought.type, text.type) == ("thinking", "text")
        assert (getattr(thought, "thinking", ""), getattr(text, "text", "")) == ("hm", "four")
    assert [block.type for block in plain.content] == ["text"]


def test_a_model_that_cannot_think_answers_and_says_so(client: anthropic.Anthropic, shared: DaemonProcess) -> None:
    thinking: Any = {"type": "enabled", "budget_tokens": 1024}
    answer = client.messages.create(model="echo", max_tokens=2048, messages=HELLO, thinking=thinking)

    assert answer.content[0].type == "text"
    assert (answer.model_extra or {})["warning"] == "the model cannot think: thinking was switched off"
    assert "thinking switched off model=echo" in shared.log


def test_tokens_are_counted_as_the_model_counts_them(client: anthropic.Anthropic) -> None:
    counted = client.messages.count_tokens(model="echo", messages=HELLO)
    answer = client.messages.create(model="echo", max_tokens=9, messages=HELLO)

    assert counted.input_tokens == answer.usage.input_tokens == len("hello") + 1


@pytest.mark.client("anthropic", "errors")
def test_errors_arrive_as_the_clients_own(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="model 'nope' not found") as missing:
        client.messages.create(model="nope", max_tokens=9, messages=HELLO)
    with pytest.raises(anthropic.BadRequestError, match="max_tokens is required and must be positive"):
        client.messages.create(model="echo", max_tokens=0, messages=HELLO)
    with pytest.raises(anthropic.BadRequestError, match="messages is required"):
        client.messages.create(model="echo", max_tokens=9, messages=[])

    body: Any = missing.value.body
    assert body["error"]["type"] == "not_found_error"
    assert re.fullmatch(r"req_[0-9a-f]{24}", body["request_id"])


def test_a_runner_that_dies_in_mid_answer_ends_the_stream_with_an_error_event(
    start: Callable[..., DaemonProcess], put_echo: Callable[..., str]
) -> None:
    daemon = start()
    body: dict[str, Any] = {"model": put_echo(daemon, "slow", step_seconds=0.05), "stream": True, "max_tokens": 9999}
    body["messages"] = [{"role": "user", "content": "x" * 2000}]
    body["options"] = {"draft_num_predict": 0}  # a hundred seconds; guesses would have a loop done in no time
    with daemon.client.stream("POST", "/v1/messages", json=body) as response:
        lines = response.iter_lines()
        assert next(lines) == "event: message_start"
        [pid] = daemon.runner_pids()
        os.kill(pid, signal.SIGKILL)
        *_, name, data, empty = lines

    message = "an error was encountered while running the model: signal: SIGKILL"
    assert name == "event: error"
    assert json.loads(data.removeprefix("data: ")) == {
        "type": "error",
        "error": {"type": "api_error", "message": message},
    }
    assert empty == ""


def test_streams_are_framed_as_they_always_were(shared: DaemonProcess, thinker: str, caller: str) -> None:
    """Clients parse these bytes: whatever changes here is seen by somebody."""
    thought: Any = [{"role": "user", "content": "<think>hm</think>4"}]
    call: Any = [{"role": "user", "content": CALL}]
    bodies: list[dict[str, Any]] = [
        {"model": thinker, "messages": thought, "stream": True},
        {"model": caller, "messages": call, "tools": [WEATHER], "stream": True},
        {"model": caller, "messages": call, "tools": [WEATHER]},
        {"model": "nope", "messages": HELLO, "stream": True},
    ]
    responses = [shared.request("POST", "/v1/messages?beta=true", {"max_tokens": 2048, **body}) for body in bodies]

    text = "\n".join(f"{r.status_code} {r.headers['content-type']}\n{r.text}" for r in responses)
    timeless = re.sub(r"call_\w{8}", "call_0", re.sub(r"(msg|req)_[0-9a-f]{24}", r"\1_0", text))
    goldens.check(goldens.FOLDER / "anthropic" / "streams.txt", timeless)
