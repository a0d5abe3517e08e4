"""What a web server's answer means for a download. Only decides: no connection, no disk, no clock.

1  206 that continues the version at hand   go on where we are
2  206 of something else, or 416            Outdated: begin anew
3  200                                      the whole file, from its first byte
4  404, 410                                 no such file
5  401, 403                                 not for us
6  408, 425, 429, 5xx                       Transient: try again later
7  anything else                            an error with its status
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from ollamapy.errors import Error, RemoteError
from ollamapy.remotes.inside import is_loopback
from ollamapy.remotes.partial import Mark

MAX_REDIRECTS = 10
_TRANSIENT = frozenset({408, 425, 429})
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})\Z")


class Transient(Error):
    """A fault that may pass."""


class Outdated(Error):
    """The server has another version of the file than the one at hand."""


@dataclass(frozen=True, slots=True)
class Body:
    """The body of an answer: bytes from `offset` on, of the version `mark`."""

    offset: int
    mark: Mark


def can_resume(mark: Mark, *, has_digest: bool) -> bool:
    """True when the bytes at hand can be continued: a mixture of versions would be noticed."""
    return mark.size is not None and bool(mark.validator or has_digest)


def range_headers(mark: Mark, offset: int) -> dict[str, str]:
    """The headers that ask for the rest of this version, or for the whole file if it changed."""
    headers = {"Range": f"bytes={offset}-"}
    return headers | {"If-Range": mark.validator} if mark.validator else headers


def read_answer(status: int, headers: Mapping[str, str], url: str, asked: tuple[Mark, int] | None) -> Body:
    """What follows, by the cases above; `asked` is the version and offset of a Range request.

    Header names are lower case. Raises RemoteError, Transient, Outdated.
    """
    if status == 206 and asked:
        return _continued(headers, *asked)
    if status == 416 and asked:
        raise Outdated("the server has no such range")
    if status == 200:
        _refuse_encoding(headers)
        length = headers.get("content-length", "")
        return Body(0, Mark(url, int(length) if length.isdecimal() else None, validator(headers)))
    raise _refusal(status, url)


def validator(headers: Mapping[str, str]) -> str:
    """What tells this version from others: a strong ETag, else the date of the last change, else nothing."""
    etag = headers.get("etag", "")
    return etag if etag and not etag.startswith("W/") else headers.get("last-modified", "")


def require_secure(url: str, *, insecure: bool) -> None:
    """Raises RemoteError for plain http, unless it was allowed."""
    if urlsplit(url).scheme == "http" and not insecure:
        raise RemoteError("insecure protocol http", hint="pull with --insecure to allow plain http")


def require_secure_file(url: str, *, insecure: bool) -> None:
    """Raises RemoteError for plain http, unless it was allowed and stays on this machine: nothing proves the bytes."""
    require_secure(url, insecure=insecure)
    if urlsplit(url).scheme == "http" and not is_loopback(urlsplit(url).hostname or ""):
        raise RemoteError(
            "insecure protocol http",
            hint="a file comes by http from this machine only; download it yourself and write `FROM ./file.gguf`",
        )


def next_url(current: str, location: str, *, insecure: bool) -> str:
    """Where a redirect leads. Raises RemoteError when it leaves https, or leads to no web server."""
    try:
        target = urljoin(current, location)
        scheme = urlsplit(target).scheme
    except ValueError as error:
        raise RemoteError(f"the server redirects to what is no URL: {error}") from error
    if scheme not in {"http", "https"}:
        raise RemoteError(f"the server redirects to {scheme or 'nothing'}, wanted http or https")
    if scheme == "http" and urlsplit(current).scheme == "https":
        raise RemoteError("insecure protocol http", hint="the server redirects from https to http, which is refused")
    require_secure_file(target, insecure=insecure)
    return target


def _continued(headers: Mapping[str, str], mark: Mark, offset: int) -> Body:
    _refuse_encoding(headers)
    match = _CONTENT_RANGE.match(headers.get("content-range", ""))
    found = tuple(int(number) for number in match.groups()) if match else ()
    other = validator(headers) not in {"", mark.validator}
    if mark.size is None or found != (offset, mark.size - 1, mark.size) or other:
        raise Outdated("the server continues with something else")
    return Body(offset, mark)


def _refuse_encoding(headers: Mapping[str, str]) -> None:
    encoding = headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise RemoteError(f"the server sends the file encoded as {encoding}, although that was not asked for")


def _refusal(status: int, url: str) -> Error:
    host = urlsplit(url).hostname
    if status in {404, 410}:
        return RemoteError("pull model manifest: file does not exist", hint=f"{host} has no such file")
    if status in {401, 403}:
        return RemoteError("unauthorized: access denied", hint=f"{host} wants a login, and none is sent")
    if status in _TRANSIENT or status >= 500:
        return Transient(f"{host} answered {status}")
    return RemoteError(f"{host} answered {status}", hint="wanted the file")
