"""The names of a model's files, when it has several."""

import pytest

from ollamapy.wire.manifest import TITLE, Layer, Manifest, layer_type
from ollamapy.wire.shards import Shard, siblings, title_of, without_number

NAMES = ("big/m-Q4-00001-of-00003.gguf", "big/m-Q4-00002-of-00003.gguf", "big/m-Q4-00003-of-00003.gguf")


@pytest.mark.parametrize("name", NAMES)
def test_any_part_names_all_of_them_in_order(name: str) -> None:
    assert siblings(name) == NAMES
    assert without_number(name) == "big/m-Q4.gguf"


@pytest.mark.parametrize(
    "name",
    [
        "m.gguf",
        "m-00001-of-00001.gguf",
        "m-00000-of-00002.gguf",
        "m-00003-of-00002.gguf",
        "m-1-of-2.gguf",
        "m-00001-of-99999.gguf",
        "m-00001-of-00002.safetensors",
        "m-00001-of-00002.gguf.part",
    ],
)
def test_other_names_are_whole_files(name: str) -> None:
    assert Shard.of(name) is None
    assert siblings(name) == (name,)
    assert without_number(name) == name


def test_a_part_keeps_its_name_when_the_name_is_true() -> None:
    assert title_of("a/m-00002-of-00003.gguf", 2, 3) == "m-00002-of-00003.gguf"
    assert title_of("sha256-abc", 2, 3) == "model-00002-of-00003.gguf"
    assert title_of("a/m-00001-of-00003.gguf", 2, 3) == "model-00002-of-00003.gguf"


def test_weights_are_all_parts_or_else_the_last_layer_as_in_ollama() -> None:
    parts = tuple(Layer(layer_type("model"), name, 1, annotations={TITLE: name}) for name in NAMES)
    plain = tuple(Layer(layer_type("model"), name, 1) for name in NAMES)

    assert Manifest(2, layers=parts).weights == parts
    assert Manifest(2, layers=plain).weights == plain[-1:]
    assert Manifest(2).weights == ()


@pytest.mark.parametrize("annotations", [None, {}, {TITLE: 3}, {TITLE: None}])
def test_annotations_that_say_nothing_give_no_title(annotations: object) -> None:
    assert Layer(layer_type("model"), "d", 1, annotations=annotations).title == ""  # type: ignore[arg-type]
