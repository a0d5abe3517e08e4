"""The file of what was asked before: one line each, the last hundred, for the user's eyes only."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

LIMIT = 100
MODE = 0o600


def read(path: Path) -> list[str]:
    """The lines, oldest first, blank ones left out; none when there is no file."""
    try:
        text = path.read_text("utf-8", "replace")
    except FileNotFoundError:
        return []
    return [line for line in text.split("\n") if line.strip()][-LIMIT:]


def append(path: Path, entry: str) -> None:
    """Adds `entry` and writes the file anew. Raises OSError."""
    write(path, [*read(path), *entry.split("\n")])


def write(path: Path, lines: Sequence[str]) -> None:
    """Replaces the file as a whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            os.fchmod(file.fileno(), MODE)
            file.writelines(f"{line}\n" for line in lines[-LIMIT:] if line.strip())
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
