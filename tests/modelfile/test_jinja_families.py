"""The well-known families of chat templates: their prompts to the letter, and what they can and cannot take."""

from pathlib import Path

import pytest
from fakes import gguf_files, goldens
from fakes.jinja_families import (
    AGAIN,
    CALL,
    CHATS,
    CORPUS,
    FAMILIES,
    LOOP,
    LOOP_CHATS,
    THINKING_CHATS,
    THOUGHTFUL,
    TOOL_CHATS,
    TOOLS,
    USER,
    Chat,
    Family,
    golden,
    has_own_calls,
    keeps,
    table,
)

from ollamapy.modelfile.tools.found import Call
from ollamapy.weights.capabilities import capabilities
from ollamapy.weights.gguf import GgufFile, inspect
from ollamapy.wire.manifest import Config
from ollamapy.wire.native import Message

DOCUMENT = Path(__file__).parents[2] / "docs" / "templates.md"
BEGIN, END = "<!-- families -->\n", "<!-- end -->\n"

each_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


@each_family
def test_prompts_are_as_recorded(family: Family) -> None:
    goldens.check(goldens.FOLDER / "jinja" / f"{family.name}.txt", golden(family))


def test_every_template_of_the_corpus_is_tried() -> None:
    written = {path.name.split(".jinja")[0].removesuffix(".tool_use") for path in CORPUS.glob("*.jinja")}

    assert written == {family.name for family in FAMILIES}


@each_family
def test_no_text_is_lost(family: Family) -> None:
    """Neither a system text that the family has no role for, nor one of two messages from the same side."""
    for chat in CHATS.values():
        prompt = family.prompt(chat).text

        for message in chat.messages:
            assert message.content.strip() in prompt


@each_family
def test_tools_reach_a_family_that_claims_them(family: Family) -> None:
    if "tools" in family.offers:
        for chat in TOOL_CHATS.values():
            assert "get_weather" in family.prompt(chat).text


@each_family
def test_a_call_that_the_template_writes_is_read_back(family: Family) -> None:
    if has_own_calls(family):
        [call] = CALL.tool_calls

        assert family.read_back() == (Call(call.function.name, call.function.arguments),)


@each_family
def test_thoughts_of_earlier_messages_are_kept_or_dropped_as_the_family_does(family: Family) -> None:
    if "thinking" in family.offers:
        of_turns, of_calls = (
            keeps(family, THINKING_CHATS["thinking on"]),
            keeps(family, LOOP_CHATS["thinking before a call"]),
        )

        assert {(False, False): "dropped", (True, True): "kept"}.get((of_turns, of_calls), LOOP) == family.thoughts
        assert of_calls or not of_turns


@pytest.mark.parametrize(
    "name", ["qwen3", "glm4.5", "deepseek-r1", "deepseek-v3.1", "granite3", "nemotron-nano2", "minimax-m2"]
)
def test_thoughts_apart_from_the_text_make_the_same_prompt_as_thoughts_in_it(name: str) -> None:
    """What such a template does to `<think>` in a text tells what its family expects."""
    [family] = [family for family in FAMILIES if family.name == name]
    inside = Message("assistant", f"<think>{THOUGHTFUL.thinking}</think>{THOUGHTFUL.content}")
    prompts = [family.prompt(Chat((USER, message, AGAIN), think=True)) for message in (THOUGHTFUL, inside)]

    assert prompts[0].text == prompts[1].text


def model_file(family: Family, folder: Path) -> GgufFile:
    """The header of a file that carries the family's templates."""
    path = folder / "model.gguf"
    templates = {
        "tokenizer__chat_template": family.template,
        "tokenizer__chat_template__tool_use": family.tool_template,
    }
    path.write_bytes(gguf_files.tiny_model(family.architecture, **templates))
    return inspect(path, arrays=False)


@each_family
def test_a_gguf_file_with_the_template_shows_what_it_can(family: Family, tmp_path: Path) -> None:
    found = capabilities(model_file(family, tmp_path), Config())

    assert sorted(found) == sorted((*family.offers, "completion"))


def test_chats_that_offer_tools_are_rendered_by_the_template_for_them(tmp_path: Path) -> None:
    for family in FAMILIES:
        file = model_file(family, tmp_path)

        assert file.template_for(()) == family.template
        assert file.template_for(TOOLS) == (family.tool_template or family.template)


def test_the_document_has_the_table_of_families() -> None:
    before, rest = DOCUMENT.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]

    goldens.check(DOCUMENT, before + BEGIN + table() + END + after)
