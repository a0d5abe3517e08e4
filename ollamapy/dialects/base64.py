"""Judges base64 text the way Go's decoder does. Decodes nothing."""

import re

_PADDED = re.compile(r"[A-Za-z0-9+/]*={0,2}")


def fault(text: str) -> str:
    """What is wrong with standard, padded base64, in Go's words; empty when nothing is."""
    good = _PADDED.match(text)
    at = good.end() if good else 0
    return f"illegal base64 data at input byte {at}" if at < len(text) or len(text) % 4 else ""
