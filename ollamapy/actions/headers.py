"""What a stored model's GGUF file says of it: the header, read once per blob, and what follows from it."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import msgspec

from ollamapy.errors import TemplateError
from ollamapy.modelfile import choice, gochat
from ollamapy.modelfile.gochat import GoTemplate
from ollamapy.pool.memory import ModelShape
from ollamapy.settings import Settings
from ollamapy.store.store import StoredModel
from ollamapy.units import format_count
from ollamapy.weights.capabilities import capabilities, jinja_capabilities, jinja_has_round_trip, jinja_text
from ollamapy.weights.gguf import GgufFile, inspect
from ollamapy.weights.shards import joined
from ollamapy.wire.artefact import OTHERS
from ollamapy.wire.manifest import Config

_MAX_HEADERS = 256


@dataclass(slots=True)
class Headers:
    """Headers by path, least recently used first. Blobs never change, so an entry stays true."""

    _files: OrderedDict[Path, GgufFile] = field(default_factory=OrderedDict)

    async def weights(self, model: StoredModel) -> GgufFile:
        """The header of a model's weights, as if they were one file. Raises ModelFileError."""
        file = joined([await self.read(path) for path in model.weight_paths])
        if model.jinja is None:
            return file
        return replace(file, metadata={**file.metadata, "tokenizer.chat_template": model.jinja})

    async def read(self, path: Path) -> GgufFile:
        """The header of the blob at `path`, its arrays unread. Raises ModelFileError."""
        file = self._files.get(path)
        if file is None:
            file = await asyncio.to_thread(inspect, path, arrays=False)
            self._files[path] = file
            if len(self._files) > _MAX_HEADERS:
                self._files.popitem(last=False)
        self._files.move_to_end(path)
        return file


class _Describes(Protocol):
    headers: Headers
    settings: Settings


@dataclass(frozen=True, slots=True)
class Subject:
    """A stored model together with its file's header, its capabilities and its shape."""

    model: StoredModel
    file: GgufFile
    capabilities: tuple[str, ...]
    shape: ModelShape
    renders: choice.Kind
    """Which template renders the prompts of this model."""
    go: GoTemplate | None = None
    template_fault: TemplateError | None = None
    """Why the Go template cannot be read; the model can be shown then, and not used."""


async def describe(services: _Describes, model: StoredModel) -> Subject:
    """Everything about `model` that can be said without loading it. Raises ModelFileError."""
    file = await services.headers.weights(model)
    projector = await services.headers.read(model.projector_paths[0]) if model.projector_paths else None
    go, fault = await asyncio.to_thread(_read_go, model.template)
    renders = choice.choose(
        go=go,
        jinja=_jinja_traits(file),
        family=model.config.model_family,
        has_built_in=bool(model.config.renderer or model.config.parser),
        has_renderer=bool(model.config.renderer),
        switch=services.settings.go_template,
    )
    found = capabilities(
        file,
        model.config,
        projector is not None,
        go.capabilities if go and renders == "go" else None,
        projector=projector,
        jinja_renders=renders == "jinja",
    )
    shape = replace(shape_of(file), sees_images="vision" in found)
    return Subject(_filled(model, file), file, found, shape, renders, go, fault)


def _filled(model: StoredModel, file: GgufFile) -> StoredModel:
    """With what the config of another program leaves out, from the weights."""
    layer = model.manifest.manifest.config
    if layer is None or not layer.media_type.startswith(OTHERS):
        return model
    return replace(model, config=_with_header(model.config, file))


def _with_header(config: Config, file: GgufFile) -> Config:
    return msgspec.structs.replace(
        config,
        model_format=config.model_format or "gguf",
        model_family=config.model_family or file.architecture,
        model_families=config.model_families or (file.architecture,),
        model_type=config.model_type or format_count(file.parameter_count),
        file_type=config.file_type or file.file_type,
    )


def _read_go(text: str | None) -> tuple[GoTemplate | None, TemplateError | None]:
    if text is None:
        return None, None
    try:
        return gochat.load(text), None
    except TemplateError as error:
        return None, error


def _jinja_traits(file: GgufFile) -> choice.JinjaTraits | None:
    if file.chat_template is None:
        return None
    text = jinja_text(file)
    return choice.JinjaTraits(frozenset(jinja_capabilities(text)), jinja_has_round_trip(text))


def shape_of(file: GgufFile) -> ModelShape:
    """What the pool plans with."""
    return ModelShape(
        engine=file.architecture,
        num_ctx_train=file.context_length,
        kv_bytes=_kv_bytes(file),
        is_embedding=file.has_pooling,
    )


def _kv_bytes(file: GgufFile) -> int:
    """Bytes of keys and values per token in f16: 2 x layers x kv heads x (key + value length); 0 when unknown."""
    num_layers = _int(file.of_architecture("block_count"))
    num_heads = _int(file.of_architecture("attention.head_count"))
    num_kv_heads = _int(file.of_architecture("attention.head_count_kv")) or num_heads
    head = file.embedding_length // num_heads if num_heads else 0
    key = _int(file.of_architecture("attention.key_length")) or head
    value = _int(file.of_architecture("attention.value_length")) or head
    return 2 * num_layers * num_kv_heads * (key + value)


def _int(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
