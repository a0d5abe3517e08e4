"""What a row found."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """A ratio, or a figure, and its bar. `detail` says what it was made of."""

    what: str
    value: float
    bar: float
    is_limit: bool = False
    """The value may be at most the bar; else it must reach it."""
    detail: str = ""

    @property
    def is_met(self) -> bool:
        return self.value <= self.bar if self.is_limit else self.value >= self.bar

    @property
    def wanted(self) -> str:
        return f"{'<=' if self.is_limit else '>='} {self.bar:g}"
