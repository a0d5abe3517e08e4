"""Libraries that people build on, against the daemon: on echo, whose answers are known, and on the starters.

Each library is imported where it is used: what it costs to import, only its own tests pay.
"""

import asyncio
import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic
import pytest
from fakes.daemon_process import DaemonProcess

CALL = '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>'
ASKED = "What is the weather in Paris? Name the city and a number of degrees."
WIDTH = 384
PATIENCE = 240.0
"""LlamaIndex waits 30 s by itself."""

# These libraries never close their connections.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """What a test leaves open is collected before the next one, which may be in another file, begins."""
    yield
    gc.collect()


class Weather(pydantic.BaseModel):
    """The weather of a city."""

    # Bounded, so that every answer ends, whatever the model says.
    city: str = pydantic.Field(max_length=20)
    degrees: int = pydantic.Field(ge=-99, le=99)


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


def in_one(vectors: list[list[float]]) -> list[int]:
    return [len(vector) for vector in vectors]


@pytest.mark.client("langchain-ollama", "generate", "chat", "stream", "async")
def test_langchain_invokes_and_streams(shared: DaemonProcess) -> None:
    from langchain_ollama import ChatOllama, OllamaLLM

    model = ChatOllama(model="echo", base_url=shared.url, validate_model_on_init=True)
    answer = model.invoke("hello")

    assert answer.content == "hello"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["input_tokens"] == len("hello") + 1
    assert "".join(str(part.content) for part in model.stream("hello")) == "hello"
    assert asyncio.run(model.ainvoke("hello")).content == "hello"
    assert "".join(OllamaLLM(model="echo", base_url=shared.url).stream("hello")) == "hello"


@pytest.mark.client("langchain-ollama", "tools")
def test_langchain_calls_a_tool_and_sends_its_result(shared: DaemonProcess, caller: str) -> None:
    from langchain_core.messages import HumanMessage, ToolMessage
    from langchain_core.tools import tool
    from langchain_ollama import ChatOllama

    weather = tool(get_weather)
    model = ChatOllama(model=caller, base_url=shared.url)
    asked = HumanMessage(CALL)
    answer: Any = model.bind_tools([weather]).invoke([asked])
    [call] = answer.tool_calls
    result: ToolMessage = weather.invoke(call)

    assert (call["name"], result.content) == ("get_weather", "sunny in Paris")
    assert model.invoke([asked, answer, result]).content == "sunny in Paris"


@pytest.mark.client("langchain-ollama", "thinking")
def test_langchain_tells_thinking_apart(shared: DaemonProcess, thinker: str) -> None:
    from langchain_ollama import ChatOllama

    answer = ChatOllama(model=thinker, base_url=shared.url, reasoning=True).invoke("<think>hm</think>four")

    assert (answer.content, answer.additional_kwargs["reasoning_content"]) == ("four", "hm")


@pytest.mark.client("langchain-ollama", "errors")
def test_langchain_raises_errors(shared: DaemonProcess) -> None:
    import ollama
    from langchain_ollama import ChatOllama

    with pytest.raises(ollama.ResponseError, match="model 'nope' not found"):
        ChatOllama(model="nope", base_url=shared.url).invoke("hello")


@pytest.mark.weights
@pytest.mark.client("langchain-ollama", "structured output")
@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
def test_langchain_gets_an_answer_of_a_type(starters: DaemonProcess, method: Any) -> None:
    from langchain_ollama import ChatOllama

    model = ChatOllama(model="starter", base_url=starters.url, num_predict=200, temperature=0)
    schema = Weather if method == "json_schema" else None
    answer = model.with_structured_output(schema, method=method, include_raw=schema is None).invoke(ASKED)

    assert isinstance(answer, Weather) if schema else isinstance(answer, dict)


@pytest.mark.weights
@pytest.mark.client("langchain-ollama", "embeddings")
def test_langchain_embeds(starters: DaemonProcess) -> None:
    from langchain_ollama import OllamaEmbeddings

    model = OllamaEmbeddings(model="starter-embed", base_url=starters.url)

    assert in_one(model.embed_documents(["a cat", "a dog"])) == [WIDTH, WIDTH]
    assert len(asyncio.run(model.aembed_query("a cat"))) == WIDTH


