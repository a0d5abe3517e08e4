"""Which tags a Jinja template puts around reasoning."""

import pytest

from ollamapy.modelfile.output import ThinkingSplitter, thinking_tags


@pytest.mark.parametrize(
    ("template", "tags"),
    [
        ("{{ '<think>' + m.reasoning_content + '</think>' + m.content }}", ("<think>", "</think>")),
        ("{{ m.content.split('</think>')[-1] }}", ("<think>", "</think>")),
        ("[THINK]{{ m.thinking }}[/THINK]", ("[THINK]", "[/THINK]")),
        ("{% set end = '</seed:think>' %}", ("<seed:think>", "</seed:think>")),
        ("<|START_THINKING|><|END_THINKING|>", ("<|START_THINKING|>", "<|END_THINKING|>")),
        ("<|channel>thought\n{{ m.reasoning }}\n<channel|>", ("<|channel>thought", "<channel|>")),
        ("◁think▷{{ m.thinking }}◁/think▷", ("◁think▷", "◁/think▷")),
    ],
)
def test_the_tags_of_a_family_are_known_by_its_template(template: str, tags: tuple[str, str]) -> None:
    assert thinking_tags(template) == tags


@pytest.mark.parametrize("template", ["", "{{ m.content }}", "<|channel|>analysis<|message|>", "do <think> twice"])
def test_other_templates_have_no_tags(template: str) -> None:
    assert thinking_tags(template) is None


def test_tags_without_angle_brackets_split_like_any_other() -> None:
    splitter = ThinkingSplitter("[THINK]", "[/THINK]")

    assert splitter.push("[THINK]\nhm[/TH").thinking == "hm"
    assert splitter.push("INK] four").content == "four"
