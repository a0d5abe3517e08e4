"""The shell's completion knows commands, flags and models."""

import os
import subprocess
import sys

import pytest
from fakes.fake_daemon import FakeDaemon


def python(*arguments: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], env=os.environ | env, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


@pytest.mark.parametrize(
    ("words", "completions"),
    [
        ("ollamapy s", "serve\nshow\nstop\nsearch\nstore\n"),
        ("ollamapy show --l", "--license\n"),
        ("ollamapy run th", "thinker:latest\n"),
        ("ollamapy rm m thi", "thinker:latest\n"),
        ("ollamapy create ", "\n"),
    ],
)
@pytest.mark.usefixtures("home")
def test_bash_completes(daemon: FakeDaemon, words: str, completions: str) -> None:
    env = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1), "OLLAMA_HOST": daemon.url}

    assert python("-m", "ollamapy", _OLLAMAPY_COMPLETE="complete_bash", **env) == completions


@pytest.mark.usefixtures("home")
def test_completion_without_a_daemon_is_silent_and_starts_none() -> None:
    env = {
        "COMP_WORDS": "ollamapy run th",
        "COMP_CWORD": "2",
        "OLLAMAPY_NO_AUTOSTART": "",
        "OLLAMA_HOST": "127.0.0.1:1",
    }

    assert python("-m", "ollamapy", _OLLAMAPY_COMPLETE="complete_bash", **env).strip() == ""


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("bash", "complete -o default -F _ollamapy_completion ollamapy"),
        ("zsh", "#compdef ollamapy"),
        ("fish", "ollamapy"),
    ],
)
def test_each_shell_has_a_script(shell: str, line: str) -> None:
    assert line in python("-m", "ollamapy", _OLLAMAPY_COMPLETE=f"source_{shell}")
