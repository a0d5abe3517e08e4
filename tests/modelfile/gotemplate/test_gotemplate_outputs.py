"""What Go printed for a table of templates: every verb of printf, numbers, escapers, strings of bytes, and failures.

go_outputs.json was written by the program in tests/fakes/gotemplate_oracle; where Go is at hand, test_gotemplate_go.py
holds the table against it again.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from ollamapy.errors import TemplateError
from ollamapy.modelfile.gotemplate import parse

TABLE = json.loads((Path(__file__).parent / "go_outputs.json").read_text(encoding="utf-8"))
OUTPUTS = TABLE["outputs"]


@pytest.mark.parametrize(
    "entry", [entry for entry in OUTPUTS if "output" in entry], ids=lambda entry: entry["template"]
)
def test_a_template_prints_what_go_printed(entry: Mapping[str, str]) -> None:
    assert parse(entry["template"]).execute(TABLE["data"]) == entry["output"]


@pytest.mark.parametrize("entry", [entry for entry in OUTPUTS if "stage" in entry], ids=lambda entry: entry["template"])
def test_a_template_fails_where_go_failed(entry: Mapping[str, str]) -> None:
    if entry["stage"] == "exec":
        parse(entry["template"])

    with pytest.raises(TemplateError):
        parse(entry["template"]).execute(TABLE["data"])
