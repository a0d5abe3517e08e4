"""Tools that must be called: whatever the model and however hot, the answer is one valid call."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from fakes import thinkers
from fakes.daemon_process import DaemonProcess

pytestmark = pytest.mark.weights

WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "minLength": 1, "maxLength": 20},
        "unit": {"enum": ["celsius", "kelvin"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
    },
    "required": ["city", "days"],
}
TIME = {"type": "object", "properties": {"zone": {"type": "string", "pattern": "^[A-Z]{3,4}$"}}, "required": ["zone"]}
SCHEMAS = {"get_weather": WEATHER, "get_time": TIME}
TOOLS = [
    {"type": "function", "function": {"name": name, "description": f"Can {name}", "parameters": schema}}
    for name, schema in SCHEMAS.items()
]
NAMED = {"type": "function", "function": {"name": "get_time"}}
ASK = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Weather in Oslo for two days?"}]
TURNS = "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}%s<|im_end|>\n{{ end }}<|im_start|>assistant\n"
SHOWN = "{{ if .Tools }}<|im_start|>system\n{{ range .Tools }}{{ . }}\n{{ end }}<|im_end|>\n{{ end }}"
CALLS = {
    "hermes": '<tool_call>\n{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}\n</tool_call>',
    "llama3": '{"name": "{{ .Function.Name }}", "parameters": {{ .Function.Arguments }}}',
    "mistral": '[TOOL_CALLS] [{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}]',
    "qwen3-coder": "<tool_call>\n<function={{ .Function.Name }}>\n{{ range $key, $value := .Function.Arguments }}"
    "<parameter={{ $key }}>\n{{ $value }}\n</parameter>\n{{ end }}</function>\n</tool_call>",
}
MODELS = ("starter", *CALLS)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, starter_gguf: Path) -> Iterator[DaemonProcess]:
    """The starter, and its weights under templates of families that call tools."""
    home = tmp_path_factory.mktemp("choice")
    catalogue = home / "catalogue.yaml"
    catalogue.write_text(f"starter:\n  source: file:{starter_gguf}\n  description: the starter\n")
    daemon = DaemonProcess(home, {"OLLAMAPY_CATALOGUE": str(catalogue)})
    assert daemon.post("/api/pull", model="starter") == {"status": "success"}
    for name, call in CALLS.items():
        turns = TURNS % f"{{{{ if .ToolCalls }}}}{{{{ range .ToolCalls }}}}{call}{{{{ end }}}}{{{{ end }}}}"
        made = daemon.post("/api/create", model=name, **{"from": "starter", "template": SHOWN + turns})
        assert made == {"status": "success"}
    for name, template in thinkers.GO_TEMPLATES.items():
        assert daemon.post("/api/create", model=name, template=template, **{"from": "starter"}) == {"status": "success"}
    yield daemon
    assert daemon.stop() == 0


def ask(daemon: DaemonProcess, model: str, **body: Any) -> Any:
    options = {"temperature": 1.0, "num_predict": 800, **body.pop("options", {})}  # no valid call has more tokens
    answer = daemon.post("/api/chat", **{"model": model, "messages": ASK, "tools": TOOLS, "options": options, **body})
    assert "error" not in answer, answer
    return answer


def check(calls: list[Any], names: set[str]) -> None:
    [call] = calls
    assert call["function"]["name"] in names
    jsonschema.validate(call["function"]["arguments"], SCHEMAS[call["function"]["name"]])


@pytest.mark.parametrize("model", MODELS)
def test_a_required_call_comes_and_is_valid_however_hot_the_model(daemon: DaemonProcess, model: str) -> None:
    for seed in range(4):
        answer = ask(daemon, model, tool_choice="required", options={"seed": seed})

        assert answer["done_reason"] == "stop"
        assert answer["message"]["content"].strip() == ""
        assert "warning" not in answer
        check(answer["message"]["tool_calls"], set(SCHEMAS))


@pytest.mark.parametrize("model", MODELS)
def test_a_named_tool_is_called_in_a_stream(daemon: DaemonProcess, model: str) -> None:
    for seed in range(2):
        body = {"model": model, "messages": ASK, "tools": TOOLS, "options": {"temperature": 1.0, "seed": seed}}
        chunks = list(daemon.stream("/api/chat", tool_choice=NAMED, **body))

        assert "".join(chunk["message"]["content"] for chunk in chunks).strip() == ""
        check([call for chunk in chunks for call in chunk["message"].get("tool_calls", [])], {"get_time"})


@pytest.mark.parametrize("family", thinkers.GO_TEMPLATES)
@pytest.mark.parametrize("think", [True, False])
def test_a_call_comes_after_the_thinking(daemon: DaemonProcess, family: str, think: bool) -> None:
    options = {"top_p": 0.5, "think_budget": 40, "seed": 3}
    body = {"messages": thinkers.chat(), "think": think, "options": options, "tool_choice": "required"}
    answer = ask(daemon, family, **body)

    message = answer["message"]
    assert message["content"].strip() == ""
    assert not any(mark in message.get("thinking", "") for mark in thinkers.MARKS)
    check(message["tool_calls"], set(SCHEMAS))
    if family == "opened" and think:
        assert message["thinking"].strip()


def test_a_model_that_knows_no_tools_is_told_of_them_only_when_it_must_call_one(daemon: DaemonProcess) -> None:
    told = ask(daemon, "starter", tool_choice="required", _debug_render_only=True)["_debug_info"]["rendered_template"]
    silent = ask(daemon, "starter", tool_choice="none", _debug_render_only=True)["_debug_info"]["rendered_template"]
    refused = daemon.post("/api/chat", model="starter", messages=ASK, tools=TOOLS)

    assert told.startswith("<|im_start|>system\nBe kind.\n\nThese tools can be called:\n\n")
    assert told.count('"get_weather"') == 1
    assert "get_weather" not in silent
    assert "does not support tools" in refused["error"]


def test_tools_that_are_not_to_be_called_are_not_shown(daemon: DaemonProcess) -> None:
    shown = ask(daemon, "hermes", tool_choice="auto", _debug_render_only=True)["_debug_info"]["rendered_template"]
    hidden = ask(daemon, "hermes", tool_choice="none", _debug_render_only=True)["_debug_info"]["rendered_template"]

    assert "get_weather" in shown
    assert "get_weather" not in hidden


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"tool_choice": "always"}, 'tool_choice must be "auto", "none", "required" or'),
        ({"tool_choice": "required", "tools": []}, 'tool_choice "required" needs tools'),
        ({"tool_choice": {"type": "function", "function": {"name": "fly"}}}, 'names the tool "fly", and offered are'),
        ({"tool_choice": "required", "format": "json"}, "format and grammar for another answer"),
        (
            {
                "tool_choice": "required",
                "tools": [{"function": {"name": "f", "parameters": {"properties": {"x": {"not": {}}}}}}],
            },
            'tools: [0].function.parameters.properties.x: "not" is not supported',
        ),
    ],
)
def test_a_choice_that_cannot_be_held_is_refused_with_a_reason(
    daemon: DaemonProcess, body: dict[str, Any], message: str
) -> None:
    whole = {"model": "hermes", "messages": ASK, "tools": TOOLS, "stream": False, **body}
    response = daemon.request("POST", "/api/chat", whole)

    assert response.status_code == 400
    assert message in response.json()["error"]


def test_a_call_that_is_cut_short_is_no_call_and_says_so(daemon: DaemonProcess) -> None:
    answer = ask(daemon, "hermes", tool_choice=NAMED, options={"num_predict": 12})

    assert answer["done_reason"] == "length"
    assert "tool_calls" not in answer["message"]
    assert "warning" in answer
