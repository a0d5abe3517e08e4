"""The official Python client of OpenAI against the daemon: nothing changes but the address."""

import asyncio
import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from fakes import goldens
from fakes.daemon_process import DaemonProcess

HELLO: Any = [{"role": "user", "content": "hello"}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}},
    },
}
CALL = '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>'
UNGUESSED: dict[str, Any] = {"options": {"draft_num_predict": 0}}
"""Each token takes a step of its own: a thousand slow ones take minutes."""
TEMPLATE_WITH_TOOLS = (
    "{{ range .Messages }}{{ if .ToolCalls }}<tool_call>{{ range .ToolCalls }}{{ .Function.Name }}{{ end }}"
    '</tool_call>{{ end }}{{ if eq .Role "user" }}{{ .Content }}{{ end }}{{ end }}{{ if .Tools }}{{ end }}'
)
TEMPLATE_WITH_THINKING = (
    "{{ range .Messages }}{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ .Content }}{{ end }}"
)


@pytest.fixture
def client(shared: DaemonProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{shared.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def caller(templated: Callable[..., str]) -> str:
    """A model that offers tools and answers with what the user said."""
    return templated("openai-caller", TEMPLATE_WITH_TOOLS)


@pytest.fixture(scope="module")
def thinker(templated: Callable[..., str]) -> str:
    """A model that can think and answers with what the user said."""
    return templated("openai-thinker", TEMPLATE_WITH_THINKING)


@pytest.mark.client("openai", "chat")
def test_a_chat_is_answered(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="echo", messages=HELLO)

    [choice] = answer.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", "hello", "stop")
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 5
    assert re.fullmatch(r"chatcmpl-\d{1,3}", answer.id)


@pytest.mark.client("openai", "stream")
def test_a_chat_streams_and_ends_with_its_usage(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="echo", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = list(stream)

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "hello"
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "stop"
    assert len({(chunk.id, chunk.created) for chunk in chunks}) == 1
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.prompt_tokens == len("hello") + 1


def test_the_streaming_helper_puts_the_answer_together(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="echo", messages=HELLO) as stream:
        kinds = {event.type for event in stream}
        answer = stream.get_final_completion()

    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert answer.choices[0].message.content == "hello"


@pytest.mark.client("openai", "async")
def test_the_asynchronous_client_answers_several_at_once(shared: DaemonProcess) -> None:
    async def main() -> list[str | None]:
        async with openai.AsyncOpenAI(base_url=f"{shared.url}/v1", api_key="unused", max_retries=0) as client:

            async def ask(text: str) -> str | None:
                answer = await client.chat.completions.create(
                    model="echo", messages=[{"role": "user", "content": text}]
                )
                return answer.choices[0].message.content

            return await asyncio.gather(*(ask(f"number {n}") for n in range(8)))

    assert asyncio.run(main()) == [f"number {n}" for n in range(8)]


def test_several_choices_come_in_one_answer_and_in_one_stream(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="echo", messages=HELLO, n=3)
    texts = ["", "", ""]
    for chunk in client.chat.completions.create(model="echo", messages=HELLO, n=3, stream=True):
        texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""

    assert [(choice.index, choice.message.content) for choice in answer.choices] == [(n, "hello") for n in range(3)]
    assert texts == ["hello"] * 3


def test_an_answer_that_is_cut_says_so(client: openai.OpenAI) -> None:
    limited = client.chat.completions.create(model="echo", messages=HELLO, max_tokens=2)
    stopped = client.chat.completions.create(model="echo", messages=HELLO, stop="lo")
    modern = client.chat.completions.create(model="echo", messages=HELLO, max_completion_tokens=3)

    assert (limited.choices[0].message.content, limited.choices[0].finish_reason) == ("he", "length")
    assert (stopped.choices[0].message.content, stopped.choices[0].finish_reason) == ("hel", "stop")
    assert modern.choices[0].message.content == "hel"


def test_log_probabilities_come_with_the_tokens(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="echo", messages=HELLO, logprobs=True, top_logprobs=1)

    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert [item.token for item in logprobs.content or []] == list("hello")


@pytest.mark.client("openai", "tools")
def test_a_tool_is_called_and_its_result_goes_back(client: openai.OpenAI, caller: str) -> None:
    asked: Any = [{"role": "user", "content": CALL}]
    answer = client.chat.completions.create(model=caller, messages=asked, tools=[WEATHER])
    [call] = answer.choices[0].message.tool_calls or []
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    history = [*asked, answer.choices[0].message.model_dump(), result, {"role": "user", "content": "thanks"}]
    after = client.chat.completions.create(model=caller, messages=history)

    assert answer.choices[0].finish_reason == "tool_calls"
    assert call.type == "function"
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city":"Paris"}')
    assert after.choices[0].message.content is not None
    assert after.choices[0].message.content.endswith("thanks")


def test_a_tool_call_streams_whole(client: openai.OpenAI, caller: str) -> None:
    asked: Any = [{"role": "user", "content": CALL}]
    chunks = list(client.chat.completions.create(model=caller, messages=asked, tools=[WEATHER], stream=True))

    [call] = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    assert call.function is not None
    assert call.function.arguments == '{"city":"Paris"}'
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_tools_that_may_not_be_called_are_not_read_out_of_the_answer(client: openai.OpenAI, caller: str) -> None:
    asked: Any = [{"role": "user", "content": CALL}]
    answer = client.chat.completions.create(model=caller, messages=asked, tools=[WEATHER], tool_choice="none")

    assert answer.choices[0].message.tool_calls is None
    assert answer.choices[0].message.content == CALL


@pytest.mark.client("openai", "thinking")
def test_reasoning_stands_apart_from_content(client: openai.OpenAI, thinker: str) -> None:
    asked: Any = [{"role": "user", "content": "<think>hm</think>four"}]
    thought = client.chat.completions.create(model=thinker, messages=asked, reasoning_effort="low")
    plain = client.chat.completions.create(model=thinker, messages=asked, reasoning_effort="none")
    deltas = [
        chunk.choices[0].delta for chunk in client.chat.completions.create(model=thinker, messages=asked, stream=True)
    ]

    assert (thought.choices[0].message.model_extra, thought.choices[0].message.content) == ({"reasoning": "hm"}, "four")
    assert plain.choices[0].message.content == "<think>hm</think>four"
    assert "".join((delta.model_extra or {}).get("reasoning", "") for delta in deltas) == "hm"
    assert "".join(delta.content or "" for delta in deltas) == "four"


def test_native_fields_are_accepted_beside_openais(client: openai.OpenAI, shared: DaemonProcess) -> None:
    extra = {"options": {"num_predict": 2}, "keep_alive": -1}
    answer = client.chat.completions.create(model="echo", messages=HELLO, extra_body=extra)
    model, *_ = shared.request("GET", "/api/ps").json()["models"]
    client.chat.completions.create(model="echo", messages=HELLO, extra_body={"keep_alive": "5m"})

    assert answer.choices[0].message.content == "he"
    assert int(model["expires_at"][:4]) > 2300


@pytest.mark.client("openai", "generate")
def test_a_text_is_completed(client: openai.OpenAI) -> None:
    whole = client.completions.create(model="echo", prompt="hello")
    parts = list(client.completions.create(model="echo", prompt="hello", stream=True, max_tokens=4))

    assert (whole.choices[0].text, whole.choices[0].finish_reason) == ("hello", "stop")
    assert "".join(part.choices[0].text for part in parts) == "hell"
    assert parts[-1].choices[0].finish_reason == "length"


def test_a_response_is_created_and_streamed(client: openai.OpenAI) -> None:
    answer = client.responses.create(model="echo", input="hello", instructions="")
    with client.responses.stream(model="echo", input="hello") as stream:
        kinds = [event.type for event in stream]
        streamed = stream.get_final_response()

    assert (answer.output_text, answer.status) == ("hello", "completed")
    assert answer.usage is not None
    assert answer.usage.input_tokens == len("hello") + 1
    assert streamed.output_text == "hello"
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_response_calls_a_tool_and_its_result_goes_back(
    client: openai.OpenAI, caller: str, is_streamed: bool
) -> None:
    tool: Any = {"type": "function", "strict": False, **WEATHER["function"]}
    asked: Any = [{"role": "user", "content": f"Let me see. {CALL}"}]
    if is_streamed:
        with client.responses.stream(model=caller, input=asked, tools=[tool]) as stream:
            answer: Any = stream.get_final_response()
    else:
        answer = client.responses.create(model=caller, input=asked, tools=[tool])
    message, call = answer.output
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    after = client.responses.create(
        model=caller, input=[*asked, *(item.to_dict() for item in answer.output), result, *HELLO]
    )

    assert message.content[0].text.strip() == "Let me see."
    assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", "get_weather", {"city": "Paris"})
    assert after.output_text.endswith("hello")


def test_a_response_tells_reasoning_apart(client: openai.OpenAI, thinker: str) -> None:
    asked: Any = [{"role": "user", "content": "<think>hm</think>four"}]
    whole = client.responses.create(model=thinker, input=asked, reasoning={"effort": "low"})
    with client.responses.stream(model=thinker, input=asked) as stream:
        streamed: Any = stream.get_final_response()

    for answer in (whole, streamed):
        thought, _ = answer.output
        assert (thought.type, thought.summary[0].text, answer.output_text) == ("reasoning", "hm", "four")


@pytest.mark.client("openai", "embeddings")
def test_texts_become_vectors(client: openai.OpenAI) -> None:
    packed = client.embeddings.create(model="echo", input=["a", "b"])
    plain = client.embeddings.create(model="echo", input="a", encoding_format="float")

    assert [item.index for item in packed.data] == [0, 1]
    assert plain.data[0].embedding == pytest.approx(packed.data[0].embedding)
    assert sum(value * value for value in plain.data[0].embedding) == pytest.approx(1)
    assert plain.usage.total_tokens > 0


@pytest.mark.client("openai", "models")
def test_models_are_listed_and_found(client: openai.OpenAI) -> None:
    assert "echo:latest" in [model.id for model in client.models.list()]
    assert client.models.retrieve("echo").id == "echo"
    assert client.models.retrieve("library/echo").owned_by == "library"


@pytest.mark.client("openai", "errors")
def test_errors_arrive_as_the_clients_own(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="model 'nope' not found") as missing:
        client.chat.completions.create(model="nope", messages=HELLO, stream=True)
    with pytest.raises(openai.BadRequestError, match="does not support thinking"):
        client.chat.completions.create(model="echo", messages=HELLO, reasoning_effort="high")
    with pytest.raises(openai.BadRequestError, match="too short"):
        client.chat.completions.create(model="echo", messages=[])

    assert missing.value.type == "not_found_error"


def test_a_runner_that_dies_in_mid_answer_ends_the_stream_with_an_error(
    start: Callable[..., DaemonProcess], put_echo: Callable[..., str]
) -> None:
    daemon = start()
    body: dict[str, Any] = {"model": put_echo(daemon, "slow", step_seconds=0.3), "stream": True, **UNGUESSED}
    body["messages"] = [{"role": "user", "content": "x" * 1000}]
    with daemon.client.stream("POST", "/v1/chat/completions", json=body) as response:
        lines = response.iter_lines()
        next(lines)
        [pid] = daemon.runner_pids()
        os.kill(pid, signal.SIGKILL)
        *_, last, empty = lines

    error = "an error was encountered while running the model: signal: SIGKILL"
    assert json.loads(last.removeprefix("data: "))["error"]["message"] == error
    assert empty == ""


def test_a_response_that_breaks_off_is_an_error_of_the_client(
    start: Callable[..., DaemonProcess], put_echo: Callable[..., str]
) -> None:
    daemon = start()
    name = put_echo(daemon, "slow", step_seconds=0.3)
    with (
        openai.OpenAI(base_url=f"{daemon.url}/v1", api_key="unused", max_retries=0) as client,
        client.responses.create(model=name, input="x" * 1000, stream=True, extra_body=UNGUESSED) as stream,
    ):
        next(stream)
        [pid] = daemon.runner_pids()
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(openai.APIError, match="SIGKILL"):
            list(stream)


def test_streams_are_framed_as_they_always_were(shared: DaemonProcess) -> None:
    """Clients parse these bytes: whatever changes here is seen by somebody."""
    usage = {"stream": True, "stream_options": {"include_usage": True}}
    bodies = [
        ("/v1/chat/completions", {"model": "echo", "messages": HELLO, **usage}),
        ("/v1/completions", {"model": "echo", "prompt": "hi", **usage}),
        ("/v1/responses", {"model": "echo", "input": "hi", "stream": True}),
        ("/v1/chat/completions", {"model": "echo", "messages": HELLO}),
        ("/v1/chat/completions", {"model": "nope", "messages": HELLO, "stream": True}),
    ]
    responses = [shared.request("POST", path, body) for path, body in bodies]

    text = "\n".join(f"{r.status_code} {r.headers['content-type']}\n{r.text}" for r in responses)
    timeless = re.sub(r'"(created|created_at|completed_at|cached_tokens)":\d+', r'"\1":0', text)
    timeless = re.sub(r"(chatcmpl-|cmpl-|resp_|msg_)\d+", r"\g<1>0", timeless)
    goldens.check(goldens.FOLDER / "openai" / "streams.txt", timeless)
