"""BERT models with sentence-transformers' settings, as GGUF F16. Knows llama.cpp's keys; never runs the model.

Matrices become F16. Norms, biases and the small tables of positions and token types stay F32, as llama.cpp wants them.
The same folder gives the same bytes, whatever the machine.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from ollamapy.errors import ModelFileError
from ollamapy.weights.convert import safetensors, wordpiece
from ollamapy.weights.convert.folder import Folder

_ARCHITECTURE = gguf.MODEL_ARCH.BERT
_WEIGHTS = "model.safetensors"
_UNUSED = ("embeddings.position_ids", "pooler.", "cls.predictions.", "cls.seq_relationship.")
"""Parts that no vector comes from: a buffer, and heads of the pre-training."""
_F32 = ("position_embd.weight", "token_types.weight")
_POOLING = {
    "pooling_mode_mean_tokens": gguf.PoolingType.MEAN,
    "pooling_mode_cls_token": gguf.PoolingType.CLS,
    "pooling_mode_lasttoken": gguf.PoolingType.LAST,
}
_NUMBERS = {
    "num_hidden_layers": "block_count",
    "max_position_embeddings": "context_length",
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
    "num_attention_heads": "attention.head_count",
}


def convert(folder: Folder, output: Path) -> None:
    """Writes the model in `folder` to `output`. Raises ModelFileError."""
    config = folder.object("config.json")
    _check(config)
    weights = safetensors.read(folder.path / _WEIGHTS)
    writer = gguf.GGUFWriter(None, gguf.MODEL_ARCH_NAMES[_ARCHITECTURE])
    _add_header(writer, folder, config)
    _add_vocabulary(writer, folder, config)
    _add_tensors(writer, weights, _number(config, "num_hidden_layers"))
    try:
        writer.write_header_to_file(output)
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    except OSError as error:
        raise ModelFileError(f"the converted model cannot be written: {error}") from error


def _check(config: Mapping[str, Any]) -> None:
    """Raises ModelFileError for a model that is not quite BERT, or not BERT at all."""
    kinds = config.get("architectures")
    if config.get("model_type") != "bert" or kinds not in (None, ["BertModel"], ["BertForMaskedLM"]):
        found = kinds or config.get("model_type")
        raise ModelFileError(f"only BERT models can be converted: config.json says {found!r}")
    for name, wanted in {"hidden_act": "gelu", "position_embedding_type": "absolute"}.items():
        if (found := config.get(name, wanted)) != wanted:
            raise ModelFileError(f"config.json: wanted {name} {wanted!r}, found {found!r}")


def _add_header(writer: gguf.GGUFWriter, folder: Folder, config: Mapping[str, Any]) -> None:
    def key(name: str) -> str:
        return f"{writer.arch}.{name}"

    writer.add_type(gguf.GGUFType.MODEL)
    for source, target in _NUMBERS.items():
        writer.add_uint32(key(target), _number(config, source))
    writer.add_float32(key("attention.layer_norm_epsilon"), float(config.get("layer_norm_eps", 1e-12)))
    writer.add_bool(key("attention.causal"), False)
    writer.add_uint32(key("pooling_type"), pooling(folder).value)
    writer.add_bool(key("normalize_embeddings"), is_normalised(folder))
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def pooling(folder: Folder) -> gguf.PoolingType:
    """How the vectors of the tokens become one: as `1_Pooling` says, the mean without it. Raises ModelFileError."""
    config = folder.object("1_Pooling/config.json", is_optional=True)
    wanted = [name for name, value in config.items() if name.startswith("pooling_mode_") and value is True]
    if not wanted:
        return gguf.PoolingType.MEAN
    if len(wanted) > 1 or wanted[0] not in _POOLING:
        raise ModelFileError(f"1_Pooling/config.json: wanted one of {', '.join(_POOLING)}, found {', '.join(wanted)}")
    return _POOLING[wanted[0]]


def is_normalised(folder: Folder) -> bool:
    """True when the model's own pipeline gives vectors of length 1."""
    modules = folder.json("modules.json") if folder.has("modules.json") else []
    return any(isinstance(module, dict) and str(module.get("type", "")).endswith(".Normalize") for module in modules)


def _add_vocabulary(writer: gguf.GGUFWriter, folder: Folder, config: Mapping[str, Any]) -> None:
    words = folder.text("vocab.txt").removesuffix("\n").split("\n")
    if len(words) != _number(config, "vocab_size"):
        raise ModelFileError(f"vocab.txt has {len(words)} words, config.json says {config['vocab_size']}")
    vocabulary = wordpiece.vocabulary(words, folder.object("tokenizer_config.json", is_optional=True))
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(list(vocabulary.tokens))
    writer.add_token_types(list(vocabulary.types))
    writer.add_token_type_count(int(config.get("type_vocab_size", 2)))
    special = vocabulary.special
    writer.add_bos_token_id(special["cls_token"])
    writer.add_unk_token_id(special["unk_token"])
    writer.add_sep_token_id(special["sep_token"])
    writer.add_pad_token_id(special["pad_token"])
    writer.add_mask_token_id(special["mask_token"])


def _add_tensors(writer: gguf.GGUFWriter, weights: safetensors.Safetensors, num_layers: int) -> None:
    names = gguf.get_tensor_name_map(_ARCHITECTURE, num_layers)
    wanted = [(name, name.removeprefix("bert.")) for name in sorted(weights.tensors)]
    wanted = [(name, short) for name, short in wanted if not short.startswith(_UNUSED)]
    for name, short in wanted:
        target = names.get_name(short, try_suffixes=(".weight", ".bias"))
        if target is None:
            raise ModelFileError(f"{weights.path.name}: a BERT model has no tensor {name!r}")
        writer.add_tensor(target, _stored(target, weights.array(name)))


def _stored(name: str, array: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    """The array in the type that it gets in the file. Raises ModelFileError when F16 cannot hold it."""
    if array.ndim < 2 or name in _F32:
        return array
    with np.errstate(over="ignore"):
        small = array.astype(np.float16)
    if not np.isfinite(small).all():
        raise ModelFileError(f"{name} has numbers that F16 cannot hold")
    return small


def _number(config: Mapping[str, Any], name: str) -> int:
    value = config.get(name)
    if type(value) is not int or not 0 < value < 1 << 31:
        raise ModelFileError(f"config.json: wanted a number above zero as {name}, found {value!r}")
    return value
