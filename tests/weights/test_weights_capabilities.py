"""What a model can do: every row of the contract's table, and the order of the answer."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import gguf_files as files

from ollamapy.weights.capabilities import capabilities, jinja_capabilities, jinja_has_round_trip
from ollamapy.weights.gguf import GgufFile, inspect
from ollamapy.wire.manifest import Config

Read = Callable[[bytes], GgufFile]
TOOLS_AND_THINKING = "{% if tools %}{% endif %}<think></think>"


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(content: bytes) -> GgufFile:
        path = tmp_path / "model.gguf"
        path.write_bytes(content)
        return inspect(path, arrays=False)

    return read


def projector(read: Read, **metadata: object) -> GgufFile:
    pairs = {key.replace("__", "."): value for key, value in metadata.items()}
    return read(files.gguf({"general.architecture": "clip"} | pairs))


def test_a_plain_model_completes(read):
    assert capabilities(read(files.tiny_model()), Config()) == ("completion",)


def test_a_pooling_type_makes_it_embed_instead(read):
    assert capabilities(read(files.tiny_model(llama__pooling_type=0)), Config()) == ("embedding",)


def test_the_order_is_config_jinja_purpose_vision_audio_go(read):
    file = read(
        files.tiny_model(
            tokenizer__chat_template=TOOLS_AND_THINKING, llama__vision__block_count=1, llama__audio__block_count=1
        )
    )
    config = Config(capabilities=("image", "thinking"))

    found = capabilities(file, config, go_capabilities={"insert", "tools"})

    assert found == ("image", "thinking", "tools", "completion", "vision", "audio", "insert")


def test_the_jinja_text_counts_only_when_jinja_renders(read):
    file = read(files.tiny_model(tokenizer__chat_template=TOOLS_AND_THINKING))

    found = capabilities(file, Config(), go_capabilities=["thinking", "insert", "tools"], jinja_renders=False)

    assert found == ("completion", "tools", "insert", "thinking")


def test_only_known_words_of_the_go_template_are_taken(read):
    assert capabilities(read(files.tiny_model()), Config(), go_capabilities=["suffix"]) == ("completion",)


def test_a_projector_sees(read):
    assert "vision" in capabilities(read(files.tiny_model()), Config(), has_projector=True)


@pytest.mark.parametrize(
    ("metadata", "hears"),
    [
        ({"clip__has_audio_encoder": True}, True),
        ({"clip__has_audio_encoder": False}, False),
        ({"clip__has_audio_encoder": 1}, False),
        ({"clip__has_audio_encoder": True, "clip__projector_type": "gemma3nv"}, False),
        ({"clip__has_audio_encoder": True, "clip__vision__projector_type": "gemma3nv"}, False),
        ({"clip__has_audio_encoder": True, "clip__projector_type": "ultravox"}, True),
    ],
)
def test_a_projector_with_an_audio_encoder_hears(read, metadata, hears):
    found = capabilities(read(files.tiny_model()), Config(), True, projector=projector(read, **metadata))

    assert ("audio" in found) is hears


def test_a_nemotron_omni_never_hears(read):
    file = read(files.tiny_model("nemotron_h_omni", nemotron_h_omni__audio__block_count=3))

    found = capabilities(file, Config(), True, projector=projector(read, clip__has_audio_encoder=True))

    assert found == ("completion", "vision")


def test_gpt_oss_always_thinks(read):
    assert capabilities(read(files.tiny_model("gptoss")), Config()) == ("completion", "thinking")


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("", []),
        ("{{ messages }}", []),
        ("{% if tools %}", ["tools"]),
        ("{{ message.tool_calls }}", ["tools"]),
        ("<think>", []),
        ("</think>", []),
        ("<think></think>", ["thinking"]),
        ("content.split('</think>')", ["thinking"]),
        ('content.split("</think>")', ["thinking"]),
        ("content.split('</think>') reasoning_content", []),
        ("content.split('</think>') <SPECIAL_12>", []),
        ("<think></think> reasoning_content", ["thinking"]),
        ("tools <think></think>", ["tools", "thinking"]),
    ],
)
def test_the_text_of_a_jinja_template_shows_tools_and_thinking(template, found):
    assert list(jinja_capabilities(template)) == found


@pytest.mark.parametrize(
    ("template", "answer"),
    [
        ("", False),
        ("tools tool_calls", False),
        ("tools tool_response", False),
        ("tools tool_calls tool_response", True),
        ("tool_calls tool_results", True),
        ("assistant_tool_call ipython", True),
        ("tools tool_calls message['role'] == 'tool'", True),
        ('tools tool_calls message["role"] == "tool"', True),
        ("tools tool_calls message.role == 'tool'", True),
        ('tools tool_calls message.role == "tool"', True),
        ("tools tool_calls role == 'tool'", False),
    ],
)
def test_a_round_trip_needs_calls_and_answers(template, answer):
    assert jinja_has_round_trip(template) is answer
