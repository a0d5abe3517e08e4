"""The Hugging Face hub by its file API: for what its registry refuses, such as private and gated repositories,
and models in several files.

The package huggingface_hub does the talking, with the user's own token, login, mirror (HF_ENDPOINT) and cache. It is
an extra: without it the error says how to get it. A file that its cache has is linked into the store, not copied.
"""

import hashlib
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ollamapy.errors import RemoteError, StoreError
from ollamapy.names import Digest, ModelName
from ollamapy.remotes.base import BlobSink, Entry, Report, Source, pulling
from ollamapy.remotes.choose import choose
from ollamapy.remotes.pace import limits, owed
from ollamapy.remotes.threads import Stop, in_thread

_HOSTS = frozenset({"hf.co", "huggingface.co"})
_NAP_SECONDS = 0.1
"""How soon a download that waits for its turn notices that nobody wants it any more."""
_INSTALL = "pip install 'ollamapy[hf]' lets the hub be asked itself, with your login for private and gated repositories"


def is_hub(host: str, endpoint: str) -> bool:
    """True for the hub's own hosts, and for the mirror that stands in for it."""
    return host.lower() in _HOSTS or bool(endpoint and host.lower() == urlsplit(endpoint).netloc.lower())


async def files_of(name: ModelName, endpoint: str = "") -> "list[HubRemote]":
    """The file that the tag means, or all its parts in order. `endpoint` is the mirror, if any. Raises RemoteError."""
    return await in_thread(lambda stop: _files_of(name, endpoint))


def _files_of(name: ModelName, endpoint: str) -> "list[HubRemote]":
    with hub_faults() as hub:
        files = hub.HfApi(endpoint=endpoint or None).list_repo_files(name.repository)
    return [HubRemote(name, file, endpoint) for file in choose(files, name.tag)]


@dataclass(frozen=True, slots=True)
class HubRemote:
    """A Remote: one file of a repository. `endpoint` is the mirror, if any."""

    name: ModelName
    file: str
    endpoint: str = ""

    @property
    def entry(self) -> Entry:
        return Entry(self.name, Source("hub", self.name.repository, self.file))

    async def fetch(self, blobs: BlobSink, report: Report) -> Digest:
        """Brings the file into `blobs`. Raises RemoteError, StoreError."""
        return await in_thread(lambda stop: self._fetch(blobs, report, stop))

    def _fetch(self, blobs: BlobSink, report: Report, stop: Stop) -> Digest:
        with hub_faults() as hub:
            bar = _bar(hub, self.entry.source, report, stop)
            path = hub.hf_hub_download(self.name.repository, self.file, endpoint=self.endpoint or None, tqdm_class=bar)
        return self._adopt(Path(path).resolve(), blobs)

    def _adopt(self, path: Path, blobs: BlobSink) -> Digest:
        """The cache's file becomes a blob: the same file under a second name, or a copy on another disk."""
        key = hashlib.sha256(self.entry.source.key.encode()).hexdigest()[:16]
        partial = blobs.partial_path(f"hub-{key}")
        try:
            partial.unlink(missing_ok=True)
            with suppress(OSError):
                os.link(path, partial)
            if not partial.exists():
                shutil.copyfile(path, partial)
        except OSError as error:
            raise StoreError(f"cannot take {path} out of the hub's cache: {error.strerror}") from error
        return blobs.adopt(partial, None)


@contextmanager
def hub_faults() -> Iterator[Any]:
    """The package, whose errors become RemoteErrors."""
    try:
        import huggingface_hub as hub
    except ImportError as error:
        raise RemoteError("the package huggingface_hub is not installed", hint=_INSTALL) from error
    try:
        yield hub
    except (hub.errors.HfHubHTTPError, hub.errors.HFValidationError, hub.errors.LocalEntryNotFoundError) as error:
        hint = "HF_TOKEN, or `hf auth login` as the daemon's user, opens private and gated repositories"
        raise RemoteError(f"the hub says: {str(error).strip().splitlines()[0]}", hint=hint) from error
    except _transport_errors() as error:
        raise RemoteError(f"the hub could not be asked: {error}") from error


def _transport_errors() -> tuple[type[Exception], ...]:
    """What the package's HTTP client raises; which one it has depends on its version."""
    clients = (sys.modules.get(name) for name in ("requests", "httpx", "httpx2"))
    return (OSError, *(client.HTTPError for client in clients if client))


def _bar(hub: Any, source: Source, report: Report, stop: Stop) -> Any:
    """What the package calls while it downloads, in the form that it wants: a progress bar, which shows nothing."""

    limiters = limits.get()

    class Bar(hub.utils.tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": True})
            self.size, self.done = options.get("total") or 0, options.get("initial") or 0

        def update(self, n: float | None = 1) -> None:
            stop.check()
            self.done += n or 0
            report(pulling(source, int(self.done), int(self.size)))
            until = time.monotonic() + owed(int(n or 0), limiters)
            while (left := until - time.monotonic()) > 0:
                time.sleep(min(left, _NAP_SECONDS))
                stop.check()

    return Bar
