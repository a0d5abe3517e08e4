"""`create`: a Modelfile becomes a model of the daemon.

1. Check the name.
2. Read the Modelfile; without one, and without `-f`, the current folder is the source.
3. Parse it.
4. Find the files it names, seen from its own folder, and take the SHA-256 of each.
5. Upload the files that the daemon lacks.
6. Ask for the model.

Nothing is sent before the Modelfile is understood.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ollamapy.cli import progress
from ollamapy.cli.daemon import connect
from ollamapy.client import Client
from ollamapy.errors import InvalidInput, InvalidName, Unsupported
from ollamapy.modelfile.files import find_local
from ollamapy.modelfile.parse import parse
from ollamapy.modelfile.request import CreatePlan, to_create
from ollamapy.names import Digest, ModelName
from ollamapy.settings import Settings

DEFAULT_FILE = "Modelfile"

Display = progress.Plain | progress.Moving


def create(
    settings: Settings,
    model: str,
    file: str,
    quantize: str,
    draft_quantize: str,
    *,
    warm: bool = False,
    experimental: bool = False,
) -> None:
    """Creates `model` from the Modelfile `file`, with progress on stderr. Bad input fails before anything is sent."""
    if experimental:
        raise Unsupported("create --experimental is not supported")
    check_name(model)
    plan = read_plan(file)
    if draft_quantize and not plan.draft_files:
        raise InvalidInput("--draft-quantize requires a DRAFT model")
    levels = {"quantize": quantize, "draft_quantize": draft_quantize}
    for warning in plan.warnings:
        print(warning)
    with connect(settings) as client, progress.display() as shown:
        shown.status("gathering model components")
        digests = {path: sha256(path) for path in plan.local_files}
        upload(client, digests, shown)
        request: dict[str, Any] = {"model": model, **plan.request(digests)}
        request |= {name: level for name, level in levels.items() if level}
        request |= {"warm": True} if warm else {}
        for line in client.create(request):
            shown.update(line)


def check_name(text: str) -> None:
    """Raises InvalidName when no model can be called that."""
    try:
        ModelName.parse(text)
    except InvalidName as error:
        raise InvalidName(f"invalid model name: {text}", hint=error.hint) from error


def read_plan(file: str) -> CreatePlan:
    """What the Modelfile asks for; `file` is empty when none was named."""
    path = Path(file or DEFAULT_FILE).absolute()
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        if file:
            raise InvalidInput("specified Modelfile wasn't found", hint=f"there is no {path}") from error
        data = b"FROM .\n"
    return to_create(parse(data), partial(find_local, folder=path.parent))


def sha256(path: Path) -> Digest:
    """The digest of a file, read in pieces."""
    with path.open("rb") as file:
        return Digest(hashlib.file_digest(file, "sha256").hexdigest())


def upload(client: Client, digests: Mapping[Path, Digest], shown: Display) -> None:
    """Sends the daemon the files that it lacks."""
    for path, digest in digests.items():
        report = _Percent(shown, f"copying file {digest}", path.stat().st_size)
        report(0)
        if not client.has_blob(digest):
            client.put_blob(digest, path, report)
        report(report.size_bytes)


@dataclass(frozen=True, slots=True)
class _Percent:
    """Shows how much of a file was sent."""

    shown: Display
    status: str
    size_bytes: int

    def __call__(self, sent_bytes: int) -> None:
        self.shown.status(self.status, f"{100 * sent_bytes // max(1, self.size_bytes)}%")
