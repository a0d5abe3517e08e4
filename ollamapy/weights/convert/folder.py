"""A model's folder as its makers publish it: JSON files and lists of words, each read within a bound."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ollamapy.errors import ModelFileError

_MAX_TEXT_BYTES = 64 << 20
"""Real ones reach about 20 MB, a tokenizer.json of 250k tokens."""


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder at `path`. Every method raises ModelFileError naming the file."""

    path: Path

    def has(self, name: str) -> bool:
        return (self.path / name).is_file()

    def text(self, name: str) -> str:
        """The text of a file that must be there."""
        path = self.path / name
        try:
            with path.open("rb") as file:
                data = file.read(_MAX_TEXT_BYTES + 1)
            if len(data) > _MAX_TEXT_BYTES:
                raise ModelFileError(f"{name}: more than {_MAX_TEXT_BYTES} bytes")
            return data.decode()
        except FileNotFoundError as error:
            raise ModelFileError(f"the model's folder has no {name}") from error
        except (OSError, UnicodeDecodeError) as error:
            raise ModelFileError(f"{name}: cannot be read: {error}") from error

    def object(self, name: str, *, is_optional: bool = False) -> dict[str, Any]:
        """The JSON object in a file; empty for an optional file that is not there."""
        if is_optional and not self.has(name):
            return {}
        value = self.json(name)
        if not isinstance(value, dict):
            raise ModelFileError(f"{name}: wanted a JSON object, found {type(value).__name__}")
        return value

    def json(self, name: str) -> Any:
        try:
            return json.loads(self.text(name))
        except (ValueError, RecursionError) as error:
            raise ModelFileError(f"{name}: not JSON: {error}") from error
