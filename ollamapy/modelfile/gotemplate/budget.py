"""What one execution may still spend. Owns the counting, not the templates; going over is a TemplateError."""

from collections.abc import Callable
from datetime import date

from ollamapy.errors import TemplateError
from ollamapy.modelfile.gotemplate.limits import MAX_MADE_CHARS, MAX_STEPS

_READ_CHARS_PER_STEP = 256
_MADE_CHARS_PER_STEP = 16


class Budget:
    """Steps and characters left, and the date that the template is told."""

    __slots__ = ("made_chars", "steps", "today")

    def __init__(self, today: Callable[[], date]) -> None:
        self.steps = MAX_STEPS
        self.made_chars = MAX_MADE_CHARS
        self.today = today

    def spend(self, steps: int) -> None:
        """Counts work."""
        self.steps -= steps
        if self.steps < 0:
            raise TemplateError(f"template: more than {MAX_STEPS} steps")

    def read(self, num_chars: int) -> None:
        """Counts the work of going through a text at the speed of a copy."""
        if num_chars >= _READ_CHARS_PER_STEP:
            self.spend(num_chars // _READ_CHARS_PER_STEP)

    def make(self, num_chars: int) -> None:
        """Counts text that a function is about to make, or has made."""
        self.made_chars -= num_chars
        if self.made_chars < 0:
            raise TemplateError(f"template: its functions made more than {MAX_MADE_CHARS} characters")
        self.spend(num_chars // _MADE_CHARS_PER_STEP)

    def made(self, text: str) -> str:
        """`text`, counted."""
        self.make(len(text))
        return text
