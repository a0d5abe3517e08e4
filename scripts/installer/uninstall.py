"""Takes away what the installer brought. Models are touched only after a yes; nothing of another program ever is."""

import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import program
from arguments import Arguments
from install import BUSY
from locks import held
from places import Places
from talk import say, short

_OWN = ("models", "logs", "history", "cache")


def uninstall(arguments: Arguments, places: Places) -> None:
    """Removes the program, its environment and the built wheels; asks about the models."""
    if not (places.lib.exists() or program.is_ours(places) or _models(places).exists()):
        say(f"ollamapy is not installed in {short(places.lib)}")
        return
    with held(places.lock, BUSY):
        was_there = places.venv.exists()
        _end_running(places)
        if program.is_ours(places):
            places.program.unlink()
        for folder in [places.venv, *([] if places.wheels_are_named else [places.wheels])]:
            shutil.rmtree(folder, ignore_errors=True)
        places.log.unlink(missing_ok=True)
        if was_there:
            say(f"Removed ollamapy from {short(places.lib)}")
        _remove_models(places, arguments)
        places.lock.unlink()
    _remove_empty(places)


def _end_running(places: Places) -> None:
    """Asks the daemon and whatever else runs from the environment to end, and waits for that."""
    numbers = list(program.running(places))
    for number in numbers:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGTERM)
    deadline = time.monotonic() + 15
    while program.running(places) and time.monotonic() < deadline:
        time.sleep(0.1)
    if numbers:
        say("Ended the running daemon")


def _remove_models(places: Places, arguments: Arguments) -> None:
    """Models, history and logs: only after a yes when there are models, without a question when there are none."""
    models = _models(places)
    size = sum(path.lstat().st_size for path in models.rglob("*") if not path.is_dir())
    if size and not (arguments.yes or _yes(f"Remove the models in {short(models)} too ({size / 1e6:,.0f} MB)? [y/N] ")):
        say(f"Kept the models in {short(models)} ({size / 1e6:,.0f} MB); --uninstall --yes removes them")
        return
    if places.home_is_named and not size:
        return
    for name in _OWN:
        path = places.home / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    if size:
        say(f"Removed the models ({size / 1e6:,.0f} MB)")


def _models(places: Places) -> Path:
    return places.home / "models"


def _yes(question: str) -> bool:
    """The answer of a person; without one at the terminal it is no."""
    if not sys.stdin.isatty():
        return False
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _remove_empty(places: Places) -> None:
    """The folders that are empty now, from the inside out; what others put there stays, and its folders."""
    folders = [places.home, *([] if places.wheels_are_named else [places.wheels.parent]), places.lib]
    if places.prefix:
        folders += [places.home.parent, places.lib.parent, places.program.parent, places.prefix]
    for folder in folders:
        _remove_if_empty(folder)


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return
