"""One registry for the length of one operation: requests with its token, and errors in the contract's words.

Owns the HTTP client and the token. The token goes to the registry's own host and nowhere else; redirects of plain
requests are followed without it when they leave that host.
"""

import base64
import contextlib
import logging
import platform
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import msgspec

from ollamapy import __version__
from ollamapy.errors import RemoteError
from ollamapy.names import ModelName
from ollamapy.remotes.authorities import CA_HINT, certificates
from ollamapy.remotes.base import is_web_url
from ollamapy.remotes.hosts import Access
from ollamapy.remotes.inside import check_redirect
from ollamapy.remotes.oci.auth import Challenge, Key, check_realm, new_nonce, signed_request

_API_HOSTS = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}
"""Where the registry is that people call otherwise."""
MAX_REDIRECTS = 10
MAX_ERROR_BYTES = 4096
MAX_TOKEN_BYTES = 64 << 10
STALL_SECONDS = 30.0

Body = bytes | Callable[[], AsyncIterator[bytes]]
"""What a request sends: bytes, or what makes a new stream of them for every try."""

log = logging.getLogger(__name__)


class _Token(msgspec.Struct):
    token: str = ""
    access_token: str = ""


class Status(RemoteError):
    """An answer of 400 and above. `number` is the HTTP status, `retry_after` the seconds that it asks to wait."""

    def __init__(
        self, number: int, message: str, *, hint: str = "", retry_after: float | None = None, line: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.number = number
        self.retry_after = retry_after
        self.line = line
        """The status line and the body."""


@dataclass(slots=True)
class Session:
    """A registry at `base`, `<scheme>://<host>`. Use as a context manager."""

    base: str
    key_file: Path
    client: httpx.AsyncClient
    token: str = ""
    access: Access = field(default_factory=Access)
    is_oci: bool = False
    """Tokens are given to anybody who asks, or for a password: nobody knows our keys."""
    _key: Key | None = None
    _is_basic: bool = False
    """The registry takes name and password themselves."""
    _checked: set[str] = field(default_factory=set)
    """Hosts elsewhere that may be asked."""

    @classmethod
    def open(
        cls,
        name: ModelName,
        key_file: Path,
        *,
        insecure: bool,
        access: Access | None = None,
        stall_seconds: float = STALL_SECONDS,
    ) -> "Session":
        """The registry of `name`. `insecure` makes every request http; without it, http is a RemoteError."""
        access = access or Access()
        insecure = insecure or access.insecure
        if name.scheme == "http" and not insecure:
            raise RemoteError("insecure protocol http", hint="--insecure allows plain http")
        is_oci = name.scheme == "oci"
        scheme = "http" if insecure else "https" if is_oci else name.scheme
        client = _client(access, stall_seconds)
        host = _API_HOSTS.get(name.host.lower(), name.host)
        return cls(f"{scheme}://{host}", key_file, client, access.token, access, is_oci)

    async def __aenter__(self) -> "Session":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()

    @property
    def host(self) -> str:
        return urlsplit(self.base).netloc

    async def get(self, path: str, headers: Mapping[str, str], max_bytes: int) -> bytes:
        """The body of a good answer to a GET, redirects followed. Raises Status; RemoteError when it is too large."""
        async with self.follow("GET", path, headers) as response:
            return await _read(response, max_bytes)

    @contextlib.asynccontextmanager
    async def follow(
        self, method: str, path: str, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[httpx.Response]:
        """A good answer, wherever redirects lead. Raises Status, RemoteError."""
        url = urljoin(self.base, path)
        for _ in range(MAX_REDIRECTS + 1):
            async with self.send(method, url, headers) as response:
                if not response.has_redirect_location:
                    yield response
                    return
                url = self.next_url(url, response.headers["location"])
        raise RemoteError(f"maximum redirects exceeded ({MAX_REDIRECTS})")

    @contextlib.asynccontextmanager
    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        *,
        is_anonymous: bool = False,
    ) -> AsyncIterator[httpx.Response]:
        """One answer below 400, redirects among them. A 401 of the registry gets a token, once.

        With `is_anonymous` no token goes along, not even to the registry. Raises Status, RemoteError.
        """
        is_ours = urlsplit(url).netloc == self.host and not is_anonymous
        for is_last in (False, True):
            async with self._exchange(method, url, headers, body, is_ours=is_ours) as response:
                if response.status_code == 401 and is_ours and not is_last:
                    challenge = response.headers.get("www-authenticate", "")
                else:
                    await _check(response)
                    yield response
                    return
            await self._log_in(challenge)

    def next_url(self, url: str, location: str) -> str:
        """Where the registry sends us on. Raises RemoteError when that leaves https, or is no web server."""
        try:
            target = urljoin(url, location)
            scheme = urlsplit(target).scheme
        except ValueError as error:
            raise RemoteError(f"the registry redirects to what is no URL: {error}") from error
        if scheme not in ("http", "https") or (scheme == "http" and urlsplit(url).scheme == "https"):
            raise RemoteError(f"the registry redirects to {scheme or 'nothing'}, which is refused")
        return target

    @contextlib.asynccontextmanager
    async def _exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        body: Body | None = None,
        *,
        is_ours: bool = False,
    ) -> AsyncIterator[httpx.Response]:
        if (host := urlsplit(url).netloc) not in {self.host, *self._checked}:
            await check_redirect(self.base, url)
            self._checked.add(host)
        sent = dict(headers or {})
        if is_ours and (authorization := self._authorization):
            sent["Authorization"] = authorization
        with network_faults():
            content = body() if callable(body) else body
            async with self.client.stream(method, url, headers=sent, content=content) as response:
                yield response

    @property
    def _authorization(self) -> str:
        if self._is_basic:
            return self._basic
        return f"Bearer {self.token}" if self.token else ""

    @property
    def _basic(self) -> str:
        secret = f"{self.access.username}:{self.access.password}"
        return f"Basic {base64.b64encode(secret.encode()).decode()}"

    async def _log_in(self, header: str) -> None:
        """What the registry's challenge asks for. Raises Status, RemoteError."""
        if header.lower().startswith("basic") and self.access.username:
            self._is_basic = True
            return
        challenge = Challenge.parse(header)
        if not challenge.realm or header.lower().startswith("basic"):
            hint = f"{self.host} wants a name and a password; config.yaml has room for them"
            raise Status(401, "unauthorized: access denied", hint=hint)
        if not is_web_url(challenge.realm):
            raise RemoteError(f"the registry wants a token from {challenge.realm!r}, which is no URL")
        self.token = await self._fetch_token(challenge)

    async def _fetch_token(self, challenge: Challenge) -> str:
        """By name and password, at the host that the user named too; else signed, at the registry's own.

        A registry of artefacts gives tokens to anybody, wherever it says: nothing secret goes there.
        """
        if self.access.username:
            if urlsplit(challenge.realm).netloc != self.access.token_host:
                check_realm(challenge, self.host)
            url, headers = challenge.url(time.time(), new_nonce()), {"Authorization": self._basic}
        elif self.is_oci:
            url, headers = challenge.plain_url, {}
        else:
            self._key = self._key or Key.load(self.key_file)
            url, headers = signed_request(challenge, self.host, self._key)
        self.next_url(self.base, url)
        async with self._exchange("GET", url, headers) as response:
            await _check(response)
            body = await _read(response, MAX_TOKEN_BYTES)
        try:
            found = msgspec.json.decode(body, type=_Token)
        except msgspec.DecodeError as error:
            raise RemoteError(f"the registry's token cannot be read: {error}") from error
        return found.token or found.access_token


