"""Images and sounds that stand in an OpenAI message, as the base64 text of the native API. Never fetches anything."""

import re
from typing import Any

from ollamapy.errors import InvalidInput
from ollamapy.pictures import base64_fault

_DATA_URL = re.compile(r"data:(?:image/(?:jpeg|jpg|png|webp))?;base64,")


def image_of(url: Any) -> str:
    """The base64 text in a `data:` URL. Raises InvalidInput."""
    if isinstance(url, str) and url.startswith(("http://", "https://")):
        raise InvalidInput("image URLs are not currently supported, please use base64 encoded data instead")
    start = _DATA_URL.match(url) if isinstance(url, str) else None
    if not start:
        raise InvalidInput("invalid image input", hint="give a data: URL of a jpeg, png or webp image in base64")
    data: str = url[start.end() :]
    if fault := base64_fault(data):
        raise InvalidInput("invalid image input", hint=fault)
    return data


def audio_of(part: Any) -> str:
    """The base64 text of an `input_audio` object. Raises InvalidInput."""
    if not isinstance(part, dict):
        raise InvalidInput("invalid input_audio format")
    data = part.get("data")
    if not isinstance(data, str):
        raise InvalidInput("invalid input_audio format: missing data")
    if fault := base64_fault(data):
        raise InvalidInput(f"invalid input_audio base64 data: {fault}")
    return data
