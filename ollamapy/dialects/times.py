"""Times of the native API as OpenAI says them. Pure."""

from datetime import datetime


def unix_seconds(text: str) -> int:
    """Whole seconds of Unix time of an RFC 3339 text."""
    return int(datetime.fromisoformat(text).timestamp())
