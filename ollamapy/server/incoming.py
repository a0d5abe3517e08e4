"""What every handler takes from a request: its body, and the services of the application. Decodes nothing."""

from dataclasses import replace

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from ollamapy.actions.services import Services
from ollamapy.errors import InvalidInput
from ollamapy.server.requestlog import RequestLog

SERVICES = web.AppKey("services", Services)
REQUEST_LOG = web.AppKey("request_log", RequestLog)
"""Only there when bodies are to be written down."""

MAX_ZSTD_BYTES = 20 << 20
"""What a compressed body may grow to."""


async def body(request: web.Request) -> bytes:
    """The whole body, decompressed. One that is too large is refused before it is read. Raises InvalidInput."""
    if request.content_length and request.content_length > request.client_max_size:
        raise web.HTTPRequestEntityTooLarge(request.client_max_size, request.content_length)
    is_zstd = request.headers.get("Content-Encoding", "").lower() == "zstd"
    whole = await (_from_zstd(request) if is_zstd else request.read())
    if REQUEST_LOG in request.app:
        await request.app[REQUEST_LOG].write(request, whole)
    return whole


async def _from_zstd(request: web.Request) -> bytes:
    """The body as aiohttp decompresses it, piece by piece, so that a small one cannot grow without end."""
    whole = bytearray()
    try:
        async for piece in request.content.iter_any():
            whole += piece
            if len(whole) > MAX_ZSTD_BYTES:
                hint = f"it has more than {MAX_ZSTD_BYTES} bytes when it is decompressed"
                raise InvalidInput("failed to decompress zstd body", hint=hint)
    except web.RequestPayloadError as error:
        raise InvalidInput("failed to decompress zstd body", hint="send zstd, or leave Content-Encoding out") from error
    return bytes(whole)


async def form(request: web.Request) -> dict[str, str | bytes]:
    """The parts of a multipart form, files as their bytes. Raises InvalidInput."""
    if request.content_type != "multipart/form-data":
        raise InvalidInput("failed to parse multipart form: the Content-Type is not multipart/form-data")
    try:
        parts = await request.post()
    except (ValueError, LookupError, HttpProcessingError) as error:
        raise InvalidInput(f"failed to parse multipart form: {error}") from error
    return {name: _content(part) for name, part in parts.items()}


def _content(part: str | bytes | bytearray | web.FileField) -> str | bytes:
    if isinstance(part, web.FileField):
        with part.file as file:
            return file.read()
    return part if isinstance(part, str) else bytes(part)


def services(request: web.Request) -> Services:
    """What the verbs work with for this request."""
    return replace(request.app[SERVICES], client=request.remote or "")
