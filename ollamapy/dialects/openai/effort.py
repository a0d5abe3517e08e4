"""How hard a model is to think: OpenAI's words for it, as the native `think`."""

from ollamapy.errors import InvalidInput
from ollamapy.wire.native import Think
from ollamapy.wire.openai import Reasoning

_LEVELS: dict[str, Think] = {
    "": None,
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "max": "max",
    "xhigh": "max",
    "ultra": "max",
}


def think_of(reasoning: Reasoning | None, effort: str | None = None) -> Think:
    """A reasoning object wins over a plain `effort`, even when it is empty. Raises InvalidInput."""
    word = (reasoning.effort if reasoning else effort) or ""
    if word not in _LEVELS:
        raise InvalidInput(
            f'invalid reasoning value: "{word}" (must be "minimal", "low", "medium", "high", "xhigh", "ultra", "max", '
            'or "none")'
        )
    return _LEVELS[word]
