"""What a runner and the daemon say to each other: one JSON object a line, tagged by `type`.

Daemon to runner (stdin): first one `Load`, then any of the other `Request`s at any time.
Runner to daemon (stdout): `Loading`…, `Ready` or `LoadError`; then for each `Generate` either one `Refusal`, or
`Output`… and one `Finished`. After `Cancel` a `Finished` with reason "cancel" still comes, unless it was out already.
An `Embed` gets one `Embedding` or `Refusal`, and nothing after `Cancel`.
`Tokenize` and `Detokenize` are answered without waiting for a decode step. A line that is no message is passed over,
with a `Refusal` if it has an `id`. The runner exits when stdin ends, also while it loads.
"""

from typing import Literal

import msgspec

from ollamapy.wire.options import Options

Mode = Literal["generate", "embed", "vocabulary"]


class Load(msgspec.Struct, frozen=True, tag=True):
    """Load one model. `num_ctx` is the most one request may use, `pool_tokens` what all share.

    In mode "embed" it makes vectors and nothing else; in mode "vocabulary" the weights stay on the disk.
    """

    engine: Literal["llama", "echo"]
    path: str
    num_ctx: int
    pool_tokens: int
    num_parallel: int
    adapters: tuple[str, ...] = ()
    shards: tuple[str, ...] = ()
    """All files of the weights in order, `path` first, when they are several."""
    projector: str = ""
    """The file that turns images into vectors; "" is none."""
    draft: str = ""
    """The file of a smaller model that guesses tokens; "" is none."""
    num_batch: int = 512
    num_gpu: int = -1
    main_gpu: int | None = None
    use_mmap: bool | None = None
    use_mlock: bool = False
    num_thread: int = 0
    flash_attention: bool | None = None
    kv_type: str = "f16"
    host_cache_bytes: int = 0
    """Memory for prefixes that the pool has no room for."""
    snapshot_folder: str = ""
    """Where prefixes are kept when the runner ends; "" is nowhere."""
    snapshot_key: str = ""
    """The digests of the weights and adapters."""
    snapshot_bytes: int = 0
    """What the folder may hold in all."""
    mode: Mode = "generate"

    @property
    def key(self) -> str:
        """Loads with one key may share a runner."""
        files = " ".join(self.shards) or self.path
        return files if self.mode == "generate" else f"{files} {self.mode}"


class Thinking(msgspec.Struct, frozen=True):
    """How the answer writes its reasoning: between `opening` and `closing`, at its start.

    With `is_open` the prompt has opened it already. After `budget` tokens of reasoning the runner closes it; -1 never.
    It then writes `ending`, which holds `closing`; "" is `closing` alone.
    """

    opening: str
    closing: str
    ending: str = ""
    is_open: bool = False
    budget: int = -1


class FillFile(msgspec.Struct, frozen=True):
    """Another file of the project that a gap is in."""

    text: str
    filename: str = ""


class Fill(msgspec.Struct, frozen=True):
    """A gap between `prefix` and `suffix`, in one of the files of a project."""

    prefix: str
    suffix: str
    files: tuple[FillFile, ...] = ()


class Generate(msgspec.Struct, frozen=True, tag=True):
    """Continue `prompt`. `context` holds token ids whose text goes before it. `num_ctx` caps this request alone."""

    id: int
    prompt: str
    options: Options
    num_ctx: int
    context: tuple[int, ...] = ()
    images: tuple[str, ...] = ()
    """In base64. Number N stands in the prompt where it says `[img-N]`."""
    shift: bool = True
    """Drop old tokens and go on when the context is full; else stop with reason "length"."""
    cut: bool = False
    """Cut a prompt that does not fit in the middle instead of refusing it (template.md section 7)."""
    add_special: bool = True
    num_top_logprobs: int = -1
    """Alternatives per token to report; -1 turns log probabilities off."""
    max_repeats: int = 0
    """End the answer when a token has followed itself so often: the model is stuck; 0 never ends it."""
    grammar: str = ""
    """GBNF that the answer must follow, checked by the daemon; "" is none."""
    grammar_root: str = "root"
    """The rule of the grammar to begin with."""
    thinking: Thinking | None = None
    """Reasoning that may come before what the grammar holds; None is none."""
    special_texts: tuple[str, ...] = ()
    """Control tokens that are part of the answer's text: marks of tool calls and channels."""
    fill: Fill | None = None
    """A gap to fill: takes the place of `prompt`, is made of the vocabulary's own tokens and cut to fit."""
    wants_tokens: bool = False
    """Report the token ids of prompt and answer in `Finished`."""
    scope: str = ""
    """Requests of different scopes never share cached prefixes."""
    priority: int = 0
    """Higher goes first."""
    client: str = ""
    """Who asks: the clients of a model get equal shares of it while they wait."""


