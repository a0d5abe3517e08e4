"""The bounds that keep a stranger's schema or grammar harmless. Owns the counting; going over is InvalidInput.

They are far above what real schemas need, and low enough that a conversion ends within a second.
"""

from ollamapy.errors import InvalidInput

MAX_NESTING = 64
"""Levels of objects and arrays in a schema; also of groups in a pattern, and of schemas that name schemas."""
MAX_NODES = 20_000
"""Values in a schema, whatever they are."""
MAX_TEXT_CHARS = 500_000
"""Characters of all names and texts in a schema."""
MAX_RULES = 10_000
MAX_SCHEMAS = 10_000
"""Schemas that are read, once more for every set of schemas that must hold together."""
MAX_SHAPES = 10_000
"""Alternatives that a schema may have when its `anyOf` and `oneOf` are multiplied out."""
MAX_STEPS = 200_000
"""Work on the automata of patterns, in visited edges."""
MAX_STATES = 4_000
"""States of one automaton."""
MAX_PATTERN_CHARS = 10_000
MAX_REPEAT = 1_000
"""The highest count in a pattern's braces."""
MAX_LENGTH = 1_000_000
"""The highest bound on the length of a string or the number of items."""
MAX_PROPERTIES = 500
MAX_DIGITS = 40
"""Digits of a bound on a number."""
MAX_GRAMMAR_CHARS = 500_000
MAX_UNROLLED = 100_000
"""Copies that an engine makes of what a grammar repeats with a count."""


class Budget:
    """What one conversion may still spend."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = {
            "rules": MAX_RULES,
            "schemas": MAX_SCHEMAS,
            "alternatives": MAX_SHAPES,
            "steps": MAX_STEPS,
            "characters": MAX_GRAMMAR_CHARS,
            "repetitions": MAX_UNROLLED,
        }

    def spend(self, what: str, amount: int = 1) -> None:
        """Counts `amount` of what the conversion makes."""
        self._left[what] -= amount
        if self._left[what] < 0:
            raise InvalidInput(f"too large: its grammar would take too many {what}")
