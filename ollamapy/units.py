"""Bytes, durations and keep-alive values, to and from text. The forms are those of Ollama's API and CLI."""

import re
from datetime import UTC, datetime
from typing import Any

from ollamapy.errors import InvalidInput

FOREVER_SECONDS = (2**63 - 1) / 1e9
"""The longest duration that fits Go's int64 nanoseconds, about 292 years: "forever" on the wire."""

KV_TYPE_BITS = {
    "f32": 32.0,
    "f16": 16.0,
    "bf16": 16.0,
    "q8_0": 8.5,
    "q5_1": 6.0,
    "q5_0": 5.5,
    "q4_1": 5.0,
    "q4_0": 4.5,
}
"""The types that a KV cache can have, with what one number takes."""

_UNIT_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}
_BYTES = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([kmg]i?)?b?(?:/s)?", re.ASCII | re.IGNORECASE)
_UNIT_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")
_LETTERS = re.compile(r"[^0-9.]+")


def parse_duration(text: str) -> float:
    """Seconds of a Go duration string such as `1h30m` or `-1m`. Raises InvalidInput with Go's own texts."""
    sign, rest = (-1.0, text[1:]) if text[:1] == "-" else (1.0, text[1:] if text[:1] == "+" else text)
    if rest == "0":
        return 0.0
    if not rest:
        raise InvalidInput(f'time: invalid duration "{text}"')
    total = 0.0
    while rest:
        number = _NUMBER.match(rest)
        if not number:
            raise InvalidInput(f'time: invalid duration "{text}"')
        rest = rest[number.end() :]
        unit = _LETTERS.match(rest)
        if not unit:
            raise InvalidInput(f'time: missing unit in duration "{text}"')
        if unit[0] not in _UNIT_SECONDS:
            raise InvalidInput(f'time: unknown unit "{unit[0]}" in duration "{text}"')
        total += float(number[0]) * _UNIT_SECONDS[unit[0]]
        rest = rest[unit.end() :]
    if total > FOREVER_SECONDS:
        raise InvalidInput(f'time: invalid duration "{text}"')
    return sign * total


def format_duration(nanoseconds: int) -> str:
    """A duration as Go prints it: `1m2.5s`, `45.2ms`, `130.079µs`."""
    if nanoseconds == 0:
        return "0s"
    sign, rest = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if rest < 1_000:
        return f"{sign}{rest}ns"
    if rest < 1_000_000:
        return f"{sign}{_decimal(rest, 1_000)}µs"
    if rest < 1_000_000_000:
        return f"{sign}{_decimal(rest, 1_000_000)}ms"
    minutes, rest = divmod(rest, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{_decimal(rest, 1_000_000_000)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}"
    return f"{sign}{minutes}m{seconds}" if minutes else sign + seconds


def _decimal(value: int, unit: int) -> str:
    whole, fraction = divmod(value, unit)
    digits = str(fraction).rjust(len(str(unit)) - 1, "0").rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


def parse_keep_alive(value: Any) -> float | None:
    """Seconds of a request's `keep_alive`; None when absent, infinity for "forever". Raises InvalidInput."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        kind = {bool: "bool", list: "[]interface {}", dict: "map[string]interface {}"}.get(type(value), "unknown")
        raise InvalidInput(f"Unsupported type: '{kind}'", hint='give seconds, or a duration such as "5m"')
    seconds = parse_duration(value) if isinstance(value, str) else value
    return float("inf") if seconds < 0 or seconds > FOREVER_SECONDS else float(seconds)


def format_bytes(count: int) -> str:
    """Decimal bytes as `ollama list` shows them: `999 B`, `1.5 KB`, `4.7 GB`."""
    for unit, name in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "KB")):
        if count >= unit:
            value = count / unit
            if value >= 10:
                return f"{int(value)} {name}"
            return f"{value:.1f} {name}" if count % unit else f"{int(value)} {name}"
    return f"{count} B"


def parse_rate(text: str) -> int:
    """Bytes a second: `5MB`, `500k`, `1.5 MiB/s`, `1000`; 0 is no limit. Raises InvalidInput."""
    found = _BYTES.fullmatch(text.strip())
    if not found:
        raise InvalidInput(
            f"invalid rate {text!r}", hint="wanted bytes a second, such as 5MB, 500K or 1MiB; 0: no limit"
        )
    return int(float(found[1]) * _UNIT_BYTES[(found[2] or "").lower()])


def format_count(count: int) -> str:
    """A parameter count: `7.2B`, `134.52M`, `12K`. Decimals are left out for whole billions and millions alone."""
    if count >= 10**9:
        return f"{count / 10**9:.1f}B" if count % 10**9 else f"{count // 10**9}B"
    if count >= 10**6:
        return f"{count / 10**6:.2f}M" if count % 10**6 else f"{count // 10**6}M"
    return f"{count / 1000:.0f}K" if count >= 1000 else str(count)


def format_relative(moment: datetime, now: datetime) -> str:
    """`moment` seen from `now`, as list and ps show it: `3 weeks ago`, `4 minutes from now`, `Forever`."""
    delta = (moment - now).total_seconds()
    if delta > 20 * 365 * 24 * 3600:
        return "Forever"
    return _span(abs(delta)) + (" from now" if delta > 0 else " ago")


def _span(seconds: float) -> str:
    if seconds < 1:
        return "Less than a second"
    if seconds < 60:
        return "1 second" if int(seconds) == 1 else f"{int(seconds)} seconds"
    if seconds < 3600:
        return "About a minute" if seconds < 120 else f"{int(seconds // 60)} minutes"
    hours = int(seconds / 3600 + 0.5)
    if hours == 1:
        return "About an hour"
    for limit, size, name in (
        (48, 1, "hours"),
        (336, 24, "days"),
        (1440, 168, "weeks"),
        (17520, 720, "months"),
    ):
        if hours < limit:
            return f"{hours // size} {name}"
    return f"{hours // 8760} years"


def format_utc(seconds: float) -> str:
    """A Unix time as RFC 3339 UTC, up to microseconds, zeros cut, `Z`: the form of `created_at`."""
    return _rfc3339(datetime.fromtimestamp(seconds, UTC)).replace("+00:00", "Z")


def format_local(seconds: float) -> str:
    """A Unix time as RFC 3339 with the machine's own offset: the form of `modified_at` and `expires_at`."""
    return _rfc3339(datetime.fromtimestamp(seconds).astimezone())


def _rfc3339(moment: datetime) -> str:
    text = moment.isoformat(timespec="microseconds")
    head, fraction, offset = text[:19], text[19:26].rstrip("0").rstrip("."), text[26:]
    return head + fraction + offset
