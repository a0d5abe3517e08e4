"""Decides what a created model consists of: its layers, its config, its texts. Values in, a `Recipe` out.

Never touches the disk: `create.py` reads the files before, and writes the layers after.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from ollamapy.errors import Error, InvalidDigest, InvalidInput, ModelFileError, TemplateError, Unsupported
from ollamapy.modelfile import gochat
from ollamapy.names import Digest
from ollamapy.store.store import StoredModel
from ollamapy.units import format_count
from ollamapy.weights.gguf import ArrayInfo, GgufFile
from ollamapy.weights.shards import joined, place_of
from ollamapy.wire.manifest import TITLE, Config, Layer, encode_messages, encode_params, layer_type
from ollamapy.wire.native import CreateRequest
from ollamapy.wire.shards import Shard, title_of

QUANTIZATIONS = ("F32", "F16", "BF16", "Q8_0", "Q4_K_S", "Q4_K_M", "Q4_K")
_COMPANIONS = (".json", ".jinja", "tokenizer.model")
"""Files that clients send along when a model is a folder; a GGUF file holds all that they say."""
_BUILT_IN = {
    "gemma4": ("gemma4", "gemma4", ("<turn|>",)),
    "laguna": ("laguna", "laguna", ()),
    "nemotron_h": ("nemotron-3-nano", "nemotron-3-nano", ()),
    "nemotron_h_moe": ("nemotron-3-nano", "nemotron-3-nano", ()),
    "nemotron_h_omni": ("nemotron-3-nano", "nemotron-3-nano", ()),
}
"""By architecture: the renderer, the parser and the stop words that a model gets when the request names none."""
_INFO_TEXTS = {
    "model_family": "model_family",
    "base_name": "base_name",
    "quantization_level": "file_type",
    "parameter_size": "model_type",
}
_INFO_NUMBERS = ("context_length", "embedding_length")
_MOST_UNLIKE = 128
"""By how many tokens a draft model's vocabulary may differ: models of one family are padded to different sizes."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A GGUF file that was uploaded as a blob, and what its header says. `path` is the client's."""

    path: str
    digest: Digest
    size_bytes: int
    file: GgufFile

    def layer(self, kind: str) -> Layer:
        """The layer that holds the file; a part of a model keeps its name."""
        place = place_of(self.file)
        annotations = {TITLE: title_of(self.path, *place)} if place else msgspec.UNSET
        return Layer(layer_type(kind), str(self.digest), self.size_bytes, annotations=annotations)


@dataclass(frozen=True, slots=True)
class NewLayer:
    """A layer whose content is still to be stored."""

    kind: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Recipe:
    """A model to be: its layers in order, its config, and the parameters that its layers hold."""

    layers: tuple[Layer | NewLayer, ...]
    config: Config
    params: Mapping[str, Any] = field(default_factory=dict)

    def without(self, *kinds: str) -> "Recipe":
        """The same without the layers of these kinds."""
        return replace(self, layers=tuple(layer for layer in self.layers if layer.kind not in kinds))

    def with_layers(self, *layers: Layer | NewLayer) -> "Recipe":
        """The same with more layers at the end."""
        return replace(self, layers=(*self.layers, *layers))

    def with_config(self, **fields: Any) -> "Recipe":
        """The same with other fields of the config."""
        return replace(self, config=msgspec.structs.replace(self.config, **fields))


# What may be asked


def check_request(request: CreateRequest) -> None:
    """Raises InvalidInput for what can never be made, Unsupported for what cannot be made yet."""
    if request.draft_quantize and not request.draft_files:
        raise InvalidInput("--draft-quantize requires a DRAFT model")
    level = request.quantize or request.quantization or request.draft_quantize
    if level and level.upper() not in QUANTIZATIONS:
        supported = ", ".join(("F32", "F16", "Q4_K_S", "Q4_K_M", "Q8_0"))
        raise Error(f"unsupported quantization type {level.upper()} - supported types are {supported}")
    if level:
        raise Unsupported("quantizing is not supported yet", hint="quantize the GGUF file with llama-quantize first")


def checked_files(files: Mapping[str, str]) -> dict[str, Digest]:
    """The digests of a request's files by path, in the order of the paths. Raises InvalidInput, InvalidDigest."""
    for path, digest in files.items():
        if path.startswith("/") or "\0" in path or any(part in ("", "..") for part in path.split("/")):
            raise InvalidInput("file path must be relative", hint=f"the path {path!r} is not")
        if not digest:
            raise InvalidDigest("invalid digest format", hint=f"the file {path!r} has no digest")
    return {path: Digest.parse(digest) for path, digest in sorted(files.items())}


