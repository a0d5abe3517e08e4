"""Typed, synchronous client of the daemon's native API: one method per verb, failures as our own errors.

Owns the HTTP conversation of a client process. Never prints, never starts a daemon, never reads the environment
(proxy variables aside, which httpx reads for addresses that are not loopback ones).
"""

import ipaddress
import platform
import ssl
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from ollamapy import EMULATED_VERSION, __version__
from ollamapy.errors import Busy, Cancelled, Error, InvalidInput, NotFound, Refused, Unreachable, Unsupported
from ollamapy.names import Digest, ModelName
from ollamapy.wire import care, native
from ollamapy.wire.jobs import JobList, ListedJob
from ollamapy.wire.sources import Outdated, SearchAnswer

T = TypeVar("T", bound=msgspec.Struct)
Request = msgspec.Struct | Mapping[str, Any]

CONNECT_SECONDS = 5.0
HEARTBEAT_SECONDS = 5.0
UPLOAD_CHUNK_BYTES = 1 << 20
LINE_LIMIT_BYTES = 64 << 20
"""A line of a stream beyond this is refused; servers keep theirs below 8 MB."""

_KIND_OF_STATUS = {kind.status: kind for kind in (InvalidInput, Refused, NotFound, Cancelled, Unsupported, Busy)}