async def _read(response: httpx.Response, max_bytes: int) -> bytes:
    """The body. Raises RemoteError when it is larger."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > max_bytes:
            raise RemoteError(f"the registry's answer is larger than {max_bytes} bytes")
    return bytes(body)


async def _check(response: httpx.Response) -> None:
    """Raises Status for an answer of 400 and above."""
    code = response.status_code
    if code < 400:
        return
    body = await _beginning(response)
    line = f"{code} {response.reason_phrase}: {body}"
    if code == 401:
        hint = "the registry wants a login, or does not know this key"
        raise Status(code, "unauthorized: access denied", hint=hint, line=line)
    if code == 404:
        raise Status(code, "file does not exist", line=line)
    wait = response.headers.get("retry-after", "")
    seconds = float(wait) if re.fullmatch(r"[0-9]{1,6}", wait) else None
    raise Status(code, f"{code}: {body}", retry_after=seconds, line=line)


async def _beginning(response: httpx.Response) -> str:
    """What an error says, in MAX_ERROR_BYTES."""
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) >= MAX_ERROR_BYTES:
            break
    return body[:MAX_ERROR_BYTES].decode("utf-8", "replace").strip()


def _client(access: Access, stall_seconds: float) -> httpx.AsyncClient:
    """A client with the user's proxies and certificates. Raises RemoteError."""
    agent = f"ollamapy/{__version__} ({platform.machine()} {platform.system().lower()})"
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=32)
    try:
        return httpx.AsyncClient(
            headers={"User-Agent": agent, "Accept-Encoding": "identity"},
            timeout=stall_seconds,
            limits=limits,
            follow_redirects=False,
            proxy=access.proxy or None,
            verify=certificates(access.ca_file),
        )
    except (ValueError, ImportError, OSError) as error:
        hint = "see config.yaml, HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE"
        raise RemoteError(f"the proxy or certificate settings do not work: {error}", hint=hint) from error


class Lost(RemoteError):
    """The connection failed: another try may succeed."""


class Stalled(Lost):
    """The connection is there, but nothing comes."""


@contextlib.contextmanager
def network_faults() -> Iterator[None]:
    """Turns what httpx raises into Lost, or RemoteError for what another try cannot help."""
    try:
        yield
    except httpx.ReadTimeout as error:
        raise Stalled("the registry sends nothing any more") from error
    except httpx.TimeoutException as error:
        raise Lost("the registry cannot be reached in time") from error
    except (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError) as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise RemoteError(f"the server's certificate was not accepted: {error}", hint=CA_HINT) from error
        raise Lost(str(error) or type(error).__name__) from error
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise RemoteError(f"the request failed: {error}") from error
