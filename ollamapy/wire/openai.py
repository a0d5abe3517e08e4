"""Requests and responses of OpenAI's API: chats, completions, embeddings, models, transcriptions; and `/v1/rerank`.

In requests null is absent, unknown fields are ignored. In responses a field without a default is always sent, the
others are left out when empty. `wire/responses.py` has `/v1/responses`.
"""

from typing import Annotated, Any, Literal

import msgspec

from ollamapy.wire.extra import ExtraFields
from ollamapy.wire.native import DebugInfo, Logprob


class _Answer(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    pass


class StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool | None = None


class SamplingFields(ExtraFields, frozen=True, kw_only=True):
    """What chat and text completions share. `max_completion_tokens` counts when `max_tokens` is absent."""

    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    stop: Any = None
    n: int | None = None

    @property
    def includes_usage(self) -> bool:
        """Whether a stream is to say the number of tokens."""
        return bool(self.stream_options and self.stream_options.include_usage)


class SentFunction(msgspec.Struct, frozen=True):
    """`arguments` is the JSON text of an object."""

    name: str = ""
    arguments: str = ""


class SentToolCall(msgspec.Struct, frozen=True):
    function: SentFunction
    id: str | None = None


class SentMessage(msgspec.Struct, frozen=True):
    """One message of a chat. `content` is a text or a list of parts."""

    role: str = ""
    content: Any = None
    reasoning: str | None = None
    name: str | None = None
    tool_calls: tuple[SentToolCall, ...] | None = None
    tool_call_id: str | None = None


class OfferedFunction(msgspec.Struct, frozen=True):
    name: str = ""
    description: str | None = None
    parameters: dict[str, Any] | None = None


class OfferedTool(msgspec.Struct, frozen=True):
    function: OfferedFunction
    type: str | None = None


class JsonSchema(msgspec.Struct, frozen=True, rename={"schema_": "schema"}):
    schema_: Any = None


class ResponseFormat(msgspec.Struct, frozen=True):
    type: str = ""
    json_schema: JsonSchema | None = None


class Reasoning(msgspec.Struct, frozen=True):
    effort: str | None = None
    summary: str | None = None


class ChatCompletionRequest(SamplingFields, frozen=True, kw_only=True):
    messages: tuple[SentMessage, ...] | None = None
    response_format: ResponseFormat | None = None
    tools: tuple[OfferedTool, ...] | None = None
    tool_choice: Any = None
    reasoning: Reasoning | None = None
    reasoning_effort: str | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    debug_render_only: bool | None = msgspec.field(default=None, name="_debug_render_only")


class CompletionRequest(SamplingFields, frozen=True, kw_only=True):
    prompt: str | None = None
    suffix: str | None = None
    logprobs: int | None = None
    debug_render_only: bool | None = msgspec.field(default=None, name="_debug_render_only")


class EmbeddingRequest(ExtraFields, frozen=True, kw_only=True):
    model: str | None = None
    input: Any = None
    dimensions: int | None = None
    encoding_format: str | None = None


class Usage(msgspec.Struct, frozen=True):
    """Counts of tokens."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


class Function(msgspec.Struct, frozen=True):
    """`arguments` is JSON text."""

    name: str
    arguments: str


class ToolCall(msgspec.Struct, frozen=True):
    id: str
    index: int
    type: Literal["function"]
    function: Function


class Logprobs(msgspec.Struct, frozen=True):
    content: tuple[Logprob, ...]


class AssistantMessage(_Answer, frozen=True):
    role: str
    content: str
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


class Choice(_Answer, frozen=True):
    index: int
    message: AssistantMessage
    finish_reason: str | None
    logprobs: Logprobs | None = None


class ChatCompletion(_Answer, frozen=True):
    """A whole answer. Its last fields are the native API's, so that nothing is lost in silence."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: tuple[Choice, ...]
    usage: Usage
    prompt_dropped_count: int = 0
    context_dropped_count: int = 0
    thinking_cut: bool = False
    warning: str = ""
    debug_info: DebugInfo | None = msgspec.field(default=None, name="_debug_info")


class Delta(_Answer, frozen=True):
    """What a chunk adds. `content` may be empty and still be sent."""

    role: str = ""
    content: str | msgspec.UnsetType = msgspec.UNSET
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


class ChunkChoice(_Answer, frozen=True):
    index: int
    delta: Delta
    finish_reason: str | None
    logprobs: Logprobs | None = None


class ChatCompletionChunk(_Answer, frozen=True):
    """A piece of a streamed answer. `usage` is in the last one only, when it was asked for."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    system_fingerprint: str
    choices: tuple[ChunkChoice, ...]
    usage: Usage | None = None
    prompt_dropped_count: int = 0
    context_dropped_count: int = 0
    thinking_cut: bool = False
    warning: str = ""


class TextChoice(msgspec.Struct, frozen=True):
    text: str
    index: int
    finish_reason: str | None


class Completion(_Answer, frozen=True):
    """A whole text completion, or a piece of one."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: tuple[TextChoice, ...]
    usage: Usage | None = None
    prompt_dropped_count: int = 0
    context_dropped_count: int = 0
    thinking_cut: bool = False
    warning: str = ""
    debug_info: DebugInfo | None = msgspec.field(default=None, name="_debug_info")


class Model(msgspec.Struct, frozen=True):
    """`created` is Unix time."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(msgspec.Struct, frozen=True):
    object: Literal["list"]
    data: tuple[Model, ...]


class Embedding(msgspec.Struct, frozen=True):
    """`embedding` is a list of numbers, or base64 of little-endian float32."""

    object: Literal["embedding"]
    embedding: tuple[float, ...] | str
    index: int


class EmbeddingUsage(msgspec.Struct, frozen=True):
    prompt_tokens: int
    total_tokens: int


class EmbeddingList(_Answer, frozen=True):
    """`prompt_dropped_count` tokens of the inputs were cut off to make them fit."""

    object: Literal["list"]
    data: tuple[Embedding, ...]
    model: str
    usage: EmbeddingUsage
    prompt_dropped_count: int = 0


class TranscriptionForm(msgspec.Struct, frozen=True):
    """The parts of a form. `response_format` is `text` or anything else, which is JSON."""

    model: str = ""
    file: Annotated[bytes, msgspec.Meta(extra_json_schema={"contentEncoding": "binary"})] | None = None
    language: str = ""
    prompt: str = ""
    response_format: str = ""


class Transcription(msgspec.Struct, frozen=True):
    text: str


class RerankRequest(ExtraFields, frozen=True, kw_only=True):
    """Cohere's and Jina's. A document is a text, or an object with one."""

    model: str | None = None
    query: str | None = None
    documents: tuple[Any, ...] | None = None
    top_n: int | None = None
    return_documents: bool | None = None


class RankedText(msgspec.Struct, frozen=True):
    text: str


class RankedDocument(_Answer, frozen=True):
    """`index` is the document's place in the request."""

    index: int
    relevance_score: float
    document: RankedText | None = None


class RerankUsage(msgspec.Struct, frozen=True):
    total_tokens: int


class RerankAnswer(_Answer, frozen=True):
    model: str
    results: tuple[RankedDocument, ...]
    usage: RerankUsage
    prompt_dropped_count: int = 0


class ErrorBody(_Answer, frozen=True):
    """`hint` is ours: what to do next."""

    message: str
    type: str
    param: str | None
    code: str | None
    hint: str = ""


class ErrorResponse(msgspec.Struct, frozen=True):
    error: ErrorBody
