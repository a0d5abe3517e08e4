"""Keeps results in a folder, one file each, named by their moment. A file that cannot be read is passed over."""

import logging
from pathlib import Path

import msgspec

from ollamapy.bench.result import Result

log = logging.getLogger(__name__)


def keep(folder: Path, result: Result) -> Path:
    """Writes the result; the path. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.when.replace(':', '')}.json"
    write(path, result)
    return path


def write(path: Path, result: Result) -> None:
    """Whole or not at all. Raises OSError."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")
    partial.replace(path)


def before(folder: Path, result: Result) -> list[Result]:
    """The kept results that measured the same, oldest first, without this one."""
    found = [_read(path) for path in sorted(folder.glob("*.json"))]
    return [old for old in found if old and old.is_like(result) and old.when != result.when]


def _read(path: Path) -> Result | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Result)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        log.warning("benchmark result not readable path=%s error=%s", path, error)
        return None
