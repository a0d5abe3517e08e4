"""Models that think, in four families, all of the starter's weights: their templates, and a chat that makes it think.

The starter was never taught to think, but it does as the assistant did before.
"""

import json
from pathlib import Path

from fakes.daemon_process import DaemonProcess

_TAGS = """{{ if .Tools }}<|im_start|>system
{{ .Tools }}<|im_end|>
{{ end }}{{ range .Messages }}<|im_start|>{{ .Role }}
{{ if .Thinking }}<think>
{{ .Thinking }}
</think>

{{ end }}{{ .Content }}{{ range .ToolCalls }}<tool_call>{{ .Function.Name }}</tool_call>{{ end }}<|im_end|>
{{ end }}<|im_start|>assistant
{{ if and .IsThinkSet (not .Think) }}<think>

</think>

{{ end }}"""
_OPENED = """{{ if .Tools }}{{ .Tools }}
{{ end }}{{ range .Messages }}{{ if eq .Role "user" }}<｜User｜>{{ .Content }}{{ else -}}
<｜Assistant｜>{{ if .Thinking }}<think>
{{ .Thinking }}
</think>

{{ end }}{{ .Content }}{{ range .ToolCalls }}{{ .Function.Name }}{{ end }}{{ end }}{{ end -}}
<｜Assistant｜>{{ if .Think }}<think>
{{ end }}"""
_HARMONY = """{{ if .Tools }}<|start|>developer<|message|>{{ .Tools }}<|end|>{{ end -}}
{{ range .Messages }}{{ if ne .Role "assistant" -}}
<|start|>{{ .Role }}<|message|>{{ .Content }}<|end|>{{ else }}{{ if .Thinking -}}
<|start|>assistant<|channel|>analysis<|message|>{{ .Thinking }}<|end|>{{ end -}}
<|start|>assistant<|channel|>final<|message|>{{ .Content }}<|end|>
{{- range .ToolCalls }}{{ .Function.Name }}{{ end }}{{ end }}{{ end }}<|start|>assistant"""
GO_TEMPLATES = {"tags": _TAGS, "opened": _OPENED, "harmony": _HARMONY}
_JINJA = b"""{% if tools %}{{ tools }}
{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}
{% if m.thinking %}<think>{{ m.thinking }}</think>
{% endif %}{{ m.content }}<|im_end|>
{% endfor %}<|im_start|>assistant
{% if enable_thinking is false %}<think></think>
{% endif %}"""
FAMILIES = (*GO_TEMPLATES, "jinja")
MARKS = ("<think>", "</think>", "<|channel|>", "<|message|>", "<|end|>", "<|start|>")

CAPITALS = {"Norway": "Oslo", "Italy": "Rome", "Spain": "Madrid"}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}, "sure": {"type": "boolean"}},
    "required": ["city", "sure"],
}
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}},
    },
}


def with_jinja(gguf: Path, path: Path) -> None:
    """Writes the starter with a chat template that thinks, in the place of its own and as long."""
    data = gguf.read_bytes()
    start = data.index(b"{% for message in messages %}{% if loop.first")
    end = start + int.from_bytes(data[start - 8 : start], "little")
    padding = b"{#" + b" " * (end - start - len(_JINJA) - 4) + b"#}"
    path.write_bytes(data[:start] + _JINJA + padding + data[end:])


def create(daemon: DaemonProcess) -> None:
    """Makes the models of all families out of `starter` and `jinja`, which are in the daemon's catalogue."""
    for name in ("starter", "jinja"):
        assert daemon.post("/api/pull", model=name) == {"status": "success"}
    for name, template in GO_TEMPLATES.items():
        assert daemon.post("/api/create", model=name, template=template, **{"from": "starter"}) == {"status": "success"}
    for name in FAMILIES:
        assert {"tools", "thinking"} <= set(daemon.post("/api/show", model=name)["capabilities"])


def chat(country: str = "France") -> list[dict[str, str]]:
    """A question after others that were thought about and answered in JSON."""
    told = []
    for land, city in CAPITALS.items():
        content = json.dumps({"city": city, "sure": True})
        thinking = f"It is {city}, I think."
        told += [
            {"role": "user", "content": f"The capital of {land}?"},
            {"role": "assistant", "thinking": thinking, "content": content},
        ]
    return [*told, {"role": "user", "content": f"The capital of {country}?"}]
