"""Whole HTTP answers: JSON objects, errors, plain texts. Never streams, and never decides which answer to give."""

import msgspec
from aiohttp import web

from ollamapy.errors import Error
from ollamapy.wire.native import ErrorResponse

encode = msgspec.json.Encoder().encode


def json(value: msgspec.Struct) -> web.Response:
    """200 with `value` as a JSON object."""
    return web.Response(body=encode(value), content_type="application/json", charset="utf-8")


def plain(value: msgspec.Struct, status: int = 200) -> web.Response:
    """`value` as a JSON object under a type without a charset: progress, and everything in other APIs' words."""
    return web.Response(status=status, body=encode(value), content_type="application/json")


def empty(status: int = 200) -> web.Response:
    """`status` and no body."""
    return web.Response(status=status)


def text(status: int, body: str) -> web.Response:
    """Plain text, in the words of Ollama's router."""
    return web.Response(status=status, body=body.encode(), content_type="text/plain")


def error(failure: Error) -> web.Response:
    """The error's own status and `{"error": …}`."""
    return web.Response(
        status=failure.status, body=encode(error_body(failure)), content_type="application/json", charset="utf-8"
    )


def error_body(failure: Error) -> ErrorResponse:
    """The error as it goes on the wire, whole or as the last line of a stream."""
    return ErrorResponse(failure.message, failure.hint)
