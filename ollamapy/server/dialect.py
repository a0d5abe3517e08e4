"""Which API a path belongs to, and so in whose words an error is answered."""

import secrets

from aiohttp import web

from ollamapy.dialects import infill
from ollamapy.dialects.anthropic import errors as anthropic
from ollamapy.dialects.openai import errors as openai
from ollamapy.errors import Error
from ollamapy.server import reply


def error(failure: Error, path: str) -> web.Response:
    """The error's own status, and a body that clients of this API understand."""
    if path.startswith("/v1/messages"):
        return reply.plain(anthropic.error_of(failure, f"req_{secrets.token_hex(12)}"), failure.status)
    if path.startswith("/v1/"):
        return reply.plain(openai.error_of(failure), failure.status)
    if path == "/infill":
        return reply.plain(infill.error_of(failure), failure.status)
    return reply.error(failure)
