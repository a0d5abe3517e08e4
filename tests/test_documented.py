"""Guards the documents: every command stands in one of them, and what the README shows exists."""

import re
from pathlib import Path

import pytest
import typer.main

from ollamapy.cli.app import app, run

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
COMMANDS = sorted(name for name, command in vars(typer.main.get_command(app))["commands"].items() if not command.hidden)


def documented() -> str:
    """What people read: the README and everything in docs/."""
    return "\n".join(path.read_text() for path in (README, *sorted((ROOT / "docs").glob("**/*.md"))))


def shell_blocks(text: str) -> list[str]:
    """The contents of the fenced blocks that show a terminal."""
    return re.findall(r"^```(?:sh|bash|shell|console|text)?\n(.*?)^```$", text, re.M | re.S)


def commands_shown(text: str) -> set[str]:
    """The words that follow `ollamapy`, or the installer and its flags, where a command begins in a terminal."""
    begin = r"(?:^|[|;&(]|\$ )\s*(?:\w+=\S+ )*"
    program = r"(?:ollamapy|\./install\.sh(?: --(?:prefix|backend)[ =]\S+)*)"
    return {
        found for block in shell_blocks(text) for found in re.findall(rf"{begin}{program} +([a-z][\w-]*)", block, re.M)
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_the_documents_show_the_command(command: str) -> None:
    assert re.search(rf"\bollamapy {command}\b", documented())


@pytest.mark.parametrize("command", sorted(commands_shown(README.read_text())))
def test_a_command_that_the_readme_shows_exists(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["help"] if command == "help" else ["help", command]

    assert run(words) == 0, capsys.readouterr().err


def test_the_readme_shows_the_two_commands_that_everything_begins_with() -> None:
    shown = "\n".join(shell_blocks(README.read_text()))

    assert './install.sh run starter "Why is the sky blue?"' in shown
    assert "./scripts/test" in shown


def test_shown_commands_are_found_where_a_command_begins() -> None:
    text = "```console\n$ ollamapy pull starter\n$ A=1 ollamapy ps | cat\n# about ollamapy itself\n```\n"
    other = "```python\nimport ollamapy\nollamapy serve\n```\n```sh\n./install.sh --backend cpu run starter\n```\n"

    assert commands_shown(text + other) == {"pull", "ps", "run"}


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!https?:)([^)#]+)", README.read_text()))))
def test_a_file_that_the_readme_links_to_is_there(link: str) -> None:
    assert (ROOT / link).exists()
