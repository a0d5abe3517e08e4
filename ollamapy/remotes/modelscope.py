"""ModelScope by its file API, for what its registry refuses, such as models in several files. Public ones only.

GET /api/v1/models/ORG/REPO/repo/files?Revision=master&Recursive=true    the files, with sizes and sha256
GET /models/ORG/REPO/resolve/master/PATH                                 one of them
"""

from urllib.parse import quote

import msgspec

from ollamapy.errors import InvalidDigest, RemoteError
from ollamapy.names import Digest
from ollamapy.remotes.base import Entry, Remote, Source
from ollamapy.remotes.choose import choose
from ollamapy.remotes.oci.remote import Registry

HOST = "modelscope.cn"
MAX_LIST_BYTES = 16 << 20


class _File(msgspec.Struct, rename="pascal"):
    path: str
    size: int = 0
    sha256: str = ""
    type: str = "blob"


class _Files(msgspec.Struct, rename="pascal"):
    files: tuple[_File, ...] = ()


class _Listing(msgspec.Struct, rename="pascal"):
    data: _Files | None = None
    message: str = ""


def is_modelscope(host: str, domain: str) -> bool:
    """True for its own hosts, and for the one that `domain`, of the settings, puts in its place."""
    return host.lower() in {HOST, f"www.{HOST}", domain.lower() or HOST}


def sources_of(listing: bytes, base: str, repository: str, tag: str) -> list[Source]:
    """The file that a tag means, or all its parts in order. Raises RemoteError."""
    try:
        found = msgspec.json.decode(listing, type=_Listing)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RemoteError(f"ModelScope's list of files cannot be read: {error}") from error
    if found.data is None:
        raise RemoteError(f"ModelScope says: {found.message or 'no files'}")
    files = {file.path: file for file in found.data.files if file.type == "blob"}
    return [_source(files[path], base, repository) for path in choose(list(files), tag)]


async def files_of(registry: Registry) -> list[Remote]:
    """The same as remotes. Raises RemoteError."""
    from ollamapy.remotes.url import UrlRemote

    name = registry.name
    async with registry.open() as session:
        path = f"/api/v1/models/{name.repository}/repo/files?Revision=master&Recursive=true"
        listing = await session.get(path, {"Accept": "application/json"}, MAX_LIST_BYTES)
        sources = sources_of(listing, session.base, name.repository, name.tag)
    return [UrlRemote(Entry(name, source), registry.insecure, hosts=registry.hosts) for source in sources]


def _source(file: _File, base: str, repository: str) -> Source:
    """Large files have a sha256 in the list; what comes is held against it."""
    try:
        digest = Digest.parse(f"sha256:{file.sha256}") if file.sha256 else None
    except InvalidDigest as error:
        raise RemoteError(f"ModelScope's list has {file.sha256!r} as a sha256") from error
    location = f"{base}/models/{repository}/resolve/master/{quote(file.path)}"
    return Source("url", location, digest=digest, size=file.size or None)
