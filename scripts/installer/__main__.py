"""The installer: ./install.sh starts it with a fitting Python. It needs nothing but the standard library."""

import os
import sys
from pathlib import Path

import arguments
from backend import look
from install import Plan, install
from places import Places
from shell import guarded
from source import Source
from uninstall import uninstall

CHECKOUT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Does what the flags say. Does not return when words for the installed program were given."""
    asked, env = arguments.parse(sys.argv[1:]), dict(os.environ)
    places = Places.of(asked.prefix, env, Path.home())
    if asked.prefix:
        env["PIP_NO_CACHE_DIR"] = "1"  # "everything below DIR" holds for downloads too
    if asked.action == "help":
        print(arguments.USAGE, end="")
    elif asked.action == "uninstall":
        uninstall(asked, places)
    elif asked.action == "plan":
        print(Plan.make(asked, Source(CHECKOUT), places, look(env), env))
    else:
        install(asked, Source(CHECKOUT), places, look(env), env)
        if asked.words:
            os.execv(places.program, [str(places.program), *asked.words])


if __name__ == "__main__":
    sys.exit(guarded(main))
