"""The context of a generating model, as a `Load` wants it: KV pool, its types, the batch. Knows nothing of steps."""

from typing import Any

import llama_cpp.llama_cpp as native

from ollamapy.cores import num_cores
from ollamapy.errors import LoadFailed
from ollamapy.runner.speculate import MOST_ROWS
from ollamapy.units import KV_TYPE_BITS
from ollamapy.wire.runner import Load

_MAX_SLOTS = 256
_MAX_PARALLEL = 192
_NUM_KEPT = 32
"""Slots for prefixes that no running sequence holds; all prefixes of one beginning need one each."""
_MAX_RECURRENT_SLOTS = 8
_NUM_KEPT_STATES = 4
"""Recurrent and hybrid models hold a whole state per slot."""
_KV_TYPES = {"f32": 0, "f16": 1, "bf16": 30, "q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8}
_FLASH_AUTO, _FLASH_OFF, _FLASH_ON = -1, 0, 1
_IDLE_SHARE = 0.005
"""By how much cells that nobody needs may slow a stream down."""
_BYTES_PER_SECOND = 10e9
_SECONDS_PER_CELL = 1.2e-9
"""On a CPU, of each layer and head: a step passes over the cells of all others."""


def open_context(request: Load, model: Any) -> Any:
    """A context with one KV pool for all sequences. Raises LoadFailed."""
    params = native.llama_context_default_params()
    num_kept = _NUM_KEPT_STATES if _has_states(model) else _NUM_KEPT
    num_slots = min(num_parallel(request, model) + num_kept, _MAX_SLOTS)
    params.n_ctx = request.pool_tokens
    params.n_batch = params.n_ubatch = max(min(request.num_batch, request.pool_tokens), num_slots)
    params.n_seq_max = num_slots
    params.n_outputs_max = max(num_slots, MOST_ROWS)
    params.kv_unified = True
    params.swa_full = False
    params.n_threads = params.n_threads_batch = request.num_thread or num_cores()
    params.type_k = params.type_v = _kv_type(request)
    params.flash_attn_type = _flash_attention(request)
    context = native.llama_init_from_model(model, params)
    if not context:
        raise LoadFailed(
            f"llama.cpp could not make a context of {request.pool_tokens} tokens with a {request.kv_type} KV cache",
            hint=_context_hint(request),
        )
    return context


def num_parallel(request: Load, model: Any) -> int:
    """How many sequences may decode together."""
    return min(request.num_parallel, _MAX_RECURRENT_SLOTS if _has_states(model) else _MAX_PARALLEL)


def can_cut(model: Any) -> bool:
    """False where a part of a sequence cannot be shared or removed: states, and windows whose old cells are gone.

    llama.cpp says yes to cutting a sliding window, and then computes with the cells that are left.
    """
    return not _has_states(model) and native.llama_model_n_swa(model) == 0


def _has_states(model: Any) -> bool:
    return bool(native.llama_model_is_recurrent(model) or native.llama_model_is_hybrid(model))


def idle_cells(model: Any, num_bytes: int) -> int:
    """How many cells without a use cost a CPU `_IDLE_SHARE` of a step, which reads `num_bytes` of weights once."""
    num_visits = max(native.llama_model_n_layer(model) * native.llama_model_n_head(model), 1)
    return int(_IDLE_SHARE * num_bytes / _BYTES_PER_SECOND / (num_visits * _SECONDS_PER_CELL))


def _kv_type(request: Load) -> int:
    if request.kv_type not in _KV_TYPES:
        raise LoadFailed(f"unknown KV cache type {request.kv_type!r}", hint=f"one of {', '.join(_KV_TYPES)}")
    return _KV_TYPES[request.kv_type]


def _flash_attention(request: Load) -> int:
    """Left to llama.cpp, but always on with a quantized cache, which only flash attention can read."""
    if _is_quantized(request.kv_type):
        if request.flash_attention is False:
            raise LoadFailed(
                f"a {request.kv_type} KV cache needs flash attention, and that is off",
                hint="leave flash_attention (OLLAMA_FLASH_ATTENTION) out, or set kv_type f16",
            )
        return _FLASH_ON
    return {None: _FLASH_AUTO, False: _FLASH_OFF, True: _FLASH_ON}[request.flash_attention]


def _is_quantized(kv_type: str) -> bool:
    return kv_type.startswith("q")


def _context_hint(request: Load) -> str:
    if _is_quantized(request.kv_type):
        return "the model may not go with a quantized KV cache: set kv_type f16; a smaller num_ctx needs less memory"
    return "a smaller num_ctx needs less memory"


def kv_bytes(model: Any, pool_tokens: int, kv_type: str) -> int:
    """What keys and values of `pool_tokens` take, for a model whose layers are all alike."""
    num_heads = native.llama_model_n_head(model)
    if num_heads <= 0:
        return 0
    width = native.llama_model_n_embd(model) // num_heads * native.llama_model_n_head_kv(model)
    cells = 2 * native.llama_model_n_layer(model) * width * pool_tokens
    return int(cells * KV_TYPE_BITS[kv_type] / 8)