@pytest.mark.client("llama-index", "generate", "chat", "stream", "async")
def test_llama_index_completes_chats_and_streams(shared: DaemonProcess) -> None:
    from llama_index.core.llms import ChatMessage
    from llama_index.llms.ollama import Ollama

    model = Ollama(model="echo", base_url=shared.url, request_timeout=PATIENCE)
    messages = [ChatMessage(role="user", content="hello")]

    assert model.complete("hello").text == "hello"
    assert model.chat(messages).message.content == "hello"
    assert "".join(part.delta or "" for part in model.stream_chat(messages)) == "hello"
    assert asyncio.run(model.acomplete("hello")).text == "hello"


@pytest.mark.client("llama-index", "tools")
def test_llama_index_calls_a_tool(shared: DaemonProcess, caller: str) -> None:
    from llama_index.core.tools import FunctionTool
    from llama_index.llms.ollama import Ollama

    model = Ollama(model=caller, base_url=shared.url, request_timeout=PATIENCE)
    answer = model.predict_and_call([FunctionTool.from_defaults(get_weather)], user_msg=CALL)

    assert answer.response == "sunny in Paris"


@pytest.mark.client("llama-index", "thinking", "errors")
def test_llama_index_tells_thinking_apart_and_raises_errors(shared: DaemonProcess, thinker: str) -> None:
    import ollama
    from llama_index.core.llms import ChatMessage
    from llama_index.llms.ollama import Ollama

    model = Ollama(model=thinker, base_url=shared.url, thinking=True, request_timeout=PATIENCE)
    answer = model.chat([ChatMessage(role="user", content="<think>hm</think>four")])

    assert [getattr(block, "content", None) or block.text for block in answer.message.blocks] == ["hm", "four"]
    with pytest.raises(ollama.ResponseError, match="model 'nope:latest' not found"):
        Ollama(model="nope", base_url=shared.url, request_timeout=PATIENCE).complete("hello")


@pytest.mark.weights
@pytest.mark.client("llama-index", "structured output")
def test_llama_index_predicts_a_type(starters: DaemonProcess) -> None:
    from llama_index.core.prompts import PromptTemplate
    from llama_index.llms.ollama import Ollama

    model = Ollama(model="starter", base_url=starters.url, temperature=0, context_window=2048, request_timeout=PATIENCE)

    assert isinstance(model.structured_predict(Weather, PromptTemplate(ASKED)), Weather)


@pytest.mark.weights
@pytest.mark.client("llama-index", "embeddings")
def test_llama_index_embeds(starters: DaemonProcess) -> None:
    from llama_index.embeddings.ollama import OllamaEmbedding

    model = OllamaEmbedding(model_name="starter-embed", base_url=starters.url)

    assert in_one(model.get_text_embedding_batch(["a cat", "a dog"])) == [WIDTH, WIDTH]
    assert len(asyncio.run(model.aget_query_embedding("a cat"))) == WIDTH


@pytest.mark.client("pydantic-ai", "chat", "stream", "async")
def test_pydantic_ai_answers_and_streams(shared: DaemonProcess) -> None:
    async def ask() -> tuple[str, str]:
        agent = agent_on(shared, "echo")
        async with agent.run_stream("hello") as stream:
            return (await agent.run("hello")).output, "".join([part async for part in stream.stream_text(delta=True)])

    assert asyncio.run(ask()) == ("hello", "hello")


@pytest.mark.client("pydantic-ai", "tools")
def test_pydantic_ai_calls_a_tool_and_goes_on_with_its_result(shared: DaemonProcess, caller: str) -> None:
    agent = agent_on(shared, caller)
    agent.tool_plain(get_weather)

    assert asyncio.run(agent.run(CALL)).output == "sunny in Paris"


@pytest.mark.client("pydantic-ai", "thinking")
@pytest.mark.parametrize("api", ["chat", "responses", "messages"])
def test_pydantic_ai_tells_thinking_apart_and_sends_it_back(shared: DaemonProcess, thinker: str, api: str) -> None:
    async def ask() -> tuple[list[str], str]:
        agent = agent_on(shared, thinker, api)
        first = await agent.run("<think>hm</think>four")
        after = await agent.run("and?", message_history=first.all_messages())
        return [part.content for part in first.all_messages()[-1].parts], after.output

    parts, after = asyncio.run(ask())

    assert parts == ["hm", "four"]
    assert after.endswith("and?")


