"""Structured output in every mix: thinking, streaming, tools and template families, on real weights."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from fakes import thinkers
from fakes.daemon_process import DaemonProcess
from fakes.thinkers import FAMILIES, MARKS, SCHEMA, TOOL

pytestmark = pytest.mark.weights

NUM_AT_ONCE = 16
WORDS = 'root ::= "yes" | "no"'
LIKELY = {"temperature": 1.0, "top_p": 0.5, "num_predict": 500, "think_budget": 40}
"""Hot, but sure to begin as the assistant did before. No answer that holds to its schema has more tokens."""
SURE = {**LIKELY, "temperature": 0}


@dataclass(frozen=True)
class Mix:
    family: str
    think: bool
    stream: bool
    tools: bool

    def __str__(self) -> str:
        named = {"think": self.think, "stream": self.stream, "tools": self.tools}
        return "-".join([self.family, *(name for name, is_on in named.items() if is_on)])


MIXES = [Mix(*values) for values in product(FAMILIES, (True, False), (True, False), (True, False))]


@dataclass(frozen=True)
class Answer:
    content: str
    thinking: str
    last: dict[str, Any]
    num_calls: int


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, starter_gguf: Path) -> Iterator[DaemonProcess]:
    """A daemon with a model of each family."""
    home = tmp_path_factory.mktemp("structured")
    thinkers.with_jinja(starter_gguf, home / "jinja.gguf")
    catalogue = home / "catalogue.yaml"
    sources = {"starter": starter_gguf, "jinja": home / "jinja.gguf"}
    catalogue.write_text("".join(f"{name}:\n  source: file:{path}\n" for name, path in sources.items()))
    daemon = DaemonProcess(home, {"OLLAMAPY_CATALOGUE": str(catalogue)})
    thinkers.create(daemon)
    yield daemon
    assert daemon.stop() == 0


def chat(daemon: DaemonProcess, family: str, *, stream: bool = False, **fields: Any) -> Answer:
    body = {"model": family, "messages": thinkers.chat(), "options": LIKELY, **fields}
    chunks = list(daemon.stream("/api/chat", **body)) if stream else [daemon.post("/api/chat", **body)]
    assert not [chunk["error"] for chunk in chunks if "error" in chunk]
    messages = [chunk["message"] for chunk in chunks]
    return Answer(
        "".join(message["content"] for message in messages),
        "".join(message.get("thinking", "") for message in messages),
        chunks[-1],
        sum(len(message.get("tool_calls", [])) for message in messages),
    )


@pytest.fixture(scope="module")
def answers(daemon: DaemonProcess) -> dict[Mix, Answer]:
    """All mixes, many at once, each with a seed of its own."""

    def ask(mix: Mix) -> Answer:
        options = {**LIKELY, "seed": MIXES.index(mix)}
        tools = [TOOL] if mix.tools else []
        fields = {"format": SCHEMA, "think": mix.think, "tools": tools, "options": options}
        return chat(daemon, mix.family, stream=mix.stream, **fields)

    with ThreadPoolExecutor(NUM_AT_ONCE) as pool:
        return dict(zip(MIXES, pool.map(ask, MIXES), strict=True))


@pytest.mark.parametrize("mix", MIXES, ids=str)
def test_the_content_holds_to_its_schema_and_the_thinking_stands_apart(answers: dict[Mix, Answer], mix: Mix) -> None:
    answer = answers[mix]

    assert answer.last["done_reason"] == "stop"
    jsonschema.validate(json.loads(answer.content), SCHEMA)
    assert not any(mark in answer.content + answer.thinking for mark in MARKS)
    assert answer.num_calls == 0
    if mix.family != "harmony":  # its models always think, and so does one that has seen them do it
        assert bool(answer.thinking) == mix.think


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("stream", [True, False])
def test_thinking_that_has_spent_its_budget_is_closed_before_the_content(
    daemon: DaemonProcess, family: str, stream: bool
) -> None:
    answer = chat(daemon, family, stream=stream, format=SCHEMA, options={**SURE, "think_budget": 2})

    assert answer.last["thinking_cut"] is True
    assert 0 < len(answer.thinking.split()) <= 2
    jsonschema.validate(json.loads(answer.content), SCHEMA)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("think", [True, False])
def test_a_grammar_holds_the_content_after_the_thinking(daemon: DaemonProcess, family: str, think: bool) -> None:
    """The content is an answer of the grammar and nothing else, white space included."""
    answer = chat(daemon, family, think=think, grammar=WORDS)

    assert answer.content in ("yes", "no")
    assert answer.last["done_reason"] == "stop"


@pytest.mark.parametrize("family", FAMILIES)
def test_generate_holds_to_its_format_after_the_thinking_too(daemon: DaemonProcess, family: str) -> None:
    options = {**LIKELY, "think_budget": 8}
    answer = daemon.post("/api/generate", model=family, prompt="A city?", think=True, format=SCHEMA, options=options)

    assert answer["done_reason"] == "stop"
    jsonschema.validate(json.loads(answer["response"]), SCHEMA)


def test_content_that_looks_like_a_call_is_content_when_a_format_asks_for_it(daemon: DaemonProcess) -> None:
    call = {"name": {"const": "get_weather"}, "arguments": {"const": {"city": "Oslo"}}}
    schema = {"type": "object", "properties": call, "required": ["name", "arguments"]}

    answer = chat(daemon, "tags", format=schema, tools=[TOOL])

    assert json.loads(answer.content) == {"name": "get_weather", "arguments": {"city": "Oslo"}}
    assert answer.num_calls == 0


def test_a_models_own_grammar_holds_its_answers_and_a_format_goes_before_it(daemon: DaemonProcess) -> None:
    made = {"from": "tags", "parameters": {"grammar": WORDS}}
    assert daemon.post("/api/create", model="worded", **made) == {"status": "success"}

    assert chat(daemon, "worded").content in ("yes", "no")
    jsonschema.validate(json.loads(chat(daemon, "worded", format=SCHEMA).content), SCHEMA)
    assert chat(daemon, "worded", grammar="", options=SURE).content not in ("yes", "no")


def test_an_answer_that_is_cut_short_says_so(daemon: DaemonProcess) -> None:
    answer = chat(daemon, "opened", format=SCHEMA, options={**LIKELY, "think_budget": 0, "num_predict": 5})

    assert answer.last["done_reason"] == "length"
