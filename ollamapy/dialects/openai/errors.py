"""Errors as OpenAI's clients expect them. Pure."""

from ollamapy.errors import Error
from ollamapy.wire.openai import ErrorBody, ErrorResponse

_TYPES = {400: "invalid_request_error", 404: "not_found_error"}


def error_of(failure: Error) -> ErrorResponse:
    """The body of an error, whole or in a stream."""
    kind = _TYPES.get(failure.status, "api_error")
    return ErrorResponse(ErrorBody(message=failure.message, type=kind, param=None, code=None, hint=failure.hint))