def choose_gguf(files: Mapping[str, Digest], is_gguf: Mapping[str, bool]) -> dict[str, Digest]:
    """The files to read as GGUF: all but those that go along with a model's folder.

    Raises InvalidInput when neither name nor content of any file is that of GGUF.
    """
    if not any(is_gguf[path] or path.endswith(".gguf") for path in files):
        raise InvalidInput("unknown type", hint="models are made from GGUF files")
    return {path: digest for path, digest in files.items() if is_gguf[path] or not path.endswith(_COMPANIONS)}


# Where it starts


def of_model(model: StoredModel, file: GgufFile) -> Recipe:
    """Everything that `model`, with weights `file`, has; each layer says where it came from."""
    layers = model.manifest.manifest.layers
    inherited = tuple(msgspec.structs.replace(layer, source=model.name.short) for layer in layers)
    config = model.config if model.config.model_family else _with_header(model.config, file)
    return Recipe(inherited, config, model.params)


def of_files(files: Iterable[Uploaded]) -> Recipe:
    """A model of one weights file, or all its parts, and any number of projectors and adapters.

    Raises InvalidInput, ModelFileError when parts do not make a model.
    """
    files = sorted(files, key=lambda uploaded: ("model", "projector", "adapter").index(uploaded.file.kind))
    models = _in_order([uploaded for uploaded in files if uploaded.file.kind == "model"])
    others = [uploaded for uploaded in files if uploaded.file.kind != "model"]
    weights = joined([uploaded.file for uploaded in models])
    layers = tuple(uploaded.layer(uploaded.file.kind) for uploaded in (*models, *others))
    projectors = (uploaded.file for uploaded in others if uploaded.file.kind == "projector")
    families = dict.fromkeys(file.architecture for file in (weights, *projectors))
    return with_built_in(Recipe(layers, _with_header(Config(), weights, tuple(families))))


def _in_order(models: list[Uploaded]) -> list[Uploaded]:
    """The one file of weights, or its parts as their headers count them. Raises InvalidInput, ModelFileError."""
    if len(models) != 1 and not (models and all(place_of(uploaded.file) for uploaded in models)):
        found = ", ".join(uploaded.path for uploaded in models) or "none"
        raise InvalidInput(f"a model has one file of weights, found {found}")
    for uploaded in models:
        _check_name(uploaded)
    prefixes = {shard.prefix for uploaded in models if (shard := Shard.of(uploaded.path))}
    if len(prefixes) > 1:
        raise ModelFileError(f"split GGUF: the parts have different names: {', '.join(sorted(prefixes))}")
    return sorted(models, key=lambda uploaded: place_of(uploaded.file) or (0, 0))


def _check_name(uploaded: Uploaded) -> None:
    """Raises ModelFileError for the name of another part. Other names, as blobs have them, tell nothing."""
    shard, place = Shard.of(uploaded.path), place_of(uploaded.file)
    if shard and place and place != (shard.number, shard.count):
        raise ModelFileError(f"split GGUF: {uploaded.path} is part {place[0]} of {place[1]}, its name says otherwise")


def _with_header(config: Config, file: GgufFile, families: tuple[str, ...] = ()) -> Config:
    """The config with what the header of the weights says."""
    return msgspec.structs.replace(
        config,
        model_format="gguf",
        model_family=file.architecture,
        model_families=families or (file.architecture,),
        model_type=format_count(file.parameter_count),
        file_type=file.file_type,
    )


def with_built_in(recipe: Recipe) -> Recipe:
    """With the built-in renderer and parser of architectures that have one."""
    if recipe.config.model_family not in _BUILT_IN:
        return recipe
    renderer, parser, stop = _BUILT_IN[recipe.config.model_family]
    recipe = recipe.with_config(renderer=renderer, parser=parser)
    return with_parameters(recipe, {"stop": list(stop)}) if stop else recipe


# What the request changes


def with_adapters(recipe: Recipe, adapters: Iterable[Uploaded]) -> Recipe:
    """With a LoRA adapter. Raises InvalidInput."""
    adapters = tuple(adapters)
    if len(adapters) > 1:
        raise InvalidInput("only one adapter is currently supported")
    for adapter in adapters:
        if adapter.file.kind != "adapter":
            raise InvalidInput(f"{adapter.path} is not an adapter: its general.type says {adapter.file.kind}")
    return recipe.with_layers(*(adapter.layer("adapter") for adapter in adapters))


