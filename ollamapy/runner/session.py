"""What a loaded model does with the messages that reach it, by the mode it was loaded in.

A session answers at once what takes no step, on the thread that reads, and hands the rest to its loop.
"""

import logging
import queue
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Protocol

import msgspec

from ollamapy.errors import Error, InvalidInput, Unsupported
from ollamapy.runner.bare import use_bare_llama_cpp
from ollamapy.runner.draft import Draft, open_draft
from ollamapy.runner.embedding import Embedder, EmbedderInfo, EmbeddingLoop, Work, inputs_of
from ollamapy.runner.infill import assemble
from ollamapy.runner.intake import Submission
from ollamapy.runner.loop import Closed, Loop
from ollamapy.runner.model import Model, ModelInfo, ModelLoader, Projector
from ollamapy.runner.sight import Prompt, Sight
from ollamapy.runner.tiers import open_tiers
from ollamapy.wire.runner import (
    Cancel,
    Detokenize,
    Embed,
    Event,
    Fill,
    Finished,
    Generate,
    Load,
    Ready,
    Refusal,
    Text,
    Tokenize,
    Tokens,
)

Send = Callable[[list[Event]], None]
Progress = Callable[[float], None]
Message = Generate | Embed | Tokenize | Detokenize

LOADERS = {
    ("llama", "generate"): "ollamapy.runner.llama",
    ("llama", "embed"): "ollamapy.runner.embedder",
    ("llama", "vocabulary"): "ollamapy.runner.vocabulary",
    ("echo", "generate"): "ollamapy.runner.echo",
    ("echo", "embed"): "ollamapy.runner.echo_embedding",
    ("echo", "vocabulary"): "ollamapy.runner.echo",
}
"""Engine and mode: the module whose `load` answers what the session needs."""


log = logging.getLogger(__name__)


class Session(Protocol):
    """A loaded model at work."""

    def ready(self) -> Ready: ...

    def take(self, message: Message) -> None:
        """Does what the message asks for, or has it done. Raises InvalidInput."""

    def cancel(self, message: Cancel) -> None: ...

    def run(self) -> None:
        """Serves until `close`."""

    def close(self) -> None:
        """Ends `run`; safe from any thread."""


def open_session(request: Load, on_progress: Progress, send: Send) -> Session:
    """Loads what the mode needs. Raises LoadFailed."""
    use_bare_llama_cpp()
    load = import_module(LOADERS[request.engine, request.mode]).load
    loaded = load(request, on_progress)
    if request.mode == "generate":
        return Generation(request, loaded, send, *_open_draft(request, loaded, load, on_progress))
    return Vectors(request, loaded, send) if request.mode == "embed" else Words(request, loaded, send)


def _open_draft(request: Load, model: Model, load: ModelLoader, on_progress: Progress) -> tuple[Draft | None, str]:
    """The draft model, or a warning that says why it is not used: the answers are the same without it."""
    if not request.draft:
        return None, ""
    try:
        return open_draft(request, model, load, on_progress), ""
    except Error as error:
        warning = f"the draft model is not used: {error.message}"
        log.warning("draft model not used reason=%s", error.message)
        return None, warning


class SpecialTexts(Protocol):
    @property
    def bos_text(self) -> str: ...

    @property
    def eos_text(self) -> str: ...


class Vocabulary(Protocol):
    """Words without weights."""

    @property
    def info(self) -> SpecialTexts: ...

    def tokenize(self, text: str, add_special: bool) -> list[int]: ...

    def detokenize(self, tokens: Sequence[int]) -> str: ...


