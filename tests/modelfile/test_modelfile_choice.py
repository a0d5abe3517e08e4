"""Which template renders, by the contract's order."""

import pytest

from ollamapy.modelfile import gochat
from ollamapy.modelfile.choice import JinjaTraits, choose

PLAIN = gochat.load("{{ .Prompt }}")
TOOLS = gochat.load("{{ range .Messages }}{{ .Content }}{{ end }}{{ .Tools }}")
ROUND_TRIP = gochat.load(
    "{{ .Tools }}{{ range .Messages }}{{ range .ToolCalls }}{{ .Function.Name }}{{ end }}"
    '{{ if eq .Role "tool" }}{{ .Content }}{{ end }}{{ end }}'
)
HARMONY = gochat.load("<|start|>{{ .Prompt }}<|end|>")
JINJA = JinjaTraits(frozenset(), False)
JINJA_TOOLS = JinjaTraits(frozenset({"tools"}), False)
JINJA_ROUND_TRIP = JinjaTraits(frozenset({"tools"}), True)


@pytest.mark.parametrize(
    ("go", "jinja", "expected"),
    [
        (None, None, "none"),
        (PLAIN, None, "go"),
        (None, JINJA, "jinja"),
        (PLAIN, JINJA, "go"),
        (PLAIN, JINJA_TOOLS, "jinja"),
        (TOOLS, JINJA_TOOLS, "go"),
        (TOOLS, JINJA_ROUND_TRIP, "jinja"),
        (ROUND_TRIP, JINJA_ROUND_TRIP, "go"),
        (ROUND_TRIP, JinjaTraits(frozenset({"tools", "thinking"}), False), "go"),
        (ROUND_TRIP, JinjaTraits(frozenset({"tools", "thinking"}), True), "jinja"),
    ],
)
def test_jinja_is_preferred_when_it_can_do_more(
    go: gochat.GoTemplate | None, jinja: JinjaTraits | None, expected: str
) -> None:
    assert choose(go=go, jinja=jinja) == expected


@pytest.mark.parametrize(("switch", "expected"), [(True, "go"), (False, "jinja")])
def test_the_switch_decides_when_it_is_set(switch: bool, expected: str) -> None:
    assert choose(go=PLAIN, jinja=JINJA_TOOLS, switch=switch) == expected


def test_a_harmony_template_renders_its_family_whatever_else_there_is() -> None:
    assert choose(go=HARMONY, jinja=JINJA_ROUND_TRIP, family="gptoss", switch=False) == "go"
    assert choose(go=HARMONY, jinja=JINJA_ROUND_TRIP, family="llama") == "jinja"


def test_a_built_in_renderer_that_is_not_there_leaves_it_to_the_files_own_template() -> None:
    assert choose(go=PLAIN, jinja=JINJA, has_built_in=True, has_renderer=True) == "jinja"
    assert choose(go=PLAIN, jinja=JINJA_TOOLS, has_built_in=True) == "go"
