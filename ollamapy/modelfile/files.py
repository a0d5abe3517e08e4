"""Finds the local files that FROM, ADAPTER and DRAFT name. Reads folders and first bytes; never writes, never hashes.

A value becomes a path (`resolve_path`); a file stands for itself; of a folder the files of one model are chosen:

1. the weights, which are the first of `_WEIGHTS` that is there;
2. `*.json`, also one folder down, which must be text;
3. `chat_template.jinja`;
4. `tokenizer.model`, else those one folder down.
"""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ollamapy.errors import InvalidInput
from ollamapy.wire.shards import siblings

NO_MODEL = "no Modelfile or safetensors files found"

_ZIP, _BINARY, _TEXT = "application/zip", "application/octet-stream", "text/plain"
_WEIGHTS = (
    ("model*.safetensors", ""),
    ("consolidated*.safetensors", ""),
    ("pytorch_model*.bin", _ZIP),
    ("consolidated*.pth", _ZIP),
    ("*.gguf", _BINARY),
    ("*.bin", _BINARY),
)
"""File names in order of preference, and the content they must have: anything else is a broken download."""

_SNIFFED_BYTES = 512
_SIGNATURES = (
    (b"PK\x03\x04", _ZIP),
    (b"\x1f\x8b\x08", "application/x-gzip"),
    (b"%PDF-", "application/pdf"),
    (b"\xfe\xff", _TEXT),
    (b"\xff\xfe", _TEXT),
)
_HTML = (b"<!doctype html", b"<html")
_BINARY_BYTES = frozenset({*range(0x09), 0x0B, *range(0x0E, 0x1B), *range(0x1C, 0x20)})


@dataclass(frozen=True, slots=True)
class Found:
    """The absolute path that a value stands for, and the files to upload for it: none when nothing is there."""

    path: Path
    files: tuple[Path, ...] = ()


def find_local(value: str, folder: Path) -> Found:
    """What `value` names, seen from the Modelfile's `folder`. Raises InvalidInput for what cannot be used."""
    path = resolve_path(value, folder)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return Found(path)
    except OSError as error:
        raise InvalidInput(_told("stat", path, error)) from error
    if stat.S_ISDIR(mode):
        return Found(path, choose_files(path))
    if not stat.S_ISREG(mode):
        raise InvalidInput(f"{path} is neither a file nor a folder")
    return Found(path, _parts(path))


def _parts(path: Path) -> tuple[Path, ...]:
    """The file, or all files of the model that it is a part of. Raises InvalidInput when one is missing."""
    names = siblings(path.name)
    missing = [name for name in names if not (path.parent / name).is_file()]
    if missing:
        raise InvalidInput(
            f"split GGUF: {path.name} is one of {len(names)} parts, and {missing[0]} is missing",
            hint=f"all parts must lie in {path.parent}",
        )
    return tuple(path.parent / name for name in names)


def resolve_path(value: str, folder: Path) -> Path:
    """The absolute path of `value`, relative to `folder` or, with `~`, to a home. Raises InvalidInput: no such user."""
    if value.startswith("~"):
        path = _in_home(value)
    elif value.startswith("\\"):
        path = Path(value)
    else:
        path = folder / value
    return Path(os.path.abspath(path))


def choose_files(folder: Path) -> tuple[Path, ...]:
    """The files of the one model in `folder`, links resolved. Raises InvalidInput: none, broken, or outside."""
    try:
        weights = _weights(folder)
        if not weights:
            raise InvalidInput(NO_MODEL)
        chosen = [*weights, *_configs(folder), *_matches(folder, "chat_template.jinja"), *_tokenizers(folder)]
        return tuple(dict.fromkeys(_inside(path, folder) for path in chosen))
    except OSError as error:
        raise InvalidInput(_told("open", error.filename or folder, error)) from error


def content_type(head: bytes) -> str:
    """The kind of content that begins with `head`, in the words of the web."""
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return kind
    if head.lstrip().lower().startswith(_HTML):
        return "text/html"
    return _TEXT if _BINARY_BYTES.isdisjoint(head) else _BINARY


def _in_home(value: str) -> Path:
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        user = value[1:].split("/")[0]
        raise InvalidInput(f"failed to find user '{user}': user: unknown user {user}") from error


def _weights(folder: Path) -> list[Path]:
    for pattern, kind in _WEIGHTS:
        found = _matches(folder, pattern)
        if found and all(_sniff(path) == kind for path in found if kind):
            nested = _matches(folder, f"*/{pattern}") if pattern == "model*.safetensors" else []
            return found + nested
    return []


def _configs(folder: Path) -> list[Path]:
    found = _matches(folder, "*.json", "*/*.json")
    for path in found:
        kind = _sniff(path)
        if kind != _TEXT:
            raise InvalidInput(f"invalid content type: expected {kind} for {path}")
    return found


def _tokenizers(folder: Path) -> list[Path]:
    found = _matches(folder, "tokenizer.model")
    if found and _sniff(found[0]) == _BINARY:
        return found
    return _matches(folder, "*/tokenizer.model")


def _matches(folder: Path, *patterns: str) -> list[Path]:
    """The files that match, sorted for each pattern. A link to nothing is kept, so that opening it tells."""
    return [path for pattern in patterns for path in sorted(folder.glob(pattern)) if _is_file_or_broken(path)]


def _is_file_or_broken(path: Path) -> bool:
    return path.is_file() or not path.exists()


def _sniff(path: Path) -> str:
    with path.open("rb") as file:
        return content_type(file.read(_SNIFFED_BYTES))


def _inside(path: Path, folder: Path) -> Path:
    """The file behind `path`, spelled as one below `folder`. Raises InvalidInput when a link leads out of `folder`."""
    root = Path(os.path.realpath(folder))
    target = Path(os.path.realpath(path, strict=True))
    if not target.is_relative_to(root):
        outside = os.path.relpath(target, root)
        hint = "Use --local-dir <dir> when downloading model to disable caching" if ".cache" in outside else ""
        raise InvalidInput(f"insecure path: {outside}", hint=hint)
    return folder / target.relative_to(root)


def _told(verb: str, path: object, error: OSError) -> str:
    return f"{verb} {path}: {(error.strerror or str(error)).lower()}"


def common_keys(paths: Iterable[Path]) -> dict[str, Path]:
    """The files by their names in a request: the base name of one, paths below the common folder of several."""
    unique = list(dict.fromkeys(paths))
    if len(unique) < 2:
        return {path.name: path for path in unique}
    root = os.path.commonpath(unique)
    return {path.relative_to(root).as_posix(): path for path in unique}
