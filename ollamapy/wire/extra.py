"""The native fields that requests of other APIs may carry beside their own."""

from typing import Any

import msgspec


class ExtraFields(msgspec.Struct, frozen=True, kw_only=True):
    """What every `/v1` request may add, checked by the native API's own readers."""

    options: dict[str, Any] | None = None
    keep_alive: Any = None
    think: Any = None
    grammar: str | None = None
    priority: int | None = None
