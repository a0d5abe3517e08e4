"""Opens a GGUF file with llama.cpp, whole or its vocabulary alone. Knows nothing of contexts and steps."""

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as native

from ollamapy.errors import ModelFileError
from ollamapy.wire.runner import Load

_LOG_DEBUG = 1


def open_model(request: Load, on_progress: Callable[[float], None]) -> Any:
    """The llama_model of the file at `request.path`, or of all its parts.

    Raises ModelFileError; llama.cpp's own reasons are on stderr.
    """
    native.llama_log_set(print_log, None)
    native.llama_backend_init()
    params = native.llama_model_default_params()
    params.n_gpu_layers = request.num_gpu
    params.main_gpu = request.main_gpu or 0
    params.vocab_only = request.mode == "vocabulary"
    params.load_mode = _load_mode(request)

    @native.llama_progress_callback  # type: ignore[untyped-decorator]
    def progress(fraction: float, _: Any) -> bool:
        on_progress(fraction)
        return True

    params.progress_callback = progress
    model = _load(request, params)
    if not model:
        raise ModelFileError(f"llama.cpp could not load {Path(request.path).name}")
    return model


def _load(request: Load, params: Any) -> Any:
    """Parts of a model are given one by one: by itself llama.cpp looks for them under the names they had once."""
    if not request.shards:
        return native.llama_model_load_from_file(os.fsencode(request.path), params)
    paths = (ctypes.c_char_p * len(request.shards))(*map(os.fsencode, request.shards))
    return native.llama_model_load_from_splits(paths, len(request.shards), params)


def _load_mode(request: Load) -> int:
    """Locking keeps the weights in memory, mapped or read; by default llama.cpp decides whether to map."""
    if request.use_mlock:
        return int(native.LLAMA_LOAD_MODE_MLOCK if request.use_mmap is False else native.LLAMA_LOAD_MODE_MMAP_MLOCK)
    if request.use_mmap is None:
        return int(native.LLAMA_LOAD_MODE_AUTO)
    return int(native.LLAMA_LOAD_MODE_MMAP if request.use_mmap else native.LLAMA_LOAD_MODE_NONE)


@native.llama_log_callback  # type: ignore[untyped-decorator]
def print_log(level: int, text: bytes, _: Any) -> None:
    """Prints what llama.cpp logs on stderr, but not its thousands of debug lines a load."""
    if level != _LOG_DEBUG:
        os.write(2, text)


def gpu_share(request: Load, model: Any) -> float:
    """The part of the weights that is on a GPU, 0 to 1."""
    if not native.llama_supports_gpu_offload() or request.num_gpu == 0:
        return 0.0
    return 1.0 if request.num_gpu < 0 else min(1.0, request.num_gpu / (native.llama_model_n_layer(model) + 1))
