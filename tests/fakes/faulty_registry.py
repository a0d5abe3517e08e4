"""A registry in memory with fault switches: real sockets, HTTP/1.1, ranges, uploads, tokens.

    with FaultyRegistry() as registry:
        digest = registry.add_blob(b"weights")
        registry.fault("GET", "/blobs/", cut(3), times=2)

A fault answers the next `times` requests whose method and path match, then the registry is honest again. Every request
is written down, with the bytes of blobs that were sent.
"""

import hashlib
import json
import re
import select
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from fakes.store_files import CONFIG, CONFIG_TYPE, LAYER_TYPE, MANIFEST_TYPE

FOR_EVER = 1 << 30
_PIECE_BYTES = 64 << 10


@dataclass(frozen=True)
class Asked:
    """A request as it came. Header names are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Exchange:
    """One request and the means to answer it."""

    registry: "FaultyRegistry"
    asked: Asked
    handler: BaseHTTPRequestHandler

    @property
    def content(self) -> bytes:
        """The blob or manifest that is asked for."""
        return self.registry.content(self.asked.path) or b""

    @property
    def span(self) -> tuple[int, int] | None:
        """First byte and end of the Range, if one was asked for."""
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.asked.headers.get("range", ""))
        if not found:
            return None
        return int(found[1]), min(int(found[2]) + 1, len(self.content)) if found[2] else len(self.content)

    def head(self, status: int, **headers: str) -> None:
        self.handler.send_response(status)
        for name, value in headers.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.end_headers()

    def body(self, data: bytes) -> None:
        """Sends bytes, counted, as fast as the registry may."""
        for start in range(0, len(data), _PIECE_BYTES):
            piece = data[start : start + _PIECE_BYTES]
            self.registry.throttle(len(piece))
            self.handler.wfile.write(piece)
            self.registry.sent_bytes += len(piece)

    def answer(self, status: int, data: bytes = b"", **headers: str) -> None:
        self.head(status, Content_Length=str(len(data)), **headers)
        if self.asked.method != "HEAD":
            self.body(data)

    def file(self, content: bytes, **headers: str) -> None:
        """The content, or the range of it that was asked for."""
        span = self.span
        if span is None:
            self.answer(200, content, **headers)
        elif span[0] >= len(content):
            self.answer(416, Content_Range=f"bytes */{len(content)}")
        else:
            start, end = span
            self.answer(206, content[start:end], Content_Range=f"bytes {start}-{end - 1}/{len(content)}", **headers)

    def wait_for_hang_up(self) -> None:
        """Until the client goes, or the registry."""
        connection = self.handler.connection
        while not self.registry.closing.is_set():
            if select.select([connection], [], [], 0.02)[0]:
                self.registry.hung_up.set()
                return

    def hang_up(self) -> None:
        self.handler.close_connection = True


Fault = Callable[[Exchange], None]


def status(code: int, text: str = "", **headers: str) -> Fault:
    """Answers with this status."""
    return lambda exchange: exchange.answer(code, text.encode(), **headers)


def redirect(location: str, code: int = 307) -> Fault:
    """Sends the client elsewhere; a place without host is on this registry."""
    return lambda exchange: exchange.answer(code, b"moved", Location=location)


def cut(count: int) -> Fault:
    """Announces everything, closes the connection after `count` bytes."""

    def fault(exchange: Exchange) -> None:
        _part_of(exchange, count)
        exchange.hang_up()

    return fault


def stall(count: int) -> Fault:
    """Announces everything, sends `count` bytes and then nothing, until the client or the registry goes."""

    def fault(exchange: Exchange) -> None:
        _part_of(exchange, count)
        exchange.registry.stalled.set()
        exchange.wait_for_hang_up()
        exchange.hang_up()

    return fault


def _part_of(exchange: Exchange, count: int) -> None:
    content = exchange.content
    start, end = exchange.span or (0, len(content))
    exchange.head(
        206 if exchange.span else 200,
        Content_Length=str(end - start),
        Content_Range=f"bytes {start}-{end - 1}/{len(content)}",
    )
    exchange.body(content[start : min(end, start + count)])
    exchange.handler.wfile.flush()


def serve(content: bytes, **headers: str) -> Fault:
    """Serves other bytes, as if they were the ones."""
    return lambda exchange: exchange.file(content, **headers)


def with_headers(**headers: str) -> Fault:
    """Serves what is asked for with more headers."""
    return lambda exchange: exchange.file(exchange.content, **headers)


def no_ranges(exchange: Exchange) -> None:
    """Answers a Range request with everything."""
    exchange.answer(200, exchange.content)


def no_ranges_cut(count: int) -> Fault:
    """Announces the whole content whatever was asked for, and closes after `count` bytes."""

    def fault(exchange: Exchange) -> None:
        exchange.head(200, Content_Length=str(len(exchange.content)))
        exchange.body(exchange.content[:count])
        exchange.hang_up()

    return fault


def wrong_range(exchange: Exchange) -> None:
    """A range, but not the one that was asked for."""
    start, end = exchange.span or (0, len(exchange.content))
    size = len(exchange.content)
    exchange.answer(206, exchange.content[start:end], Content_Range=f"bytes {start + 1}-{end}/{size}")


def endless(exchange: Exchange) -> None:
    """The right bytes, and then more until the client hangs up."""
    content = exchange.content
    start, end = exchange.span or (0, len(content))
    exchange.head(206 if exchange.span else 200, Content_Range=f"bytes {start}-{end - 1}/{len(content)}")
    exchange.body(content[start:end])
    exchange.hang_up()
    while not exchange.registry.closing.is_set():
        exchange.handler.wfile.write(b"\0" * _PIECE_BYTES)


def drip(exchange: Exchange) -> None:
    """Every byte in a packet of its own."""
    content = exchange.content
    start, end = exchange.span or (0, len(content))
    exchange.head(206, Content_Length=str(end - start), Content_Range=f"bytes {start}-{end - 1}/{len(content)}")
    for at in range(start, end):
        exchange.body(content[at : at + 1])
        exchange.handler.wfile.flush()


@dataclass
class _Switch:
    method: str
    path: str
    fault: Fault
    times: int


@dataclass
class FaultyRegistry:
    token: str = ""
    """The bearer token that every request needs, if any; /token gives it to whoever asks."""
    realm: str = ""
    """Where the challenge sends for a token; its own /token when empty."""
    bytes_per_second: float = 0
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    requests: list[Asked] = field(default_factory=list)
    sent_bytes: int = 0
    stalled: threading.Event = field(default_factory=threading.Event)
    """Set once a stall has sent its bytes."""
    hung_up: threading.Event = field(default_factory=threading.Event)
    """Set once the client of a stall has closed the connection."""
    closing: threading.Event = field(default_factory=threading.Event)
    upload_to: str = ""
    """Origin that takes the parts of uploads in its place: a PATCH is redirected there."""
    uploads: dict[str, bytearray] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    _switches: list[_Switch] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        if self.tls:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def origin(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}"

    # What it has

    def add_blob(self, data: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.blobs[digest] = data
        return digest

    def add_model(self, repository: str, tag: str, weights: bytes, **texts: bytes) -> dict[str, Any]:
        layers = [self._layer(LAYER_TYPE + "model", weights)]
        layers += [self._layer(LAYER_TYPE + kind, text) for kind, text in texts.items()]
        config = self._layer(CONFIG_TYPE, json.dumps(CONFIG).encode())
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": layers}
        self.manifests[f"/v2/{repository}/manifests/{tag}"] = json.dumps(manifest).encode()
        return manifest

    def _layer(self, media_type: str, data: bytes) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": self.add_blob(data), "size": len(data)}

    def content(self, path: str) -> bytes | None:
        path = urlsplit(path).path
        return self.manifests.get(path) if "/manifests/" in path else self.blobs.get(path.rpartition("/")[2])

    # What it does wrong

    def fault(self, method: str, path: str, fault: Fault, times: int = 1) -> None:
        """Answers the next `times` requests of the method whose path contains `path`."""
        self._switches.append(_Switch(method, path, fault, times))

    def take(self, asked: Asked) -> Fault | None:
        with self._lock:
            self.requests.append(asked)
            for switch in self._switches:
                if switch.method == asked.method and switch.path in asked.path and switch.times:
                    switch.times -= 1
                    return switch.fault
        return None

    def throttle(self, count: int) -> None:
        if self.bytes_per_second:
            time.sleep(count / self.bytes_per_second)

    # What it was asked

    def asked(self, method: str, path: str = "") -> list[Asked]:
        return [asked for asked in self.requests if asked.method == method and path in asked.path]

    def counts(self) -> Counter[str]:
        return Counter(asked.method for asked in self.requests)

    # Honest answers

    def answer(self, exchange: Exchange) -> None:
        asked = exchange.asked
        path = urlsplit(asked.path).path
        if path == "/token":
            exchange.answer(200, json.dumps({"token": self.token}).encode())
        elif self.token and path.startswith("/v2/") and asked.headers.get("authorization") != f"Bearer {self.token}":
            self._challenge(exchange)
        elif asked.method in ("GET", "HEAD"):
            content = self.content(path)
            exchange.answer(404) if content is None else exchange.file(content)
        elif "/blobs/uploads/" in path or path.startswith("/part/"):
            self._upload(exchange, path)
        else:
            self.manifests[path] = asked.body
            exchange.answer(201)

    def _challenge(self, exchange: Exchange) -> None:
        realm = self.realm or f"{self.origin}/token"
        scope = "repository:x:pull,push"
        exchange.answer(401, WWW_Authenticate=f'Bearer realm="{realm}",service="fake",scope="{scope}"')

    def _upload(self, exchange: Exchange, path: str) -> None:
        asked, query = exchange.asked, parse_qs(urlsplit(exchange.asked.path).query)
        place = path.rpartition("/")[2]
        if asked.method == "POST":
            if query.get("mount", [""])[0] in self.blobs:
                exchange.answer(201)
                return
            with self._lock:
                place = f"u{len(self.uploads)}"
                self.uploads[place] = bytearray()
            exchange.answer(202, Location=f"{path}{place}?at=0")
        elif path.startswith("/part/"):
            self.uploads[place] = self.uploads.get(place, bytearray())
            start = int(query["start"][0])
            with self._lock:
                self._store(self.uploads[place], start, asked.body)
            exchange.answer(201)
        elif asked.method == "PATCH":
            self._patch(exchange, path, place)
        else:
            self._close(exchange, place, query["digest"][0])

    def _patch(self, exchange: Exchange, path: str, place: str) -> None:
        start, _, end = exchange.asked.headers["content-range"].partition("-")
        following = f"{path}?at={int(end) + 1}"
        if self.upload_to:
            where = f"{self.upload_to}/part/{place}?start={start}"
            exchange.answer(307, Location=where, Docker_Upload_Location=f"{self.origin}{following}")
            return
        with self._lock:
            self._store(self.uploads[place], int(start), exchange.asked.body)
        exchange.answer(202, Location=following)

    @staticmethod
    def _store(target: bytearray, start: int, data: bytes) -> None:
        target.extend(b"\0" * (start + len(data) - len(target)))
        target[start : start + len(data)] = data

    def _close(self, exchange: Exchange, place: str, digest: str) -> None:
        data = bytes(self.uploads[place])
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
            exchange.answer(400, b"digest mismatch")
            return
        self.blobs[digest] = data
        exchange.answer(201)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no fault of the test."""


def _handler(registry: FaultyRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, self.path, headers, self._read(headers))
            exchange = Exchange(registry, asked, self)
            (registry.take(asked) or registry.answer)(exchange)

        def _read(self, headers: dict[str, str]) -> bytes:
            if headers.get("transfer-encoding") != "chunked":
                return self.rfile.read(int(headers.get("content-length", "0")))
            data = b""
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

        def log_message(self, *_: object) -> None:
            pass

    return Handler
