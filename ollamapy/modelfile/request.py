"""Turns a Modelfile into what `POST /api/create` asks for. Decides only: the disk is asked through `find`.

| Instruction                          | Repeated          | Becomes                       |
| ------------------------------------ | ----------------- | ----------------------------- |
| FROM: something is there             | files of all      | `files`                       |
| FROM: nothing is there               | last              | `from`, a model name as it is |
| ADAPTER, must be there               | last              | `adapters`                    |
| DRAFT, must be there and not be FROM | files of all      | `draft_files`                 |
| TEMPLATE SYSTEM RENDERER PARSER      | last              | the field of that name        |
| REQUIRES                             | last              | `requires`, without its `v`   |
| LICENSE, MESSAGE                     | each, in order    | `license`, `messages`         |
| PARAMETER                            | last; `stop`: all | `parameters`                  |
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ollamapy.errors import InvalidInput
from ollamapy.modelfile.files import Found, common_keys
from ollamapy.modelfile.options import DEPRECATED, Value, add_parameter, parse_parameter
from ollamapy.modelfile.parse import Command, Modelfile
from ollamapy.names import Digest

Find = Callable[[str], Found]
"""What a FROM, ADAPTER or DRAFT value names on this machine: `files.find_local` with the Modelfile's folder."""

_NUMBER = r"(?:0|[1-9][0-9]*)"
_LABEL = rf"(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_SUFFIX = rf"(?:-{_LABEL}(?:\.{_LABEL})*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
_SEMVER = re.compile(rf"v?({_NUMBER}(?:\.{_NUMBER}(?:\.{_NUMBER}{_SUFFIX})?)?)\Z")


@dataclass(frozen=True, slots=True)
class CreatePlan:
    """A create request before its files are hashed. Maps go from a file's key in the request to its path here."""

    fields: Mapping[str, Any]
    files: Mapping[str, Path]
    adapters: Mapping[str, Path]
    draft_files: Mapping[str, Path]
    warnings: tuple[str, ...]

    @property
    def local_files(self) -> tuple[Path, ...]:
        """Every file to hash and upload, each once."""
        return tuple(dict.fromkeys([*self.files.values(), *self.adapters.values(), *self.draft_files.values()]))

    def request(self, digests: Mapping[Path, Digest]) -> dict[str, Any]:
        """The JSON fields of the request but for `model`; `digests` knows each of `local_files`."""
        maps = {"files": self.files, "adapters": self.adapters, "draft_files": self.draft_files}
        listed = {
            name: {key: str(digests[path]) for key, path in paths.items()} for name, paths in maps.items() if paths
        }
        return {**self.fields, **listed}


def to_create(modelfile: Modelfile, find: Find) -> CreatePlan:
    """What `modelfile` asks for. Raises InvalidInput at the first instruction that cannot be followed."""
    gathered = _Gathered(find)
    for command in modelfile.commands:
        gathered.add(command)
    return gathered.plan()


def check_requires(text: str) -> str:
    """The version in `text`, without a leading `v`; `1` and `0.14` are versions too. Raises InvalidInput."""
    version = _SEMVER.match(text)
    if not version:
        raise InvalidInput("requires must be a valid semver (e.g. 0.14.0)")
    return version[1]


@dataclass(slots=True)
class _Gathered:
    """What the instructions read so far add up to."""

    find: Find
    fields: dict[str, Any] = field(default_factory=dict)
    sources: list[Found] = field(default_factory=list)
    drafts: list[Found] = field(default_factory=list)
    adapters: tuple[Path, ...] = ()
    parameters: dict[str, Value] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def add(self, command: Command) -> None:
        if command.is_parameter:
            self._add_parameter(command.name, command.value)
            return
        match command.name:
            case "from":
                self._add_source(command.value)
            case "adapter":
                self.adapters = self._existing(command.value).files
            case "draft":
                self.drafts.append(self._existing(command.value))
            case "requires":
                self.fields["requires"] = check_requires(command.value)
            case "license":
                self.fields.setdefault("license", []).append(command.value)
            case "message":
                message = {"role": command.role, "content": command.value}
                self.fields.setdefault("messages", []).append(message)
            case name:
                self.fields[name] = command.value

    def plan(self) -> CreatePlan:
        self._check_drafts()
        parameters = {"parameters": self.parameters} if self.parameters else {}
        return CreatePlan(
            fields={**self.fields, **parameters},
            files=common_keys(path for found in self.sources for path in found.files),
            adapters=common_keys(self.adapters),
            draft_files=common_keys(path for found in self.drafts for path in found.files),
            warnings=tuple(self.warnings),
        )

    def _add_parameter(self, name: str, text: str) -> None:
        add_parameter(self.parameters, name, parse_parameter(name, text))
        if name in DEPRECATED:
            self.warnings.append(f"warning: parameter {name} is deprecated")

    def _add_source(self, value: str) -> None:
        found = self.find(value)
        if found.files:
            self.sources.append(found)
        else:
            self.fields["from"] = value

    def _existing(self, value: str) -> Found:
        found = self.find(value)
        if not found.files:
            raise InvalidInput(f"stat {found.path}: no such file or directory")
        return found

    def _check_drafts(self) -> None:
        sources = {found.path for found in self.sources}
        for found in self.drafts:
            if found.path in sources:
                raise InvalidInput(f"DRAFT must not reference the same local path as FROM: {found.path}")