class Client:
    """The daemon at `base_url`. Every method may raise Unreachable, and Error with the daemon's own text and status."""

    def __init__(self, base_url: str, *, heartbeat_seconds: float = HEARTBEAT_SECONDS) -> None:
        self.base_url = base_url
        self._heartbeat_seconds = heartbeat_seconds
        try:
            self._http = httpx.Client(
                base_url=base_url,
                timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
                headers={"User-Agent": user_agent()},
                trust_env=not _is_loopback(base_url),
                verify=_tls(base_url),
            )
        except (httpx.InvalidURL, ValueError) as error:
            raise InvalidInput(f"cannot use {base_url!r} as the server's address: {error}") from error
        if self._http.base_url.port == 0:
            raise InvalidInput("port 0 is no server's address", hint="OLLAMA_HOST names the server")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def heartbeat(self) -> None:
        """Returns when a server answers at the address and is not about to stop."""
        try:
            self._call("HEAD", "/", timeout=self._heartbeat_seconds)
        except Cancelled as error:
            raise Cancelled(f"the server at {self.base_url} is stopping", hint="try again in a moment") from error

    def version(self) -> native.VersionResponse:
        return self._json("GET", "/api/version", native.VersionResponse)

    def list(self) -> native.ListResponse:
        return self._json("GET", "/api/tags", native.ListResponse)

    def ps(self) -> native.PsResponse:
        return self._json("GET", "/api/ps", native.PsResponse)

    def show(
        self, model: str, *, verbose: bool = False, system: str = "", options: Mapping[str, Any] | None = None
    ) -> native.ShowResponse:
        """Everything about a model. `system` and `options` only change what the Modelfile in the answer says."""
        request = native.ShowRequest(model=model, verbose=verbose, system=system, options=dict(options or {}))
        return self._json("POST", "/api/show", native.ShowResponse, request)

    def copy(self, source: str, destination: str) -> None:
        self._call("POST", "/api/copy", native.CopyRequest(source=source, destination=destination))

    def delete(self, model: str) -> None:
        self._call("DELETE", "/api/delete", native.DeleteRequest(model=model))

    def has_blob(self, digest: Digest) -> bool:
        try:
            self._call("HEAD", f"/api/blobs/{digest}")
        except NotFound:
            return False
        return True

    def put_blob(self, digest: Digest, path: Path, on_progress: Callable[[int], None] | None = None) -> None:
        """Uploads a file; `on_progress` is told the bytes sent so far. Raises OSError when the file cannot be read."""
        with path.open("rb") as file:
            size = path.stat().st_size
            self._call("POST", f"/api/blobs/{digest}", content=_chunks(file, on_progress), size=size)

    def put_stream(self, digest: Digest, chunks: Iterable[bytes], size: int) -> None:
        """Uploads a blob of `size` bytes. Raises what `chunks` raises."""
        self._call("POST", f"/api/blobs/{digest}", content=chunks, size=size)

    def embed(self, request: Request) -> native.EmbedResponse:
        return self._json("POST", "/api/embed", native.EmbedResponse, request)

    def generate(self, request: Request) -> Iterator[native.GenerateResponse]:
        """The chunks of a completion; the last one is `done`. Closing the iterator stops the generation."""
        return _until(lambda chunk: chunk.done, self._stream("/api/generate", native.GenerateResponse, request))

    def chat(self, request: Request) -> Iterator[native.ChatResponse]:
        """The chunks of the next message; the last one is `done`. Closing the iterator stops the generation."""
        return _until(lambda chunk: chunk.done, self._stream("/api/chat", native.ChatResponse, request))

    def stop(self, model: str) -> None:
        """Asks for the model to be unloaded; does not wait for it."""
        for _ in self.generate({"model": model, "keep_alive": 0}):
            pass

    def pull(
        self, model: str, *, insecure: bool = False, from_peer: str = "", as_: str = "", limit_rate: int = 0
    ) -> Iterator[native.Progress]:
        """Closing the iterator stops the pull; what came stays."""
        request = native.PullRequest(
            model=model, insecure=insecure, from_peer=from_peer, as_=as_, limit_rate=limit_rate
        )
        return self._progress("/api/pull", request)

    def begin_pull(
        self, model: str, *, insecure: bool = False, from_peer: str = "", as_: str = "", limit_rate: int = 0
    ) -> ListedJob:
        """A pull in the background, which goes on without us."""
        request = native.PullRequest(
            model=model, insecure=insecure, from_peer=from_peer, as_=as_, limit_rate=limit_rate
        )
        return self._json("POST", "/api/jobs", ListedJob, request)

    def jobs(self) -> JobList:
        """The pulls in progress, and those that ended lately."""
        return self._json("GET", "/api/jobs", JobList)

    def pause_job(self, number: str) -> ListedJob:
        return self._json("POST", f"/api/jobs/{quote(number, safe='')}/pause", ListedJob)

    def resume_job(self, number: str) -> ListedJob:
        return self._json("POST", f"/api/jobs/{quote(number, safe='')}/resume", ListedJob)

    def cancel_job(self, number: str) -> ListedJob:
        """Ends a pull, what came stays; one that is over is forgotten."""
        return self._json("DELETE", f"/api/jobs/{quote(number, safe='')}", ListedJob)

    def outdated(self) -> Outdated:
        """Every pulled model, compared with where it came from."""
        return self._json("GET", "/api/outdated", Outdated)

    def search(self, words: str) -> SearchAnswer:
        """The models that can be pulled and fit the words."""
        return self._json("GET", f"/api/search?q={quote(words, safe='')}", SearchAnswer)

    def push(self, model: str, *, insecure: bool = False, format: str = "") -> Iterator[native.Progress]:
        return self._progress("/api/push", native.PushRequest(model=model, insecure=insecure, format=format))

    def create(self, request: Request) -> Iterator[native.Progress]:
        return self._progress("/api/create", request)

    def fsck(self, *, deep: bool = False, repair: bool = False) -> Iterator[care.FsckLine]:
        """The lines of a check of the store; the last one has the counts."""
        request = care.FsckRequest(deep, repair)
        return _until(lambda line: line.status == "success", self._stream("/api/fsck", care.FsckLine, request))

    def disk_usage(self) -> care.DiskUsage:
        return self._json("GET", "/api/df", care.DiskUsage)

    def collect(self) -> care.Removed:
        """Removes the files of the store that no model uses."""
        return self._json("POST", "/api/gc", care.Removed)

    def resolve(self, model: str) -> care.Resolved:
        """Where the files of a model lie, on the daemon's machine."""
        return self._json("POST", "/api/resolve", care.Resolved, {"model": model})

    def link(self, model: str, manifest: bytes) -> care.Linked:
        """Makes the manifest, whose blobs the daemon must have, the model of that name."""
        return self._json("POST", "/api/link", care.Linked, {"model": model, "manifest": manifest.decode()})

    def manifest(self, name: ModelName) -> bytes:
        """The bytes of a model's manifest. Raises NotFound."""
        return self._call("GET", f"/v2/{name.served_repository}/manifests/{name.tag}")

    def read_blob(self, name: ModelName, digest: Digest, start: int = 0) -> Iterator[bytes]:
        """A blob of a model from the byte `start` on. Raises NotFound."""
        path, headers = f"/v2/{name.served_repository}/blobs/{digest}", {"Range": f"bytes={start}-"}
        with self._translated(), self._http.stream("GET", path, headers=headers) as response:
            if response.status_code >= 400:
                raise _failure(response, response.read())
            if response.status_code != 206:
                raise Error(f"asked for {digest} from byte {start} on, the daemon answers {response.status_code}")
            yield from response.iter_raw(UPLOAD_CHUNK_BYTES)

    def _progress(self, path: str, request: Request) -> Iterator[native.Progress]:
        return _until(lambda line: line.status == "success", self._stream(path, native.Progress, request))

    def _json(self, method: str, path: str, kind: type[T], request: Request | None = None) -> T:
        return _decode(self._call(method, path, request), kind)

    def _call(
        self,
        method: str,
        path: str,
        request: Request | None = None,
        *,
        content: Iterable[bytes] | bytes | None = None,
        size: int | None = None,
        timeout: float | None = None,
    ) -> bytes:
        """One exchange; the body of a good answer."""
        headers = {"Content-Length": str(size)} if size is not None else {}
        if request is not None:
            content, headers = _encode(request), {"Content-Type": "application/json"}
        limit = httpx.Timeout(timeout, connect=CONNECT_SECONDS)
        with self._translated():
            response = self._http.request(method, path, content=content, headers=headers, timeout=limit)
        if response.status_code >= 400:
            raise _failure(response, response.content)
        return response.content

    def _stream(self, path: str, kind: type[T], request: Request) -> Generator[T, None, None]:
        """The lines of a streaming answer. Raises the daemon's error, with its status before the first line."""
        headers = {"Content-Type": "application/json", "Accept": "application/x-ndjson"}
        with (
            self._translated(),
            self._http.stream("POST", path, content=_encode(request), headers=headers) as response,
        ):
            if response.status_code >= 400:
                raise _failure(response, response.read(), is_stream=True)
            for line in _lines(response.iter_bytes()):
                fault = _decode(line, _Fault)
                if fault.error:
                    raise Error(fault.error, hint=fault.hint)
                yield _decode(line, kind)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turns what httpx raises into our errors."""
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Unreachable(
                "could not connect to ollama server, run 'ollamapy serve' to start it",
                hint=f"tried {self.base_url}: {error}",
            ) from error
        except httpx.TimeoutException as error:
            raise Unreachable(f"the server at {self.base_url} does not answer") from error
        except httpx.TransportError as error:
            raise Unreachable(
                f"the connection to the server at {self.base_url} was lost before the answer was complete",
                hint=str(error),
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Error(f"cannot talk to the server at {self.base_url}: {error}") from error


class _Fault(msgspec.Struct):
    """An error line of a stream, or the error body of an answer; `error` is empty in every other line."""

    error: str = ""
    hint: str = ""


class _RegistryFault(msgspec.Struct):
    """The error body of the registry's routes."""

    errors: list[dict[str, str]] = []

    @property
    def text(self) -> str:
        return "; ".join(error.get("message", "") for error in self.errors)


