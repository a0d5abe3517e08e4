"""DeepSeek: two ways to write a call between the same marks."""

import pytest
from tool_answers import NOW, PARIS, read, warned

from ollamapy.modelfile.tools import deepseek
from ollamapy.modelfile.tools.found import Found

BEGIN, END = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
OPEN, SEP, CLOSE = "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"
V3 = f'{OPEN}function{SEP}get_weather\n```json\n{{"city": "Paris"}}\n```{CLOSE}'
V31 = f'{OPEN}get_weather{SEP}{{"city": "Paris"}}{CLOSE}'


@pytest.mark.parametrize(
    "call", [V3, V31, V3.replace("```json", "```"), V3.replace("```json\n", "").replace("```", "")]
)
def test_a_call_is_found_in_either_form(call: str) -> None:
    assert read(deepseek.new, f"I look.\n\n{BEGIN}{call}{END}") == Found("I look.", calls=(PARIS,))


@pytest.mark.parametrize(
    "second", [f"\n{OPEN}function{SEP}get_time\n```json\n{{}}\n```{CLOSE}", f"{OPEN}get_time{SEP}{{}}{CLOSE}"]
)
def test_several_calls_are_found(second: str) -> None:
    assert read(deepseek.new, f"{BEGIN}{V3}{second}{END}after") == Found("after", calls=(PARIS, NOW))


@pytest.mark.parametrize("call", [f"{BEGIN}{V31.removesuffix(CLOSE)}", f"{BEGIN}{V31.removesuffix(CLOSE)}{END}", V31])
def test_missing_marks_are_forgiven(call: str) -> None:
    assert read(deepseek.new, call) == Found(calls=(PARIS,))


@pytest.mark.parametrize("body", ["get_time", f"{SEP}{{}}", f"get_time{SEP}{{a}}", f"get_time{SEP}[1]", ""])
def test_what_is_no_call_is_content_and_a_warning(body: str) -> None:
    assert warned(read(deepseek.new, f"{BEGIN}{OPEN}{body}{CLOSE}{END}")) == (f"{OPEN}{body}{CLOSE}", (), 1)
