"""YAML files that people write, and errors that say where they are wrong. Never fills anything in."""

from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from ollamapy.errors import InvalidInput

T = TypeVar("T")


def typed(value: object, kind: type[T]) -> T:
    """A value of the file as `kind`. Raises InvalidInput naming the field."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        raise InvalidInput(f"field {path.rstrip('`')}: {reason}" if path else reason) from error


class _Loader(yaml.SafeLoader):
    """Safe, and refuses a key that appears twice: YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} appears twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[object, object]:
    """The entries of a file; none when it is empty. Raises InvalidInput naming the file and line."""
    try:
        value = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise InvalidInput(f"{path}: {line}{error.problem}") from error
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: {error}") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInput(f"{path}: wanted entries by name, found {type(value).__name__}")
    return value
