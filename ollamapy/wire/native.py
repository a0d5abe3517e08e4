"""Requests and responses of `/api/*`. A field without a default is always sent; the others are left out when empty.

`decode` turns a body into a request the way Ollama reads it: null is absent, unknown fields are ignored, and names are
taken in any case.
"""

from typing import Any, Literal, TypeVar

import msgspec

from ollamapy.errors import InvalidInput
from ollamapy.wire.fields import normalised

T = TypeVar("T", bound=msgspec.Struct)

Think = bool | Literal["low", "medium", "high", "max"] | None


class _Request(msgspec.Struct, frozen=True, omit_defaults=True):
    pass


class _Response(msgspec.Struct, frozen=True, omit_defaults=True):
    pass


class ToolFunction(_Request, frozen=True):
    name: str = ""
    description: str = ""
    parameters: dict[str, Any] = {}


class Tool(_Request, frozen=True):
    function: ToolFunction
    type: str = "function"


class ToolCallFunction(msgspec.Struct, frozen=True):
    name: str = ""
    arguments: dict[str, Any] = {}
    index: int = 0


class ToolCall(_Request, frozen=True):
    function: ToolCallFunction
    id: str = ""


class Message(_Request, frozen=True):
    """One message of a chat; `role` is lower-cased by whoever reads it from outside."""

    role: str = ""
    content: str = ""
    thinking: str = ""
    images: tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_name: str = ""
    tool_call_id: str = ""


class _Inference(_Request, frozen=True):
    """What generate and chat share. `options`, `keep_alive`, `think` and `format` are checked by their own readers."""

    model: str = ""
    stream: bool = True
    keep_alive: Any = None
    format: Any = None
    grammar: str | None = None
    """GBNF that the content must follow; "" is none, absent what the options say."""
    think: Any = None
    options: dict[str, Any] = {}
    truncate: bool = True
    shift: bool | None = None
    logprobs: bool = False
    top_logprobs: int = 0
    debug_render_only: bool = msgspec.field(default=False, name="_debug_render_only")
    priority: int = 0
    """Of ours: a request of a higher priority runs before those that wait."""


class ExtraFile(_Request, frozen=True):
    """Another file of the project whose gap is filled."""

    text: str
    filename: str = ""


class GenerateRequest(_Inference, frozen=True):
    prompt: str = ""
    suffix: str = ""
    extra: tuple[ExtraFile, ...] | None = None
    """Of ours: other files. When it is there (empty too) the gap between prompt and suffix is told to the model by its
    vocabulary's own tokens, without a template."""
    system: str = ""
    template: str = ""
    context: tuple[int, ...] | None = None
    raw: bool = False
    images: tuple[str, ...] = ()