@pytest.mark.client("pydantic-ai", "errors")
def test_pydantic_ai_raises_errors(shared: DaemonProcess) -> None:
    from pydantic_ai.exceptions import ModelHTTPError

    with pytest.raises(ModelHTTPError, match="model 'nope' not found"):
        asyncio.run(agent_on(shared, "nope").run("hello"))


@pytest.mark.weights
@pytest.mark.client("pydantic-ai", "structured output")
@pytest.mark.parametrize("way", ["ToolOutput", "NativeOutput"])
def test_pydantic_ai_gets_an_answer_of_a_type(starters: DaemonProcess, way: str) -> None:
    import pydantic_ai

    agent = agent_on(starters, "starter", output_type=getattr(pydantic_ai, way)(Weather))

    assert isinstance(asyncio.run(agent.run(ASKED)).output, Weather)


@pytest.mark.weights
@pytest.mark.client("pydantic-ai", "embeddings")
def test_pydantic_ai_embeds(starters: DaemonProcess) -> None:
    from pydantic_ai import Embedder
    from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel
    from pydantic_ai.providers.ollama import OllamaProvider

    model = OpenAIEmbeddingModel("starter-embed", provider=OllamaProvider(base_url=f"{starters.url}/v1"))
    found = asyncio.run(Embedder(model).embed_documents(["a cat", "a dog"]))

    assert in_one([list(vector) for vector in found.embeddings]) == [WIDTH, WIDTH]


def agent_on(daemon: DaemonProcess, name: str, api: str = "chat", **more: Any) -> Any:
    from pydantic_ai import Agent
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
    from pydantic_ai.providers.anthropic import AnthropicProvider
    from pydantic_ai.providers.ollama import OllamaProvider

    openai = OllamaProvider(base_url=f"{daemon.url}/v1")
    anthropic = AnthropicProvider(api_key="unused", base_url=daemon.url)
    model: Any = {
        "chat": lambda: OpenAIChatModel(name, provider=openai),
        "responses": lambda: OpenAIResponsesModel(name, provider=openai),
        "messages": lambda: AnthropicModel(name, provider=anthropic),
    }[api]()
    return Agent(model, model_settings={"temperature": 0, "max_tokens": 200}, **more)


@pytest.mark.client("llm-ollama", "chat", "stream", "models")
def test_llm_lists_the_models_and_prompts_them(shared: DaemonProcess, tmp_path: Path) -> None:
    assert "ollama/echo:latest" in llm(shared, tmp_path, "models")
    assert llm(shared, tmp_path, "-m", "ollama/echo:latest", "hello") == "hello\n"
    assert llm(shared, tmp_path, "-m", "ollama/echo:latest", "--no-stream", "hello") == "hello\n"


@pytest.mark.client("llm-ollama", "tools")
def test_llm_calls_a_tool(shared: DaemonProcess, caller: str, tmp_path: Path) -> None:
    functions = tmp_path / "weather.py"
    functions.write_text('def get_weather(city: str) -> str:\n    "The weather"\n    return f"sunny in {city}"\n')
    words = ("-m", f"ollama/{caller}:latest", "--functions", str(functions), CALL)

    assert llm(shared, tmp_path, *words).strip() == "sunny in Paris"


@pytest.mark.weights
@pytest.mark.client("llm-ollama", "structured output", "embeddings")
def test_llm_gets_an_answer_of_a_schema_and_embeds(starters: DaemonProcess, tmp_path: Path) -> None:
    schema = json.dumps(Weather.model_json_schema())
    words = ("-m", "ollama/starter:latest", "--schema", schema, "-o", "temperature", "0")
    answer = json.loads(llm(starters, tmp_path, *words, ASKED))
    vector = json.loads(llm(starters, tmp_path, "embed", "-m", "ollama/starter-embed:latest", "-c", "a cat"))

    assert (list(answer), type(answer["degrees"])) == (["city", "degrees"], int)
    assert len(vector) == WIDTH


def llm(daemon: DaemonProcess, home: Path, *words: str) -> str:
    """What the command `llm` prints, errors after it."""
    env = {**os.environ, "OLLAMA_HOST": daemon.url, "LLM_USER_PATH": str(home / "llm")}
    done = subprocess.run(
        [sys.executable, "-m", "llm", *words], env=env, capture_output=True, text=True, timeout=120, check=False
    )
    return done.stdout + (done.stderr if done.returncode else "")
