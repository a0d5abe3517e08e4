"""The families of chat templates in the whole daemon: what `show` says of them, and calls that our words ask for."""

import hashlib
import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from fakes.daemon_process import DaemonProcess
from fakes.gguf_files import tiny_model
from fakes.jinja_families import FAMILIES, Family

from ollamapy.cli.show import page
from ollamapy.wire.native import ShowResponse

TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A daemon with a tiny model of every family."""
    daemon = DaemonProcess(tmp_path_factory.mktemp("families"))
    for family in FAMILIES:
        put_family(daemon, family)
    yield daemon
    assert daemon.stop() == 0


def put_family(daemon: DaemonProcess, family: Family) -> None:
    """A model file with the family's templates, created as a model of its name."""
    named = {"tokenizer__chat_template__tool_use": family.tool_template}
    data = tiny_model(family.architecture, tokenizer__chat_template=family.template, **named)
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert daemon.client.post(f"/api/blobs/{digest}", content=data).status_code in (200, 201)
    assert daemon.post("/api/create", model=family.name, files={"m.gguf": digest}) == {"status": "success"}


def section_of(page: str) -> list[str]:
    """What stands under the heading of the capabilities."""
    lines = page.split("  Capabilities\n")[1].splitlines()
    return [line.strip() for line in itertools.takewhile(lambda line: line.startswith("    "), lines)]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_show_lists_what_the_family_can(daemon: DaemonProcess, family: Family) -> None:
    shown = daemon.request("POST", "/api/show", {"model": family.name})

    answer = msgspec.json.decode(shown.content, type=ShowResponse)
    assert sorted(answer.capabilities) == sorted((*family.offers, "completion"))
    assert section_of(page(answer)) == list(answer.capabilities)


@pytest.mark.parametrize(("name", "words"), [("qwen3", ["tools", "thinking", "completion"]), ("gemma", ["completion"])])
def test_the_command_prints_them(daemon: DaemonProcess, name: str, words: list[str]) -> None:
    env = {**os.environ, "OLLAMA_HOST": daemon.url}
    shown = subprocess.run([sys.executable, "-m", "ollamapy", "show", name], env=env, capture_output=True, text=True)

    assert (section_of(shown.stdout), shown.returncode) == (words, 0)


def test_a_call_is_read_as_our_own_words_ask_for_it(shared: DaemonProcess, put_echo: Callable[..., str]) -> None:
    """DeepSeek R1's template has no place for tools: they are told in a system message, with the form of a call.

    Echo answers with its prompt, which ends inside the thinking: all of it up to the user's closing tag is thought.
    """
    [family] = [family for family in FAMILIES if family.name == "deepseek-r1"]
    name = put_echo(shared, "told-tools", chat_template=family.template)
    asked = '</think><tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>'
    messages = [{"role": "user", "content": asked}]

    answer: dict[str, Any] = shared.post("/api/chat", model=name, messages=messages, tools=[TOOL])

    [call] = answer["message"]["tool_calls"]
    assert call["function"] == {"name": "get_weather", "arguments": {"city": "Paris"}, "index": 0}


def test_a_model_without_a_switch_thinks_and_its_thoughts_are_told_apart_all_the_same(
    shared: DaemonProcess, put_echo: Callable[..., str]
) -> None:
    """Its prompt ends with the opening tag whatever was asked, and the answer begins inside: echo says what follows."""
    template = "{{ messages[-1].content }}{% if '</think>' in '' %}{% endif %}<think>"
    name = put_echo(shared, "always-thinks", chat_template=template)
    messages = [{"role": "user", "content": "hm</think>\n\n<think>four"}]

    answer = shared.post("/api/chat", model=name, messages=messages, think=False)["message"]

    assert (answer["thinking"], answer["content"]) == ("hm", "<think>four<think>")


def test_old_thoughts_of_deepseek_r1_do_not_reach_the_prompt(
    shared: DaemonProcess, put_echo: Callable[..., str]
) -> None:
    name = put_echo(shared, "deepseek-r1", chat_template="{% for m in messages %}[{{ m.content }}]{% endfor %}")
    thoughtful = {"role": "assistant", "content": "<think>hm</think>\n\nfour"}
    messages = [{"role": "user", "content": "2+2?"}, thoughtful, {"role": "user", "content": "sure?"}]

    answer = shared.post("/api/chat", model=name, messages=messages, _debug_render_only=True)

    assert answer["_debug_info"]["rendered_template"] == "[2+2?][four][sure?]"
