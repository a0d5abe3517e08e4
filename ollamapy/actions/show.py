"""`POST /api/show`: everything about one model, from its layers and from the header of its weights. Never loads it."""

import asyncio
from pathlib import Path
from typing import Any

from ollamapy.actions import lookup
from ollamapy.actions.headers import Subject, describe
from ollamapy.actions.services import Services
from ollamapy.errors import Refused
from ollamapy.modelfile.options import format_parameters
from ollamapy.modelfile.printer import DEFAULT_TEMPLATE, generated_modelfile
from ollamapy.names import ModelName
from ollamapy.units import format_local
from ollamapy.weights.gguf import ArrayInfo, GgufFile, inspect
from ollamapy.weights.shards import joined
from ollamapy.wire.native import ShownMessage, ShowRequest, ShowResponse, Tensor

_HIDDEN = frozenset({"general.name", "tokenizer.chat_template"})
_REMOTE = "remote model details are unavailable"


async def show(services: Services, request: ShowRequest, *, basename: str = "") -> ShowResponse:
    """What the model is made of. A `basename` takes the place of the file's own in `model_info`.

    Raises InvalidInput, NotFound, Refused for cloud models, StoreError, ModelFileError.
    """
    model = await lookup.stored_model(services, _name(request.model or request.name), _REMOTE)
    subject = await describe(services, model)
    model = subject.model
    parts = [await _header(services, path, verbose=request.verbose) for path in model.weight_paths]
    file = joined(parts)
    info = model_info(file) | ({"general.basename": basename} if basename else {})
    projectors = [await _header(services, path, verbose=request.verbose) for path in model.projector_paths[:1]]
    return ShowResponse(
        license="\n".join(model.licenses),
        modelfile=modelfile_of(subject, request),
        parameters=format_parameters(model.params),
        template=_template(subject),
        system=request.system or model.system,
        details=lookup.details_of(model.config, lookup.parent_of(model.manifest.manifest)),
        messages=tuple(ShownMessage(role, content) for role, content in model.messages),
        model_info=info,
        projector_info=model_info(projectors[0]) if projectors else {},
        tensors=tuple(Tensor(tensor.name, tensor.type, tensor.shape) for tensor in file.tensors),
        capabilities=subject.capabilities,
        modified_at=format_local(model.manifest.modified),
        requires=model.config.requires,
    )


def model_info(file: GgufFile) -> dict[str, Any]:
    """The metadata of a GGUF file for people: arrays whose members were not read are null, empty ones stay lists."""
    info = {key: _shown(value) for key, value in file.metadata.items() if key not in _HIDDEN}
    return info | {"general.parameter_count": file.parameter_count}


def modelfile_of(subject: Subject, request: ShowRequest) -> str:
    """The Modelfile that describes the model, with the request's system text and options laid over its own."""
    model = subject.model
    return generated_modelfile(
        short_name=model.name.short,
        from_path=str(model.model_path),
        adapters=map(str, model.adapter_paths),
        draft=str(model.draft_path or ""),
        projectors=map(str, (*model.shard_paths[1:], *model.projector_paths)),
        template=model.template or "",
        system=request.system or model.system,
        renderer=model.config.renderer,
        parser=model.config.parser,
        params={**model.params, **request.options},
        licenses=model.licenses,
        messages=model.messages,
    )


def _name(text: str) -> ModelName:
    text = lookup.required_name(text)
    try:
        return ModelName.parse_local(text)
    except Refused as error:
        raise lookup.refused(_REMOTE) from error


async def _header(services: Services, path: Path, *, verbose: bool) -> GgufFile:
    """The header; with the members of its arrays when `verbose`, and then it is too large to keep."""
    return await (asyncio.to_thread(inspect, path) if verbose else services.headers.read(path))


def _shown(value: Any) -> Any:
    if isinstance(value, ArrayInfo):
        return None if value.count else []
    return value


def _template(subject: Subject) -> str:
    """The template in use: the Jinja template of the weights when that one renders, else the Go template."""
    jinja = subject.file.chat_template if subject.renders == "jinja" else None
    return jinja or subject.model.template or DEFAULT_TEMPLATE
