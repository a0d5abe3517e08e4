"""Errors as Anthropic's clients expect them. Pure."""

from ollamapy.errors import Error
from ollamapy.wire.anthropic import ErrorBody, ErrorResponse

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}


def error_of(failure: Error, request_id: str = "") -> ErrorResponse:
    """The body of an error; without a `request_id` as an event of a stream."""
    kind = _TYPES.get(failure.status, "api_error")
    return ErrorResponse(ErrorBody(type=kind, message=failure.message, hint=failure.hint), request_id)
