"""Turns answers of the API into text for people: tables, times, shares. Pure: values in, text out."""

import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from ollamapy import units
from ollamapy.wire.native import ListedModel, LoadedModel

GAP = "    "


def list_table(models: Iterable[ListedModel], now: datetime) -> str:
    """What `list` prints."""
    rows = [
        (model.name, model.digest[:12], units.format_bytes(model.size), relative(model.modified_at, now))
        for model in models
    ]
    return table([("NAME", "ID", "SIZE", "MODIFIED"), *rows])


def ps_table(models: Iterable[LoadedModel], now: datetime) -> str:
    """What `ps` prints."""
    rows = [
        (
            model.name,
            model.digest[:12],
            units.format_bytes(model.size),
            processor(model.size, model.size_vram),
            str(model.context_length),
            until(model.expires_at, now),
        )
        for model in models
    ]
    return table([("NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL"), *rows])


def table(rows: Sequence[Sequence[str]], indent: str = "") -> str:
    """The rows as lines, columns padded to their widest cell and four spaces apart. Rows may differ in length."""
    columns = max((len(row) for row in rows), default=0)
    widths = [max(width(row[column]) for row in rows if column < len(row)) for column in range(columns)]
    return "".join(indent + _line(row, widths) + "\n" for row in rows)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [cell + " " * (widths[column] - width(cell)) for column, cell in enumerate(row)]
    return GAP.join(cells).rstrip()


def width(text: str) -> int:
    """How many columns of a terminal `text` takes."""
    return len(text) if text.isascii() else sum(char_width(char) for char in text)


def char_width(char: str) -> int:
    """2 for wide characters, 0 for marks and joiners that take no room, else 1."""
    if unicodedata.combining(char) or unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def processor(size_bytes: int, vram_bytes: int) -> str:
    """Where a model of `size_bytes` is, of which `vram_bytes` are on a GPU."""
    if vram_bytes == 0:
        return "100% CPU"
    if size_bytes == 0 or vram_bytes > size_bytes:
        return "Unknown"
    if vram_bytes == size_bytes:
        return "100% GPU"
    on_cpu = (200 * (size_bytes - vram_bytes) + size_bytes) // (2 * size_bytes)
    return f"{on_cpu}%/{100 - on_cpu}% CPU/GPU"


def until(moment: str, now: datetime) -> str:
    """When a loaded model goes, seen from `now`."""
    parsed = _parse(moment)
    return "Stopping..." if parsed and parsed.year > 1 and parsed < now else relative(moment, now)


def relative(moment: str, now: datetime) -> str:
    """An RFC 3339 time seen from `now`: `3 weeks ago`; `Never` for Go's zero time. Other text stays as it is."""
    parsed = _parse(moment)
    if parsed is None:
        return moment
    return "Never" if parsed.year == 1 else units.format_relative(parsed, now)


def _parse(moment: str) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(moment)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
