"""The installer's own flags. They come first; the first other word begins the installed program's."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from talk import Stop

Action = Literal["install", "uninstall", "help", "plan"]
BACKENDS = ("auto", "cpu", "cuda", "metal", "vulkan")
USAGE = """\
usage: ./install.sh [flags] [words for ollamapy]

Installs ollamapy from this checkout, or brings an installation up to date, then
runs `ollamapy WORDS` when words follow the flags:

  ./install.sh run starter "Why is the sky blue?"

  --backend NAME  what llama.cpp is built for: cpu, cuda, metal or vulkan; auto (the
                  default) takes what the hardware found here can use
  --prefix DIR    keep everything below DIR, the program at DIR/bin/ollamapy
                  (default: ~/.local/share/ollamapy, and ~/.local/bin/ollamapy)
  --dry-run       say what would be done, and do nothing
  --uninstall     remove what was installed; asks before it touches models
  --yes           do not ask: --uninstall removes the models too
  --help          show this
"""


@dataclass(frozen=True, slots=True)
class Arguments:
    """What was asked for. `backend` is None when not given: then an earlier choice by hand stays."""

    action: Action = "install"
    prefix: Path | None = None
    backend: str | None = None
    yes: bool = False
    words: tuple[str, ...] = ()


def parse(argv: list[str]) -> Arguments:
    """Raises Stop, code 2, for a flag or a value that is not known."""
    found: dict[str, str] = {}
    rest = list(argv)
    while rest and rest[0].startswith("-"):
        flag, equals, value = rest.pop(0).partition("=")
        if flag == "--" and not equals:
            break
        found[_known(flag)] = _value(flag, value, bool(equals), rest)
    prefix = Path(found["--prefix"]).expanduser().absolute() if "--prefix" in found else None
    return Arguments(_action(found), prefix, found.get("--backend"), "--yes" in found, tuple(rest))


def _known(flag: str) -> str:
    flag = {"-h": "--help", "-y": "--yes"}.get(flag, flag)
    if flag not in {"--prefix", "--backend", "--dry-run", "--uninstall", "--yes", "--help"}:
        raise Stop(f"unknown flag {flag}; ./install.sh --help lists the flags", code=2)
    return flag


def _value(flag: str, value: str, is_given: bool, rest: list[str]) -> str:
    """The flag's value, from behind its equals sign or from the next word."""
    if flag not in {"--prefix", "--backend"}:
        if is_given:
            raise Stop(f"{flag} takes no value", code=2)
        return ""
    if not is_given:
        value = rest.pop(0) if rest else ""
    if not value:
        raise Stop(f"{flag} needs a value; ./install.sh --help lists the flags", code=2)
    if flag == "--backend" and value not in BACKENDS:
        raise Stop(f"unknown backend {value}; it is one of: {', '.join(BACKENDS)}", code=2)
    return value


def _action(found: dict[str, str]) -> Action:
    for flag, action in _ACTIONS.items():
        if flag in found:
            return action
    return "install"


_ACTIONS: dict[str, Action] = {"--help": "help", "--dry-run": "plan", "--uninstall": "uninstall"}