def with_draft(recipe: Recipe, drafts: Sequence[Uploaded], weights: GgufFile) -> Recipe:
    """With a draft model, for `weights`, instead of the one it had. Raises InvalidInput, Unsupported."""
    if len(drafts) > 1 or drafts[0].file.kind != "model":
        raise InvalidInput("a draft model has one file of weights")
    _refuse_split(drafts[0])
    _check_vocabulary(drafts[0], weights)
    return recipe.without("draft").with_layers(drafts[0].layer("draft"))


def _check_vocabulary(draft: Uploaded, weights: GgufFile) -> None:
    """Raises InvalidInput for a draft model that must have other tokens; whether all are alike shows at the load."""
    wanted, found = _vocabulary(weights), _vocabulary(draft.file)
    if wanted[0] != found[0] or abs(wanted[1] - found[1]) > _MOST_UNLIKE:
        raise InvalidInput(
            f"{draft.path} cannot be the draft model: its vocabulary has {found[1]} tokens ({found[0]}), that of the "
            f"model {wanted[1]} ({wanted[0]})",
            hint="a draft model guesses tokens of the model: take a smaller model of the same family",
        )


def _vocabulary(file: GgufFile) -> tuple[str, int]:
    """The kind of a file's tokenizer and how many tokens it has."""
    tokens = file.metadata.get("tokenizer.ggml.tokens")
    return str(file.metadata.get("tokenizer.ggml.model")), tokens.count if isinstance(tokens, ArrayInfo) else 0


def with_request(recipe: Recipe, request: CreateRequest) -> Recipe:
    """With the texts, parameters and config that the request gives; what it leaves empty stays. Raises InvalidInput.

    1. template and system replace, a licence adds
    2. parameters replace by key
    3. messages replace all
    4. renderer, parser, requires and `info` replace in the config
    """
    if request.template:
        _check_template(request.template)
        recipe = recipe.without("template").with_layers(NewLayer("template", request.template.encode()))
    if request.system:
        recipe = recipe.without("system").with_layers(NewLayer("system", request.system.encode()))
    licenses = (request.license,) if isinstance(request.license, str) else request.license
    recipe = recipe.with_layers(*(NewLayer("license", text.encode()) for text in licenses if text))
    recipe = with_parameters(recipe, request.parameters)
    if request.messages:
        messages = encode_messages((message.role, message.content) for message in request.messages)
        recipe = recipe.without("messages").with_layers(NewLayer("messages", messages))
    texts = {"renderer": request.renderer, "parser": request.parser, "requires": request.requires}
    return recipe.with_config(**{name: text for name, text in texts.items() if text}, **_info_fields(request.info))


def _check_template(text: str) -> None:
    """Raises InvalidInput when no prompt could ever be made with it."""
    try:
        gochat.load(text)
    except TemplateError as error:
        raise InvalidInput(f"template error: {error.message}") from error


def with_parameters(recipe: Recipe, parameters: Mapping[str, Any]) -> Recipe:
    """With these parameters over the ones it has; a list replaces a list."""
    if not parameters:
        return recipe
    params = dict(sorted({**recipe.params, **parameters}.items()))
    return replace(recipe.without("params").with_layers(NewLayer("params", encode_params(params))), params=params)


def _info_fields(info: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the config that `info` overrides. Raises InvalidInput for one of the wrong type."""
    given = {name: value for name, value in info.items() if value is not None}
    fields: dict[str, Any] = {}
    for name, target in _INFO_TEXTS.items():
        value = given.get(name, "")
        if not isinstance(value, str):
            raise InvalidInput(f'info field "{name}" must be a string')
        fields |= {target: value} if value else {}
    for name in _INFO_NUMBERS:
        number = _info_number(name, given.get(name, 0))
        fields |= {name: number} if number else {}
    if "model_family" in fields:
        fields["model_families"] = (fields["model_family"],)
    return fields | _info_capabilities(given.get("capabilities", []))


def _info_number(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput(f'info field "{name}" must be a number')
    if not 0 <= value < 2**63 or value != int(value):
        raise InvalidInput(f'info field "{name}" must be a non-negative integer')
    return int(value)


def _info_capabilities(value: Any) -> dict[str, Any]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidInput('info field "capabilities" must be a list of strings')
    return {"capabilities": tuple(value)} if value else {}


def _refuse_split(uploaded: Uploaded) -> None:
    if place := place_of(uploaded.file):
        raise Unsupported(
            f"split GGUF: a draft model in several files is not supported, {uploaded.path} is one of {place[1]}",
            hint="join them with llama-gguf-split --merge",
        )
