"""What generate and chat share: the checks in the contract's order, the lease, the prompt, the answer's pieces.

    resolve → (unload) → require, think → options → lease → (load only) → prompt → answer

Each step is a function here; the two verbs string them together and shape the reply.
"""

import asyncio
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ollamapy.actions import lookup
from ollamapy.actions.headers import Subject, describe
from ollamapy.actions.services import Services
from ollamapy.errors import Error, InvalidInput, LoadFailed, ModelFileError, NotFound, Unsupported
from ollamapy.modelfile.options import OPTIONS, check_options, go_quote, merge
from ollamapy.names import ModelName
from ollamapy.pictures import base64_fault, check_image, check_total
from ollamapy.pool.memory import available_bytes, plan_load, request_num_ctx
from ollamapy.pool.pool import Label
from ollamapy.pool.state import Demand
from ollamapy.units import parse_keep_alive
from ollamapy.wire.native import ChatRequest, GenerateRequest, Think
from ollamapy.wire.options import Options
from ollamapy.wire.runner import Finished, Generate, Mode

THINK_LEVELS = ("high", "medium", "low", "max")
MAX_REPEATS = 30
_OLD_VISION = (
    "'llama3.2-vision' is no longer compatible with your version of Ollama and has been replaced by a newer version. "
    "To re-download, run 'ollama pull llama3.2-vision'"
)

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Timing:
    """Moments of one request, as `perf_counter` seconds."""

    started: float
    loaded: float = 0.0

    @classmethod
    def begin(cls) -> "Timing":
        return cls(time.perf_counter())

    def mark_loaded(self) -> None:
        self.loaded = time.perf_counter()

    def loading(self) -> dict[str, int]:
        """The nanoseconds of an answer that generates nothing."""
        return {
            "total_duration": _nanoseconds(time.perf_counter() - self.started),
            "load_duration": _nanoseconds(self.loaded - self.started),
        }

    def durations(self, finished: Finished) -> dict[str, int]:
        """The counts and nanoseconds of the last object."""
        return {
            **self.loading(),
            "prompt_eval_count": finished.num_prompt,
            "prompt_cached_count": finished.num_prompt_cached,
            "context_dropped_count": finished.num_shifted,
            "prompt_eval_duration": _nanoseconds(finished.prompt_seconds),
            "eval_count": finished.num_output,
            "eval_duration": _nanoseconds(finished.output_seconds),
            "draft_count": finished.num_drafted,
            "draft_accepted_count": finished.num_accepted,
        }


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)


# Checks


def check_shared(request: GenerateRequest | ChatRequest) -> None:
    """What is checked before the model's name: first what Ollama finds while it reads the JSON. Raises InvalidInput."""
    _check_think(request.think)
    parse_keep_alive(request.keep_alive)
    for image in images_of(request):
        if fault := base64_fault(image):
            raise InvalidInput(fault)
    if not 0 <= request.top_logprobs <= 20:
        raise InvalidInput("top_logprobs must be between 0 and 20")


def _check_think(think: Any) -> None:
    if think is None or isinstance(think, bool) or think in THINK_LEVELS:
        return
    if isinstance(think, str):
        raise InvalidInput(f'invalid think value: "{think}" (must be "high", "medium", "low", "max", true, or false)')
    raise InvalidInput('think must be a boolean or string ("high", "medium", "low", "max", true, or false)')


async def resolve(services: Services, text: str) -> Subject:
    """The model that a request names, its weights verified.

    Raises InvalidName, NotFound, Refused for cloud names, StoreError for damaged weights.
    """
    if not text:
        raise lookup.not_found(text)
    try:
        model = await lookup.stored_model(services, ModelName.parse_local(text))
    except NotFound as error:
        raise lookup.not_found(text, hint=error.hint) from error
    await asyncio.to_thread(services.store.verify, model)
    try:
        return await describe(services, model)
    except ModelFileError as error:
        raise error.of_model(model.name.short) from error


def require(subject: Subject, sent: str, verb: str) -> None:
    """Raises InvalidInput when the model cannot complete text."""
    if "completion" not in subject.capabilities:
        raise InvalidInput(f"{json.dumps(sent)} does not support {verb}")


def require_capability(subject: Subject, capability: str) -> None:
    """Raises InvalidInput when the model lacks `capability`."""
    if capability not in subject.capabilities:
        raise InvalidInput(f"{subject.model.name.full} does not support {capability}")


def images_of(request: GenerateRequest | ChatRequest) -> tuple[str, ...]:
    """All images of a request, in order."""
    if isinstance(request, GenerateRequest):
        return request.images
    return tuple(image for message in request.messages for image in message.images)