class ChatRequest(_Inference, frozen=True):
    messages: tuple[Message, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: Any = None


class TopLogprob(_Response, frozen=True):
    token: str
    logprob: float
    bytes: tuple[int, ...] = ()


class Logprob(TopLogprob, frozen=True):
    top_logprobs: tuple[TopLogprob, ...] = ()


class DebugInfo(_Response, frozen=True):
    rendered_template: str
    image_count: int = 0


class GenerateResponse(_Response, frozen=True, kw_only=True):
    """A chunk or the last object, in Ollama's order of fields. Durations are nanoseconds.

    `prompt_cached_count` tokens of the prompt were in the cache already; `prompt_eval_count` counts them too.
    `prompt_dropped_count` tokens of the prompt were left out to make it fit, and `context_dropped_count` tokens were
    forgotten while the answer was made, so that it could go on; Ollama drops both without a word.
    `draft_count` tokens of the answer were guessed before they were computed, `draft_accepted_count` of them rightly.
    `thinking_cut` says that `think_budget` (or a format that had to come) ended the reasoning.
    `warning` says what could not be read as a call of a tool, and is content for that reason; or what of the model is
    not used, and why; or which images the prompt has no place for.
    """

    model: str
    created_at: str
    response: str
    thinking: str = ""
    done: bool
    done_reason: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    context: tuple[int, ...] = ()
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0
    prompt_eval_duration: int = 0
    eval_count: int = 0
    eval_duration: int = 0
    prompt_cached_count: int = 0
    prompt_dropped_count: int = 0
    context_dropped_count: int = 0
    draft_count: int = 0
    draft_accepted_count: int = 0
    thinking_cut: bool = False
    warning: str = ""
    logprobs: tuple[Logprob, ...] = ()
    debug_info: DebugInfo | None = msgspec.field(default=None, name="_debug_info")


class AnswerMessage(_Response, frozen=True):
    role: str
    content: str
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


class ChatResponse(_Response, frozen=True, kw_only=True):
    """As GenerateResponse, with a message."""

    model: str
    created_at: str
    message: AnswerMessage
    done: bool
    done_reason: str = ""
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0
    prompt_eval_duration: int = 0
    eval_count: int = 0
    eval_duration: int = 0
    prompt_cached_count: int = 0
    prompt_dropped_count: int = 0
    context_dropped_count: int = 0
    draft_count: int = 0
    draft_accepted_count: int = 0
    thinking_cut: bool = False
    warning: str = ""
    logprobs: tuple[Logprob, ...] = ()
    debug_info: DebugInfo | None = msgspec.field(default=None, name="_debug_info")


class EmbedRequest(_Request, frozen=True):
    model: str = ""
    input: Any = None
    truncate: bool | None = None
    dimensions: int = 0
    keep_alive: Any = None
    options: dict[str, Any] = {}


class EmbedResponse(_Response, frozen=True):
    """`prompt_dropped_count` tokens of the inputs were cut off to make them fit."""

    model: str
    embeddings: tuple[tuple[float, ...], ...]
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0
    prompt_dropped_count: int = 0


class EmbeddingsRequest(_Request, frozen=True):
    model: str = ""
    prompt: str = ""
    keep_alive: Any = None
    options: dict[str, Any] = {}


class EmbeddingsResponse(_Response, frozen=True):
    embedding: tuple[float, ...]


class RerankRequest(_Request, frozen=True):
    """`top_n` 0 is all of them."""

    model: str = ""
    query: str = ""
    documents: tuple[str, ...] = ()
    top_n: int = 0
    truncate: bool = True
    keep_alive: Any = None
    options: dict[str, Any] = {}


class RerankResult(_Response, frozen=True):
    """`index` is the document's place in the request; the score is the model's own number, larger is better."""

    index: int
    relevance_score: float


class RerankResponse(_Response, frozen=True):
    model: str
    results: tuple[RerankResult, ...]
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0
    prompt_dropped_count: int = 0


class TokenizeRequest(_Request, frozen=True):
    model: str = ""
    text: str = ""
    add_special: bool = False


class TokenizeResponse(_Response, frozen=True):
    model: str
    tokens: tuple[int, ...]


class DetokenizeRequest(_Request, frozen=True):
    model: str = ""
    tokens: tuple[int, ...] = ()


class DetokenizeResponse(_Response, frozen=True):
    model: str
    text: str


class ApplyTemplateResponse(_Response, frozen=True):
    model: str
    prompt: str


class Details(msgspec.Struct, frozen=True):
    """`families` is null when unknown. The two lengths appear in tags only."""

    parent_model: str = ""
    format: str = ""
    family: str = ""
    families: tuple[str, ...] | None = None
    parameter_size: str = ""
    quantization_level: str = ""
    context_length: int | msgspec.UnsetType = msgspec.UNSET
    embedding_length: int | msgspec.UnsetType = msgspec.UNSET


class ListedModel(_Response, frozen=True):
    name: str
    model: str
    modified_at: str
    size: int
    digest: str
    details: Details
    capabilities: tuple[str, ...] = ()


class ListResponse(_Response, frozen=True):
    models: tuple[ListedModel, ...]


class LoadedModel(_Response, frozen=True):
    name: str
    model: str
    size: int
    digest: str
    details: Details
    expires_at: str
    size_vram: int
    context_length: int


class PsResponse(_Response, frozen=True):
    models: tuple[LoadedModel, ...]


class ShowRequest(_Request, frozen=True):
    model: str = ""
    name: str = ""
    verbose: bool = False
    system: str = ""
    options: dict[str, Any] = {}


class Tensor(_Response, frozen=True):
    name: str
    type: str
    shape: tuple[int, ...]


class ShownMessage(_Response, frozen=True):
    role: str
    content: str


class ShowResponse(_Response, frozen=True, kw_only=True):
    license: str = ""
    modelfile: str = ""
    parameters: str = ""
    template: str = ""
    system: str = ""
    details: Details
    messages: tuple[ShownMessage, ...] = ()
    model_info: dict[str, Any]
    projector_info: dict[str, Any] = {}
    tensors: tuple[Tensor, ...] = ()
    capabilities: tuple[str, ...] = ()
    modified_at: str = ""
    requires: str = ""


class CreateRequest(_Request, frozen=True, rename={"from_": "from"}):
    model: str = ""
    name: str = ""
    from_: str = ""
    files: dict[str, str] | None = None
    adapters: dict[str, str] = {}
    draft_files: dict[str, str] = {}
    template: str = ""
    system: str = ""
    renderer: str = ""
    parser: str = ""
    requires: str = ""
    license: str | tuple[str, ...] = ""
    parameters: dict[str, Any] = {}
    messages: tuple[Message, ...] = ()
    quantize: str = ""
    quantization: str = ""
    draft_quantize: str = ""
    info: dict[str, Any] = {}
    stream: bool = True
    warm: bool = False
    """Of ours: compute what all prompts begin with."""


class CopyRequest(_Request, frozen=True):
    source: str = ""
    destination: str = ""


class DeleteRequest(_Request, frozen=True):
    model: str = ""
    name: str = ""


class PullRequest(_Request, frozen=True, rename={"as_": "as"}):
    model: str = ""
    name: str = ""
    insecure: bool = False
    stream: bool = True
    from_peer: str = ""
    """Another ollamapy, HOST or HOST:PORT, that has the model."""
    limit_rate: int = 0
    """Bytes a second that the pull may bring; 0 is no limit."""
    as_: str = ""
    """The name for what a URL brings; without it the file gives the name."""


class PushRequest(_Request, frozen=True):
    model: str = ""
    name: str = ""
    insecure: bool = False
    stream: bool = True
    format: str = ""
    """`docker` writes Docker's model artefact instead of Ollama's manifest."""


class Progress(_Response, frozen=True):
    """A line of pull, push or create. Sizes are bytes."""

    status: str
    digest: str = ""
    total: int = 0
    completed: int = 0


class VersionResponse(_Response, frozen=True):
    """`version` is the emulated level of Ollama's API, `ollamapy` this program's own release."""

    version: str
    ollamapy: str = ""


class CloudStatus(msgspec.Struct, frozen=True):
    disabled: bool
    source: str


class StatusResponse(_Response, frozen=True):
    cloud: CloudStatus


class ErrorResponse(_Response, frozen=True):
    error: str
    hint: str = ""


def indented(value: msgspec.Struct) -> str:
    """The JSON of an answer, laid out for people."""
    return msgspec.json.format(msgspec.json.encode(value)).decode()


def decode(body: bytes, kind: type[T]) -> T:
    """The request in `body`. Raises InvalidInput for an empty body, bad JSON or a field of the wrong type."""
    if not body.strip():
        raise InvalidInput("missing request body")
    try:
        value = msgspec.json.decode(body)
        if not isinstance(value, dict):
            raise InvalidInput("the request body must be a JSON object")
        return msgspec.convert(normalised(value, kind), kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(str(error)) from error