class Embed(msgspec.Struct, frozen=True, tag=True):
    """A vector for each of `texts`; with a `query`, how well each of them answers it."""

    id: int
    texts: tuple[str, ...]
    num_ctx: int
    """The most tokens of one input."""
    truncate: bool = True
    """Cut an input that is longer, instead of refusing all."""
    dimensions: int = 0
    """Numbers of a vector to keep; 0 keeps all."""
    normalise: bool = True
    """Give vectors the length 1."""
    query: str | None = None


class Cancel(msgspec.Struct, frozen=True, tag=True):
    id: int


class Tokenize(msgspec.Struct, frozen=True, tag=True):
    id: int
    text: str
    add_special: bool = True


class Detokenize(msgspec.Struct, frozen=True, tag=True):
    id: int
    tokens: tuple[int, ...]


Request = Load | Generate | Embed | Cancel | Tokenize | Detokenize


class Loading(msgspec.Struct, frozen=True, tag=True):
    """Load progress, 0 to 1; also a sign of life."""

    progress: float


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The model is loaded. Texts are those of the special tokens, as templates want them."""

    num_ctx: int
    num_ctx_train: int
    pool_tokens: int
    size_bytes: int
    vram_bytes: int
    bos_text: str = ""
    eos_text: str = ""
    can_shift: bool = True
    warning: str = ""
    """What of the model is not used, and why; "" when all is."""


class LoadError(msgspec.Struct, frozen=True, tag=True):
    """`code` is that of the exception."""

    message: str
    hint: str = ""
    code: str = ""


class TokenLogprob(msgspec.Struct, frozen=True, omit_defaults=True):
    """`bytes` are the token's own, which may be part of a character only."""

    token: str
    logprob: float
    bytes: tuple[int, ...] = ()
    top: tuple["TokenLogprob", ...] = ()


class Output(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """New text of a request: whole characters, never a part of a stop string. `num_tokens` counts tokens so far."""

    id: int
    text: str
    num_tokens: int = 0
    logprobs: tuple[TokenLogprob, ...] = ()


class Finished(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """The end of a request. Counts are tokens, durations seconds. `num_prompt_cached` were not computed again."""

    id: int
    reason: Literal["stop", "length", "cancel"]
    num_prompt: int = 0
    num_prompt_cached: int = 0
    num_prompt_dropped: int = 0
    num_shifted: int = 0
    """Tokens that the context lost while the answer was made, so that it could go on."""
    num_output: int = 0
    prompt_seconds: float = 0.0
    output_seconds: float = 0.0
    queue_seconds: float = 0.0
    num_drafted: int = 0
    """Tokens of the answer that were guessed, and below those that were guessed right."""
    num_accepted: int = 0
    is_thinking_cut: bool = False
    """The reasoning was closed by the runner, not by the model."""
    tokens: tuple[int, ...] = ()


class Embedding(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """The vectors in the order of the texts. `num_prompt` tokens were read, `num_dropped` cut off before."""

    id: int
    vectors: tuple[tuple[float, ...], ...]
    num_prompt: int = 0
    num_dropped: int = 0


class Refusal(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """A request of any kind that cannot be served. `prompt_too_long` carries the counts, so that messages can go."""

    id: int
    code: Literal["prompt_too_long", "invalid", "unsupported", "internal"]
    message: str
    num_prompt: int = 0
    limit: int = 0


class Tokens(msgspec.Struct, frozen=True, tag=True):
    id: int
    tokens: tuple[int, ...]


class Text(msgspec.Struct, frozen=True, tag=True):
    id: int
    text: str


class Stats(msgspec.Struct, frozen=True, tag=True):
    """What the loop did since the last report: seconds inside decode and outside of it, steps and tokens."""

    num_steps: int
    num_tokens: int
    decode_seconds: float
    host_seconds: float


Event = Loading | Ready | LoadError | Output | Finished | Embedding | Refusal | Tokens | Text | Stats

_request_decoder: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
event_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
encode = msgspec.json.Encoder().encode


class _Numbered(msgspec.Struct):
    """What even a message that is wrong may have."""

    id: int = -1


_numbered_decoder = msgspec.json.Decoder(_Numbered)


def decode_request(line: bytes) -> Request | Refusal:
    """The message in `line`, or what to answer when it is none; id -1 when the line does not name one."""
    try:
        return _request_decoder.decode(line)
    except (msgspec.DecodeError, RecursionError) as error:
        return Refusal(_number(line), "invalid", f"the runner does not understand the message: {error}")


def _number(line: bytes) -> int:
    try:
        return _numbered_decoder.decode(line).id
    except (msgspec.DecodeError, RecursionError):
        return -1
