"""Every file in modelfiles/ reads, asks for a model on `starter`, prints back, and is listed in the README there."""

from functools import partial
from pathlib import Path

import pytest

from ollamapy import data
from ollamapy.modelfile.files import find_local
from ollamapy.modelfile.options import merge
from ollamapy.modelfile.parse import parse
from ollamapy.modelfile.printer import print_modelfile
from ollamapy.modelfile.request import CreatePlan, to_create

FOLDER = data.folder("modelfiles")
EXAMPLES = sorted(FOLDER.glob("*.modelfile"))

each_example = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)


def planned(path: Path) -> CreatePlan:
    return to_create(parse(path.read_bytes()), partial(find_local, folder=path.parent))


def test_there_are_at_least_seven_examples() -> None:
    assert len(EXAMPLES) >= 7


@each_example
def test_an_example_asks_for_a_model_on_starter_and_uploads_nothing(path: Path) -> None:
    plan = planned(path)

    assert plan.fields["from"] == "starter"
    assert plan.fields["system"].strip()
    assert plan.local_files == ()
    assert plan.warnings == ()


@each_example
def test_the_parameters_of_an_example_are_options_that_differ_from_the_defaults(path: Path) -> None:
    assert merge(planned(path).fields["parameters"]) != merge()


@each_example
def test_an_example_prints_back(path: Path) -> None:
    modelfile = parse(path.read_bytes())

    assert parse(print_modelfile(modelfile)) == modelfile


@each_example
def test_nothing_in_an_example_is_dropped_by_the_parser(path: Path) -> None:
    """An ideographic space, easily typed in Chinese text, would vanish without a word."""
    assert all(line.isprintable() for line in path.read_text(encoding="utf-8").split("\n"))


@each_example
def test_an_example_begins_with_how_to_create_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    header = text[: text.index("\nFROM")]

    assert all(line.startswith("#") for line in header.split("\n") if line)
    assert "# Shows: " in header
    assert "#   ollamapy create " in header
    assert f" -f modelfiles/{path.name}\n" in header


@each_example
def test_an_example_is_listed_in_the_readme(path: Path) -> None:
    assert f"[{path.name}]({path.name})" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_the_python_expert_has_what_back_end_work_in_chinese_needs() -> None:
    fields = planned(FOLDER / "python-expert.modelfile").fields

    assert fields["parameters"] == {
        "temperature": 0.7,
        "top_p": 0.9,
        "num_ctx": 8192,
        "repeat_penalty": 1.1,
        "stop": ["<|im_end|>"],
    }
    assert fields["system"].count("\n") > 5
    assert "后端" in fields["system"]
    assert fields["template"].startswith("{{- if .System }}<|im_start|>system\n")
    assert "{{ .Response }}<|im_end|>" in fields["template"]
