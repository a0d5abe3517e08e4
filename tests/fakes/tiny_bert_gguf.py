"""The tiny BERT as GGUF files that llama.cpp runs: one that makes vectors, and one that ranks."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
from fakes import tiny_bert

from ollamapy.weights.convert import bert
from ollamapy.weights.convert.folder import Folder


def tiny(folder: Path, **fields: Any) -> Path:
    bert.convert(Folder(tiny_bert.write(folder, **fields)), folder / "tiny.gguf")
    return folder / "tiny.gguf"


def ranker(folder: Path) -> Path:
    """The tiny model with a head of random numbers that makes one score of the first token's state."""
    reader = gguf.GGUFReader(tiny(folder))
    path = folder / "ranker.gguf"
    writer = gguf.GGUFWriter(path, "bert")
    for field in reader.fields.values():
        if field.name not in ("general.architecture", "bert.pooling_type") and not field.name.startswith("GGUF."):
            kind = field.types[0]
            sub_type = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), kind, sub_type=sub_type)
    writer.add_pooling_type(gguf.PoolingType.RANK)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, np.asarray(tensor.data))
    for name, array in head().items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def head() -> dict[str, npt.NDArray[np.float32]]:
    random = np.random.default_rng(5)
    width = tiny_bert.HIDDEN
    shapes = {
        "cls.weight": (width, width),
        "cls.bias": (width,),
        "cls.output.weight": (1, width),
        "cls.output.bias": (1,),
    }
    return {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
