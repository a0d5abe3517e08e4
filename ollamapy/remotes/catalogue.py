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

from ollamapy import data
from ollamapy.errors import Error, InvalidInput
from ollamapy.names import Digest, ModelName
from ollamapy.remotes.base import Entry, Source, is_web_url
from ollamapy.remotes.yamlfile import read_yaml, typed

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
        for name, fields in read_yaml(path).items():
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
    fields = typed(value, _Fields)
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
