"""`/v1/embeddings` over the native embed: requests one way, vectors the other. Pure."""

import base64
import struct
from collections.abc import Sequence

from ollamapy.errors import InvalidInput
from ollamapy.wire.native import EmbedRequest, EmbedResponse
from ollamapy.wire.openai import Embedding, EmbeddingList, EmbeddingRequest, EmbeddingUsage


def request_of(wanted: EmbeddingRequest) -> EmbedRequest:
    """The native request. Raises InvalidInput."""
    return EmbedRequest(
        model=wanted.model or "",
        input=_inputs(wanted),
        dimensions=wanted.dimensions or 0,
        keep_alive=wanted.keep_alive,
        options=wanted.options or {},
    )


def _inputs(wanted: EmbeddingRequest) -> tuple[str, ...]:
    texts = [wanted.input] if isinstance(wanted.input, str) else wanted.input
    if texts is None or texts == []:
        raise InvalidInput("invalid input", hint="input is a text or a list of texts")
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise InvalidInput("invalid input type", hint="input is a text or a list of texts")
    if _encoding(wanted) not in ("float", "base64"):
        raise InvalidInput(
            f"Invalid value for 'encoding_format' = {wanted.encoding_format}. Supported values: ['float', 'base64']."
        )
    return tuple(texts)


def _encoding(wanted: EmbeddingRequest) -> str:
    return (wanted.encoding_format or "float").lower()


def embeddings_of(wanted: EmbeddingRequest, answer: EmbedResponse) -> EmbeddingList:
    """The vectors, in the encoding that was asked for."""
    is_text = _encoding(wanted) == "base64"
    data = tuple(
        Embedding("embedding", _packed(vector) if is_text else vector, index)
        for index, vector in enumerate(answer.embeddings)
    )
    usage = EmbeddingUsage(answer.prompt_eval_count, answer.prompt_eval_count)
    return EmbeddingList(
        object="list",
        data=data,
        model=wanted.model or "",
        usage=usage,
        prompt_dropped_count=answer.prompt_dropped_count,
    )


def _packed(vector: Sequence[float]) -> str:
    """Base64 of little-endian float32."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