async def check_images(subject: Subject, images: Sequence[str]) -> None:
    """Raises InvalidInput for a model that sees no images, or an image that is none or too large, Unsupported for
    sound and for a model that has its encoder in the weights."""
    if not images:
        return
    require_capability(subject, "vision")
    if not subject.model.projector_paths:
        raise Unsupported(
            "images are supported with a projector file only, and this model has its image encoder in its weights",
            hint="create it from a text model and its mmproj file: two FROM lines in a Modelfile",
        )
    check_total(len(images))
    num_pixels = 0
    for image in images:
        num_pixels += await asyncio.to_thread(check_image, image)
    check_total(len(images), num_pixels)


def effective_think(subject: Subject, think: Think, sent: str) -> Think:
    """How the model thinks: as asked, else on when it can. None for a model that cannot. Raises InvalidInput."""
    can_think = "thinking" in subject.capabilities
    if think and not can_think:
        raise InvalidInput(f"{json.dumps(sent)} does not support thinking")
    if not can_think:
        return None
    return True if think is None else think


async def grammar_of(services: Services, request: GenerateRequest | ChatRequest, options: Options) -> str:
    """The grammar of the content; empty when nothing asks for one. A format goes before the model's own grammar.

    Raises Error for a value that is no format, InvalidInput for a schema or a grammar that cannot be held, or for both
    in one request.
    """
    wanted = request.format
    grammar = options.grammar if request.grammar is None else request.grammar
    if wanted in (None, ""):
        return await services.grammars.checked(grammar) if grammar else ""
    if wanted != "json" and not isinstance(wanted, dict):
        raw = go_quote(json.dumps(wanted, ensure_ascii=False, separators=(",", ":")))
        raise Error(f'invalid format: {raw}; expected "json" or a valid JSON Schema object')
    if request.grammar or request.options.get("grammar"):
        raise InvalidInput("format and grammar exclude each other", hint="leave one of them out")
    return await services.grammars.of_format(wanted)


# Runner


def options_of(subject: Subject, raw: dict[str, Any]) -> Options:
    """Defaults, the model's PARAMETERs, the request's options. Logs what it passes over. Raises OptionError."""
    options = merge(subject.model.params, check_options(raw))
    model, trained = subject.model.name, subject.shape.num_ctx_train
    if unknown := [name for name in raw if name not in OPTIONS]:
        log.warning("options ignored model=%s names=%.200r", model, unknown)
    if trained and options.num_ctx and options.num_ctx > trained:
        log.warning("context capped model=%s num_ctx=%d trained=%d", model, options.num_ctx, trained)
    return options


def demand_of(
    services: Services, subject: Subject, options: Options, keep_alive: Any, *, mode: Mode = "generate"
) -> Demand:
    """What the request asks of the pool. Raises InvalidInput, LoadFailed for a model that no engine runs any more."""
    model = subject.model
    if model.config.model_family == "mllama" and model.projector_paths:
        raise LoadFailed(_OLD_VISION)
    load = plan_load(
        str(model.model_path),
        tuple(str(path) for path in model.adapter_paths),
        options,
        subject.shape,
        services.settings,
        available_bytes(),
        mode,
        str(model.projector_paths[0]) if model.projector_paths else "",
        tuple(map(str, model.shard_paths)),
        draft=str(model.draft_path or ""),
    )
    return Demand(load, options, parse_keep_alive(keep_alive))


def label_of(subject: Subject) -> Label:
    """Under which name `/api/ps` shows the runner."""
    model = subject.model
    return Label(model.name, model.manifest.digest, model.config)


def unload(services: Services, subject: Subject) -> None:
    """Lets the model go as soon as it is idle."""
    services.pool.expire(str(subject.model.model_path))


def generate_message(
    services: Services, subject: Subject, request: GenerateRequest | ChatRequest, options: Options, grammar: str
) -> Generate:
    """What the runner is told, but for the prompt."""
    shift = subject.file.architecture != "deepseek2" if request.shift is None else request.shift
    return Generate(
        id=0,
        prompt="",
        options=msgspec.structs.replace(options, grammar=""),
        num_ctx=request_num_ctx(options, subject.shape, services.settings),
        shift=shift,
        grammar=grammar,
        max_repeats=0 if subject.renders == "jinja" else MAX_REPEATS,
        num_top_logprobs=request.top_logprobs if request.logprobs else -1,
        priority=request.priority,
        client=services.client,
    )
