"""Which API a path belongs to, and so in whose words an error is answered."""

from aiohttp import web

from ollamapy.dialects.openai import errors as openai
from ollamapy.errors import Error
from ollamapy.server import reply


def error(failure: Error, path: str) -> web.Response:
    """The error's own status, and a body that clients of this API understand."""
    if path.startswith("/v1/"):
        return reply.plain(openai.error_of(failure), failure.status)
    return reply.error(failure)
