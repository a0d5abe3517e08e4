"""How values are written: as JSON, or as a format of tool calls writes them. Values only."""

import re
from dataclasses import dataclass
from typing import Any

from ollamapy.modelfile.grammar.literals import json_text


@dataclass(frozen=True, slots=True)
class Notation:
    """`quote` stands on both sides of a string. Without escapes its characters stand for themselves.

    `never` are texts that no string may hold, because a parser would take them for its end or the call's.
    """

    quote: str = '"'
    has_escapes: bool = True
    never: tuple[str, ...] = ()
    bare_key: str = ""
    """A pattern of the member names that can be written, which then have no quotes; none if names have quotes."""
    colon: str = ":"
    """Stands between the name of a member and its value."""
    has_space: bool = True
    """White space may stand between tokens."""

    @property
    def signs(self) -> str:
        """The least usual sign of each text in `never`: without those no string can hold them."""
        return "".join(max(filter(_is_sign, text)) for text in self.never)

    def literal(self, value: Any) -> str | None:
        """The text of `value`, None when it has none."""
        if self.has_escapes:
            return self._escaped(json_text(value))
        match value:
            case str():
                is_safe = not any(text in value for text in self.never)
                return f"{self.quote}{value}{self.quote}" if is_safe else None
            case list():
                return self._all("[", [self.literal(item) for item in value], "]")
            case dict():
                return self._all("{", [self._member(name, item) for name, item in value.items()], "}")
        return json_text(value)

    def key(self, name: str) -> str | None:
        """The text of a member's name, None when it has none."""
        if not self.bare_key:
            return self._escaped(json_text(name))
        return name if re.fullmatch(self.bare_key, name) else None

    def _member(self, name: str, value: Any) -> str | None:
        key, text = self.key(name), self.literal(value)
        return None if key is None or text is None else f"{key}{self.colon}{text}"

    def _all(self, start: str, parts: list[str | None], end: str) -> str | None:
        written = [part for part in parts if part is not None]
        return start + ",".join(written) + end if len(written) == len(parts) else None

    def _escaped(self, text: str) -> str:
        """JSON text without what must never stand in a string; only strings can hold it."""
        for forbidden in self.never:
            text = text.replace(forbidden, f"\\u{ord(forbidden[0]):04x}{forbidden[1:]}")
        return text


def _is_sign(char: str) -> bool:
    return not char.isalnum() and char != "_"


JSON = Notation()
