"""Makes the environment that scripts/test and scripts/check run in: .venv in the checkout.

With --quick it holds everything but llama.cpp; without, llama.cpp too, from the wheel that ./install.sh keeps, or
compiled. An environment that holds as much or more is taken as it is.
"""

import hashlib
import json
import os
import shutil
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

import needs
from backend import choose, look
from install import BUSY, runs
from llama import Llama, folder_name, pip, processor
from locks import held
from places import cached_wheels
from shell import guarded
from source import Source
from steps import Steps
from talk import clock, say

CHECKOUT = Path(__file__).resolve().parents[2]
VENV = CHECKOUT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "testenv.json"


@dataclass(frozen=True, slots=True)
class Contents:
    """What the environment holds: a digest of the requirements, and llama.cpp's (empty: it is not there)."""

    libraries: str = ""
    llama: str = ""

    @classmethod
    def read(cls) -> Self:
        """Nothing, when the environment is not whole."""
        try:
            return cls(**json.loads(STAMP.read_text())) if runs(PYTHON) else cls()
        except (OSError, ValueError, TypeError):
            return cls()

    def covers(self, other: Self) -> bool:
        return self.libraries == other.libraries and other.llama in {"", self.llama}


def prepare(is_quick: bool) -> None:
    """Raises Stop when something cannot be had."""
    source, env = Source(CHECKOUT), dict(os.environ)
    llama = _llama(source, env)
    wanted = Contents(_digest(source), "" if is_quick else f"{llama.requirement} from {llama.wheels.name}")
    with held(CHECKOUT / ".cache" / "testenv.lock", BUSY) as lock:
        found, start = Contents.read(), time.monotonic()
        if found.covers(wanted):
            return
        steps = Steps(CHECKOUT / ".cache" / "testenv.log", env, (lock,))
        contents = _bring(found, wanted, source, llama, steps)
        STAMP.write_text(json.dumps(asdict(contents)))
        say(f"The test environment is ready, {clock(time.monotonic() - start)}")


def _llama(source: Source, env: dict[str, str]) -> Llama:
    facts = look(env)
    choice = choose(facts)
    folder = cached_wheels(env, Path.home()) / folder_name(choice.backend, facts.machine, processor(), env)
    return Llama(source.llama, choice, facts, folder)


def _bring(found: Contents, wanted: Contents, source: Source, llama: Llama, steps: Steps) -> Contents:
    """Makes it hold what is wanted; keeps llama.cpp when it is there already. What it holds then."""
    if found == Contents():
        _make_environment(steps)
    STAMP.unlink(missing_ok=True)
    libraries = ["--group", "dev", *source.libraries]
    if wanted.llama:
        libraries.append(source.llama)
        if wanted.llama != found.llama:
            say(str(llama.choice))
            llama.install(PYTHON, steps)
    steps.run("Installing the test environment's libraries", [*pip(PYTHON), "install", *libraries])
    editable = [*pip(PYTHON), "install", "--no-deps", "--no-build-isolation", "--editable", CHECKOUT]
    steps.run("Installing this checkout in it", editable)
    return replace(wanted, llama=wanted.llama or found.llama)


def _make_environment(steps: Steps) -> None:
    needs.environments()
    shutil.rmtree(VENV, ignore_errors=True)
    steps.run("Making the test environment in .venv", [sys.executable, "-Es", "-m", "venv", VENV])
    steps.run("Updating pip in it", [*pip(PYTHON), "install", "--upgrade", "pip"])


def _digest(source: Source) -> str:
    """Changes with the requirements, the program's entry point, the Python and the steps above."""
    project, steps = source.project, Path(__file__).read_text()
    parts = [project["project"], project["dependency-groups"], sys.version_info[:2], steps]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(guarded(lambda: prepare("--quick" in sys.argv[1:])))
