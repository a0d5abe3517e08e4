"""The catalogue: short names of models that can be pulled, read from YAML.

Owns the form of `catalogue.yaml`, which that file describes itself. Never fetches anything and never looks at the
files that an entry names.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Annotated, Any, Self

import msgspec
import yaml

from ollamapy import data
from ollamapy.errors import Error, InvalidInput
from ollamapy.names import Digest, ModelName
from ollamapy.remotes.base import Entry, Source, is_web_url

# Exactly one version: a catalogue promises one file. The pattern also keeps pip options out.
_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.!+_-]*\Z")


class _Fields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    source: str
    file: str = ""
    digest: str = ""
    size: Annotated[int, msgspec.Meta(gt=0)] | None = None
    license: str = ""
    description: str = ""
    parameters: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Entries by the key of their name."""

    by_key: Mapping[str, Entry] = field(default_factory=dict)

    @classmethod
    def load(cls, extra: Path | None = None) -> Self:
        """The shipped catalogue with the user's own, `extra`, laid over it. Raises InvalidInput."""
        shipped = cls.read(data.folder("registry") / "catalogue.yaml")
        return cls({**shipped.by_key, **cls.read(extra).by_key}) if extra else shipped

    @classmethod
    def read(cls, path: Path) -> Self:
        """The catalogue in one file. Raises InvalidInput naming the file, the entry and the field."""
        entries: dict[str, Entry] = {}
        for name, fields in _read_yaml(path).items():
            try:
                entry = _entry(name, fields, path.parent)
                if entry.name.key in entries:
                    raise InvalidInput("the name appears twice")
            except Error as error:
                reason = f"{error.message}: {error.hint}" if error.hint else error.message
                raise InvalidInput(f'{path}: entry "{name}": {reason}') from error
            entries[entry.name.key] = entry
        return cls(entries)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All entries, shipped ones first."""
        return tuple(self.by_key.values())

    def find(self, name: ModelName) -> Entry | None:
        """The entry of this name, whatever the case."""
        return self.by_key.get(name.key)


def _entry(name: object, value: object, folder: Path) -> Entry:
    if not isinstance(name, str):
        raise InvalidInput("the name must be text")
    fields = _fields(value)
    source = _located(fields.source, folder)
    if source.kind == "wheel" and not (fields.file and fields.digest and fields.size):
        raise InvalidInput("a wheel needs the fields file, digest and size")
    if source.kind != "wheel" and fields.file:
        raise InvalidInput("field file: only a wheel has one")
    return Entry(
        ModelName.parse(name),
        replace(
            source,
            member=fields.file,
            digest=Digest.parse(fields.digest) if fields.digest else None,
            size=fields.size,
            license=fields.license,
            description=fields.description,
            params=fields.parameters,
        ),
    )


def _fields(value: object) -> _Fields:
    try:
        return msgspec.convert(value, _Fields)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        raise InvalidInput(f"field {path.rstrip('`')}: {reason}" if path else reason) from error


def _located(text: str, folder: Path) -> Source:
    """The kind and location in `wheel:…`, `file:…` or `https://…`."""
    kind, _, rest = text.partition(":")
    if kind == "wheel":
        if not _REQUIREMENT.match(rest):
            raise InvalidInput(f"field source: wanted wheel:<project>==<version>, found {text!r}")
        return Source("wheel", rest)
    if kind == "file":
        return Source("file", str(_below(rest, folder)))
    if is_web_url(text):
        return Source("url", text)
    raise InvalidInput(f"field source: wanted wheel:, file: or an http(s) URL, found {text!r}")


def _below(text: str, folder: Path) -> Path:
    path = Path(text).expanduser()
    if not text or (not path.is_absolute() and ".." in PurePath(text).parts):
        raise InvalidInput(f"field source: wanted a path below the catalogue's folder, found {text!r}")
    return folder.resolve() / path


class _Loader(yaml.SafeLoader):
    """Safe, and refuses a key that appears twice: YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} appears twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _read_yaml(path: Path) -> dict[object, object]:
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
