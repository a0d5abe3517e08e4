"""Installs, or brings an installation up to date. The stamp in the environment is taken away first and written last,
so an installation that was stopped half-way is seen, and made anew."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

import needs
import program
from arguments import Arguments
from backend import Choice, Facts, choose
from llama import Llama, folder_name, pip, processor
from locks import held
from places import Places
from source import Source
from steps import Steps
from talk import StepFailed, say, short

BUSY = "Another installer is at work there; waiting for it"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What an environment holds."""

    source: str
    llama: str
    """The requirement on llama-cpp-python and the folder its wheel came from."""
    backend: str
    by_hand: bool

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """None when nothing whole is installed."""
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is decided before anything is done."""

    places: Places
    source: Source
    facts: Facts
    choice: Choice
    found: Stamp | None
    wanted: Stamp
    env: Mapping[str, str]

    @classmethod
    def make(cls, arguments: Arguments, source: Source, places: Places, facts: Facts, env: Mapping[str, str]) -> Self:
        """Raises Stop when the backend asked for cannot be built here."""
        found = Stamp.read(places.stamp)
        choice = _choice(arguments, facts, found)
        folder = folder_name(choice.backend, facts.machine, processor(), env)
        wanted = Stamp(source.fingerprint(), f"{source.llama} from {folder}", choice.backend, choice.by_hand)
        return cls(places, source, facts, choice, found, wanted, env)

    @property
    def wheels(self) -> Path:
        return self.places.wheels / self.wanted.llama.rpartition(" ")[2]

    @property
    def is_done(self) -> bool:
        """True when what is wanted is what is installed."""
        return self.found == self.wanted and program.is_in_place(self.places) and runs(self.places.python)

    def __str__(self) -> str:
        rows = {
            "build": self.choice,
            "environment": self.places.venv,
            "program": self.places.program,
            "wheels": self.wheels,
            "to do": "nothing" if self.is_done else "upgrade" if self.found else "install",
        }
        return "\n".join(f"{name + ':':13}{value}" for name, value in rows.items())


def _choice(arguments: Arguments, facts: Facts, found: Stamp | None) -> Choice:
    """A choice made by hand earlier stays until another is made."""
    if arguments.backend is None and found and found.by_hand:
        return Choice(found.backend, "chosen by hand before", by_hand=True)
    return choose(facts, arguments.backend or "auto", found.backend if found else "")


def install(arguments: Arguments, source: Source, places: Places, facts: Facts, env: Mapping[str, str]) -> None:
    """Makes the installation what the checkout is. Quiet when there is nothing to do and a command follows."""
    program.refuse_foreign(places)
    with held(places.lock, BUSY) as lock:
        plan = Plan.make(arguments, source, places, facts, env)
        if not plan.is_done:
            say(f"ollamapy {source.version}, {plan.choice}")
            places.log.unlink(missing_ok=True)
            _carry_out(plan, Steps(places.log, env, (lock,)))
            say(f"Installed ollamapy {source.version} as {short(places.program)}")
            program.warn_of_daemon(places)
        elif not arguments.words:
            say(f"ollamapy {source.version} is up to date; {plan.choice}")
    if not arguments.words:
        program.say_what_next(places, env)


def _carry_out(plan: Plan, steps: Steps) -> None:
    places = plan.places
    found = plan.found if runs(places.python) else None
    if found is None:
        _make_environment(places, steps)
    places.stamp.unlink(missing_ok=True)
    try:
        _fill(plan, found, steps)
    except StepFailed:
        if found:  # pip takes back what it could not finish; only llama.cpp may be another than before
            replace(found, llama="").write(places.stamp)
        raise
    program.put_in_place(places)
    plan.wanted.write(places.stamp)


def _make_environment(places: Places, steps: Steps) -> None:
    needs.environments()
    if places.venv.exists():
        shutil.rmtree(places.venv)
    steps.run("Making a private Python environment", [sys.executable, "-Es", "-m", "venv", places.venv])
    steps.run("Updating pip in it", [*pip(places.python), "install", "--upgrade", "pip"])


def _fill(plan: Plan, found: Stamp | None, steps: Steps) -> None:
    if found is None or found.llama != plan.wanted.llama:
        Llama(plan.source.llama, plan.choice, plan.facts, plan.wheels).install(plan.places.python, steps)
    if found is None or found.source != plan.wanted.source:
        command = [*pip(plan.places.python), "install", plan.source.folder]
        steps.run("Installing ollamapy and the libraries it uses", command)


def runs(python: Path) -> bool:
    """Whether the environment's Python still works: the one it was made from may be gone."""
    try:
        return subprocess.run([python, "-ISc", ""], capture_output=True, check=False).returncode == 0
    except OSError:
        return False