def user_agent() -> str:
    """`ollama/<API level> (<machine> <system>) ollamapy/<release>`: servers look at the first word."""
    machine = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return f"ollama/{EMULATED_VERSION} ({machine} {platform.system().lower()}) ollamapy/{__version__}"


def _is_loopback(url: str) -> bool:
    """True for addresses that no proxy can reach on our behalf."""
    host = httpx.URL(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _tls(url: str) -> ssl.SSLContext | bool:
    """The system's certificates for https; for http an empty context, because loading them takes longer than a call."""
    return True if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _encode(request: Request) -> bytes:
    try:
        return msgspec.json.encode(request)
    except UnicodeEncodeError as error:
        raise InvalidInput("the text is not valid UTF-8") from error


def _decode(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        shown = body[:200].decode("utf-8", "replace")
        raise Error(f"the server's answer is not what its API promises: {error}", hint=f"it said {shown}") from error


def _failure(response: httpx.Response, body: bytes, *, is_stream: bool = False) -> Error:
    """The error that an answer of status 400 and above stands for."""
    code = response.status_code
    reason = response.reason_phrase or (HTTPStatus(code).phrase if code in set(HTTPStatus) else "")
    status = f"{code} {reason}".strip()
    try:
        fault = msgspec.json.decode(body, type=_Fault)
    except (msgspec.DecodeError, UnicodeDecodeError):
        fault = _Fault()
    text = fault.error or _registry_text(body) or body.decode("utf-8", "replace").strip()
    if is_stream or not text:
        text = f"{status}: {text}" if text else status
    error = _KIND_OF_STATUS.get(code, Error)(text, hint=fault.hint)
    error.status = code
    return error


def _registry_text(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_RegistryFault).text
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _until(is_last: Callable[[T], bool], chunks: Generator[T, None, None]) -> Iterator[T]:
    """`chunks`, where ending without a last one is an error: half an answer must not look like a whole one."""
    ended = False
    with closing(chunks):
        for chunk in chunks:
            ended = is_last(chunk)
            yield chunk
    if not ended:
        raise Unreachable("the server ended its answer before it was complete")


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a stream of NDJSON, split at newlines only, blank ones left out."""
    rest = bytearray()
    for chunk in chunks:
        *ended, last = chunk.split(b"\n")
        for part in ended:
            rest += part
            if rest.strip():
                yield bytes(rest)
            rest.clear()
        rest += last
        if len(rest) > LINE_LIMIT_BYTES:
            raise Error(f"the server sent a line of more than {LINE_LIMIT_BYTES} bytes")
    if rest.strip():
        yield bytes(rest)


def _chunks(file: Any, on_progress: Callable[[int], None] | None) -> Iterator[bytes]:
    sent = 0
    while chunk := file.read(UPLOAD_CHUNK_BYTES):
        yield chunk
        sent += len(chunk)
        if on_progress:
            on_progress(sent)
