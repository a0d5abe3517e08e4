"""Wire values as a client reads them."""

from typing import Any

import msgspec


def plain(value: Any) -> Any:
    """`value` as JSON and back: dicts, lists and scalars."""
    return msgspec.json.decode(msgspec.json.encode(value))
