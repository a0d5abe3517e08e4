"""Every verified case of the prompt template contract, in all five modes."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from ollamapy.errors import TemplateError
from ollamapy.modelfile import gochat
from ollamapy.modelfile.gotemplate import parse
from ollamapy.wire.native import Message, Tool

CASES = yaml.safe_load((Path(__file__).parent / "cases.yaml").read_text(encoding="utf-8"))["cases"]


def engine(case: Mapping[str, Any]) -> str:
    return parse(case["template"]).execute(case["data"])


def prompt(case: Mapping[str, Any]) -> str:
    data = case["data"]
    messages = msgspec.convert(data.get("messages", []), tuple[Message, ...])
    tools = msgspec.convert(data.get("tools", []), tuple[Tool, ...])
    think = data.get("think") if data.get("is_think_set") else None
    rendered = gochat.render(
        case["template"], messages, tools, prompt=data.get("prompt", ""), suffix=data.get("suffix", ""), think=think
    )
    return rendered.text


MODES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "engine": engine,
    "prompt": prompt,
    "vars": lambda case: " ".join(sorted(gochat.load(case["template"]).identifiers)),
    "think_tags": lambda case: "|".join(gochat.load(case["template"]).thinking_tags),
    "tool_tag": lambda case: gochat.load(case["template"]).tool_tag,
}


def test_the_file_holds_every_case_once() -> None:
    names = [case["name"] for case in CASES]

    assert len(names) == 170
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("case", [case for case in CASES if "output" in case], ids=lambda case: case["name"])
def test_a_case_gives_its_output(case: Mapping[str, Any]) -> None:
    assert MODES[case.get("mode", "engine")](case) == case["output"]


@pytest.mark.parametrize("case", [case for case in CASES if "error" in case], ids=lambda case: case["name"])
def test_a_case_fails_in_its_stage_with_its_text(case: Mapping[str, Any]) -> None:
    if case["stage"] == "exec":
        parse(case["template"])
    with pytest.raises(TemplateError) as raised:
        parse(case["template"]) if case["stage"] == "parse" else MODES[case.get("mode", "engine")](case)

    assert case["error"] in raised.value.message
