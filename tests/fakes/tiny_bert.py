"""A random BERT in a folder, as its makers would publish it: small enough to convert and run in milliseconds."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

HIDDEN, HEADS, LAYERS, INNER, POSITIONS = 32, 4, 2, 64, 64
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = (
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *_LETTERS,
    *(f"##{letter}" for letter in _LETTERS),
    *".,!?-",
    "the",
    "sky",
    "##ing",
    "is",
    "blue",
)

Arrays = dict[str, npt.NDArray[Any]]


def weights(seed: int = 1) -> Arrays:
    """Random tensors under the names of the original."""
    random = np.random.default_rng(seed)

    def matrix(*shape: int) -> npt.NDArray[np.float32]:
        return (random.standard_normal(shape) * 0.3).astype(np.float32)

    arrays: Arrays = {
        "embeddings.word_embeddings.weight": matrix(len(WORDS), HIDDEN),
        "embeddings.position_embeddings.weight": matrix(POSITIONS, HIDDEN),
        "embeddings.token_type_embeddings.weight": matrix(2, HIDDEN),
        "embeddings.position_ids": np.arange(POSITIONS)[None],
        "pooler.dense.weight": matrix(HIDDEN, HIDDEN),
        "pooler.dense.bias": matrix(HIDDEN),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in range(LAYERS):
        place = f"encoder.layer.{layer}"
        sizes = {
            "attention.self.query": (HIDDEN, HIDDEN),
            "attention.self.key": (HIDDEN, HIDDEN),
            "attention.self.value": (HIDDEN, HIDDEN),
            "attention.output.dense": (HIDDEN, HIDDEN),
            "intermediate.dense": (INNER, HIDDEN),
            "output.dense": (HIDDEN, INNER),
        }
        for name, shape in sizes.items():
            arrays[f"{place}.{name}.weight"], arrays[f"{place}.{name}.bias"] = matrix(*shape), matrix(shape[0])
        norms += [f"{place}.attention.output.LayerNorm", f"{place}.output.LayerNorm"]
    for norm in norms:
        arrays[f"{norm}.weight"], arrays[f"{norm}.bias"] = 1 + matrix(HIDDEN), matrix(HIDDEN)
    return arrays


def safetensors(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """The arrays as a safetensors file; u2 stands for BF16."""
    names = {"f8": "F64", "f4": "F32", "f2": "F16", "u2": "BF16", "i8": "I64"}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, array in arrays.items():
        begin, data = len(data), data + array.tobytes()
        dtype = names[f"{array.dtype.kind}{array.dtype.itemsize}"]
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": (begin, len(data))}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def write(
    folder: Path,
    *,
    arrays: Mapping[str, npt.NDArray[Any]] | None = None,
    pooling: str = "mean_tokens",
    is_normalised: bool = True,
    tokenizer: Mapping[str, Any] | None = None,
    **config: Any,
) -> Path:
    """The folder with a whole model in it; `config` adds to config.json."""
    (folder / "1_Pooling").mkdir(parents=True, exist_ok=True)
    whole = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": POSITIONS,
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "type_vocab_size": 2,
        "vocab_size": len(WORDS),
    }
    modules = ["Transformer", "Pooling", *(["Normalize"] if is_normalised else [])]
    texts = {
        "config.json": json.dumps(whole | config),
        "tokenizer_config.json": json.dumps({"do_lower_case": True, **(tokenizer or {})}),
        "modules.json": json.dumps([{"type": f"sentence_transformers.models.{name}"} for name in modules]),
        "1_Pooling/config.json": json.dumps({"word_embedding_dimension": HIDDEN, f"pooling_mode_{pooling}": True}),
        "vocab.txt": "".join(f"{word}\n" for word in WORDS),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "model.safetensors").write_bytes(safetensors(weights() if arrays is None else arrays))
    return folder
