"""Finds the data that ships with ollamapy: `modelfiles/` and `registry/`, in a checkout or in the installed wheel."""

from pathlib import Path


def folder(name: str) -> Path:
    """The shipped folder `name`. Raises FileNotFoundError when the installation is broken."""
    package = Path(__file__).resolve().parent
    for place in (package / "_data" / name, package.parent / name):
        if place.is_dir():
            return place
    raise FileNotFoundError(f"this installation of ollamapy lacks its {name}/ folder; install it again")