class Generation:
    """A model that continues texts."""

    def __init__(self, request: Load, model: Model, send: Send, draft: Draft | None = None, warning: str = "") -> None:
        self._request, self._model, self._send = request, model, send
        self._draft, self._warning = draft, warning
        self._loop = Loop(model, send, open_tiers(request, model), draft)
        self._sight = self._open_sight(model.projector) if model.projector else None

    def _open_sight(self, projector: Projector) -> Sight:
        return Sight(
            projector,
            self._model.tokenize,
            submit=lambda request, prompt: self._loop.put(self._submission(request, prompt, time.perf_counter())),
            refuse=lambda request, fault: self._send([refusal(request.id, fault)]),
            drop=lambda request: self._send([Finished(request.id, "cancel")]),
        )

    def ready(self) -> Ready:
        ready = _ready(self._request, self._model.info, can_shift=self._model.info.can_shift)
        draft = self._draft.info if self._draft else None
        return msgspec.structs.replace(
            ready,
            size_bytes=ready.size_bytes + (draft.size_bytes if draft else 0),
            vram_bytes=ready.vram_bytes + (draft.vram_bytes if draft else 0),
            warning=self._warning,
        )

    def take(self, message: Message) -> None:
        if not isinstance(message, Generate):
            self._send([_words(message, self._model)])
            return
        if message.fill:
            self._loop.put(self._gap(message, message.fill, time.perf_counter()))
            return
        text = self._model.detokenize(message.context) + message.prompt
        if not message.images:
            prompt = Prompt(self._model.tokenize(text, message.add_special))
            self._loop.put(self._submission(message, prompt, time.perf_counter()))
        elif self._sight:
            self._sight.put(message, text)
        else:
            raise InvalidInput("the model is loaded without a projector: it sees no images")

    def _gap(self, request: Generate, fill: Fill, received: float) -> Submission:
        """Raises Unsupported, InvalidInput."""
        model = self._model
        num_ctx = min(request.num_ctx, model.info.pool_tokens)
        filled = assemble(fill, model.marks, model.tokenize_plain, num_ctx, request.options.num_predict)
        return Submission(request, filled.tokens, received, num_dropped=filled.num_dropped)

    def _submission(self, request: Generate, prompt: Prompt, received: float) -> Submission:
        return Submission(request, prompt.tokens, received, self._specials(request), prompt.pictures)

    def _specials(self, request: Generate) -> dict[int, bytes]:
        """The control tokens to write out; a text that is not a single token comes as text anyway."""
        encoded = ((text, self._model.tokenize(text, False)) for text in request.special_texts)
        return {tokens[0]: text.encode() for text, tokens in encoded if len(tokens) == 1}

    def cancel(self, message: Cancel) -> None:
        if not (self._sight and self._sight.cancel(message.id)):
            self._loop.put(message)

    def run(self) -> None:
        self._loop.run()

    def close(self) -> None:
        self._loop.put(Closed())


class Vectors:
    """A model that makes vectors."""

    def __init__(self, request: Load, model: Embedder, send: Send) -> None:
        self._request, self._model, self._send = request, model, send
        self._loop = EmbeddingLoop(model, send)

    def ready(self) -> Ready:
        return _ready(self._request, self._model.info)

    def take(self, message: Message) -> None:
        if isinstance(message, Embed):
            self._loop.put(Work(message, *inputs_of(message, self._model)))
        else:
            self._send([_words(message, self._model)])

    def cancel(self, message: Cancel) -> None:
        self._loop.put(message)

    def run(self) -> None:
        self._loop.run()

    def close(self) -> None:
        self._loop.put(Closed())


class Words:
    """A vocabulary without weights: there are no steps, and nothing to cancel."""

    def __init__(self, request: Load, vocabulary: Vocabulary, send: Send) -> None:
        self._request, self._vocabulary, self._send = request, vocabulary, send
        self._end: queue.SimpleQueue[None] = queue.SimpleQueue()

    def ready(self) -> Ready:
        request, words = self._request, self._vocabulary.info
        return Ready(request.num_ctx, 0, request.pool_tokens, 0, 0, words.bos_text, words.eos_text, False)

    def take(self, message: Message) -> None:
        self._send([_words(message, self._vocabulary)])

    def cancel(self, message: Cancel) -> None:
        """Nothing to do: whatever was asked is answered."""

    def run(self) -> None:
        self._end.get()

    def close(self) -> None:
        self._end.put(None)


def _ready(request: Load, info: ModelInfo | EmbedderInfo, *, can_shift: bool = False) -> Ready:
    return Ready(
        num_ctx=min(request.num_ctx, info.pool_tokens),
        num_ctx_train=info.num_ctx_train,
        pool_tokens=info.pool_tokens,
        size_bytes=info.size_bytes,
        vram_bytes=info.vram_bytes,
        bos_text=info.bos_text,
        eos_text=info.eos_text,
        can_shift=can_shift,
    )


def refusal(request_id: int, fault: Exception) -> Refusal:
    """What is answered for a request that met with `fault`."""
    if isinstance(fault, Unsupported):
        return Refusal(request_id, "unsupported", fault.message)
    if isinstance(fault, InvalidInput):
        return Refusal(request_id, "invalid", fault.message)
    return Refusal(request_id, "internal", f"{type(fault).__name__}: {fault}")


def _words(message: Message, model: Model | Embedder | Vocabulary) -> Event:
    """What every session answers. Raises InvalidInput for a message that is not for this one."""
    match message:
        case Tokenize():
            return Tokens(message.id, tuple(model.tokenize(message.text, message.add_special)))
        case Detokenize():
            return Text(message.id, model.detokenize(message.tokens))
        case other:
            raise InvalidInput(f"the model is not loaded for {type(other).__name__}")
