"""Weights of another type, by llama.cpp's own quantizer."""

import ctypes
import os
from pathlib import Path

import llama_cpp.llama_cpp as native

from ollamapy.cores import num_cores
from ollamapy.errors import Error


def quantize(source: Path, target: Path) -> None:
    """Writes `source` as Q4_0. Raises Error."""
    native.llama_backend_init()
    params = native.llama_model_quantize_default_params()
    params.ftype = native.LLAMA_FTYPE_MOSTLY_Q4_0
    params.nthread = num_cores()
    params.allow_requantize = True
    if native.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(params)) != 0:
        raise Error(f"llama.cpp could not quantize {source.name}")
