"""The program file that a person calls: a link into the environment, or with --prefix a small script that also says
where models are kept. And what a person should know about it."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from places import Places
from talk import Stop, say, short

_SCRIPT = """\
#!/bin/sh
export OLLAMAPY_HOME="${{OLLAMAPY_HOME:-{home}}}"
exec {target} "$@"
"""


def is_in_place(places: Places) -> bool:
    """True when the program is there and is ours."""
    if places.prefix:
        return places.program.is_file() and places.program.read_text(errors="replace") == _script(places)
    return places.program.is_symlink() and places.program.readlink() == _target(places)


def put_in_place(places: Places) -> None:
    """Writes it, whole or not at all."""
    places.program.parent.mkdir(parents=True, exist_ok=True)
    beside = places.program.with_name(f".ollamapy-{os.getpid()}")
    if places.prefix:
        beside.write_text(_script(places))
        beside.chmod(0o755)
    else:
        beside.symlink_to(_target(places))
    beside.replace(places.program)


def refuse_foreign(places: Places) -> None:
    """Raises Stop when something else has the program's name."""
    if os.path.lexists(places.program) and not is_ours(places):
        raise Stop(f"{short(places.program)} is there and belongs to something else; move it away, or use --prefix")


def is_ours(places: Places) -> bool:
    """True for a link or script that leads into our environment, of this version or another."""
    if places.program.is_symlink():
        return places.program.readlink() == _target(places)
    return places.program.is_file() and str(_target(places)) in places.program.read_text(errors="replace")


def _script(places: Places) -> str:
    home = "".join(f"\\{letter}" if letter in '"$`\\' else letter for letter in str(places.default_home))
    return _SCRIPT.format(home=home, target=shlex.quote(str(_target(places))))


def _target(places: Places) -> Path:
    return places.venv / "bin" / "ollamapy"


def say_what_next(places: Places, env: Mapping[str, str]) -> None:
    """The first thing to type, and how to get the program onto the PATH when it is not."""
    on_path = shutil.which("ollamapy", path=env.get("PATH", "")) == str(places.program)
    name = "ollamapy" if on_path else short(places.program)
    say(f'Type next: {name} run starter "Why is the sky blue?"')
    if not on_path:
        say(f"To type only ollamapy, put it on your PATH: {_path_command(places.program.parent, env)}")


def _path_command(folder: Path, env: Mapping[str, str]) -> str:
    line = f'export PATH="{folder}:$PATH"'
    shell = Path(env.get("SHELL", "")).name
    if shell == "fish":
        return f"fish_add_path {shlex.quote(str(folder))}"
    start_file = {"zsh": "~/.zshrc", "bash": "~/.bashrc"}.get(shell, "~/.profile")
    return f"echo '{line}' >> {start_file} && {line}"


def running(places: Places) -> dict[int, str]:
    """The processes that run from the environment, with their commands: the daemon, its runners, a person's session."""
    return {number: command for number, command in _processes() if command.startswith(f"{places.venv}/bin/")}


def _processes() -> Iterator[tuple[int, str]]:
    """All processes with their commands: from /proc where it is, because small Linux systems have no ps."""
    if Path("/proc/self/cmdline").exists():
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):  # it has just ended
                yield int(path.parent.name), path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return
    listing = subprocess.run(["ps", "-A", "-o", "pid=,args="], capture_output=True, text=True, check=False).stdout
    for number, _, command in (line.strip().partition(" ") for line in listing.splitlines()):
        yield int(number), command.lstrip()


def warn_of_daemon(places: Places) -> None:
    """Says that a daemon still runs what was there before an upgrade."""
    for number, command in running(places).items():
        if "serve" in command.split():
            say(f"The daemon of before still runs; to change to the new one: kill {number}")
