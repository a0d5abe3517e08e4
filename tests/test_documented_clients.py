"""The table of docs/clients.md is what the tests show: a cell is marked when a test with that mark exists."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "clients.md"
FEATURES = (
    "generate",
    "chat",
    "stream",
    "async",
    "tools",
    "structured output",
    "thinking",
    "embeddings",
    "models",
    "errors",
)


def marks() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Client and features of every `pytest.mark.client(...)`."""
    for path in sorted((ROOT / "tests" / "e2e").glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.client":
                name, *features = (ast.literal_eval(argument) for argument in node.args)
                yield name, tuple(features)


def shown() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, features in marks():
        found.setdefault(name, set()).update(features)
    return found


def table() -> str:
    rows = [("client", *FEATURES), ("---",) * (len(FEATURES) + 1)]
    for name, features in sorted(shown().items(), key=lambda item: item[0].lower()):
        rows.append((name, *("yes" if feature in features else "" for feature in FEATURES)))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def test_the_page_has_the_table_that_the_tests_make() -> None:
    assert table() in PAGE.read_text(), f"docs/clients.md should have\n\n{table()}"


def test_every_mark_names_features_that_have_a_column() -> None:
    assert {feature for features in shown().values() for feature in features} <= set(FEATURES)
