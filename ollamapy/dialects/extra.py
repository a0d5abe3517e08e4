"""Passes native fields of other APIs' requests on. Pure."""

from typing import Any

import msgspec

from ollamapy.errors import Unsupported
from ollamapy.wire.extra import ExtraFields


def extras_of(wanted: ExtraFields, kind: type[msgspec.Struct], **more: Any) -> dict[str, Any]:
    """The native fields that the request adds, but for `options` and `think`, and `more` of them.

    Raises Unsupported for one that the native request `kind` does not know.
    """
    fields = {"keep_alive": wanted.keep_alive, "grammar": wanted.grammar, "priority": wanted.priority, **more}
    given = {name: value for name, value in fields.items() if value is not None}
    for name in given.keys() - set(kind.__struct_fields__):
        raise Unsupported(f"{name} is not supported yet")
    return given
