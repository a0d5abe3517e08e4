"""How large a runner is made: the context of a request and the KV pool that all share."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ollamapy.settings import Settings
from ollamapy.units import KV_TYPE_BITS
from ollamapy.wire.options import Options
from ollamapy.wire.runner import Load, Mode

DEFAULT_NUM_CTX = 4096
MIN_NUM_CTX = 4
MIN_NUM_CTX_OF_IMAGES = 2048
MAX_SEQUENCES = 64
"""Sequences of one model that decode together when nobody sets a bound; more wait."""
_MAX_INPUT = 2048
"""Tokens of one input of a model that makes vectors, when nobody sets a bound."""
_SHARED_CONTEXTS = 4
_SHARED_TOKENS = 8192
_KV_SHARE = 0.25
"""The part of the free memory that the KV pool may take by itself."""
_HOST_SHARE = 0.1
"""The part of it for prefixes that the pool has no room for."""


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What the plan needs to know of a GGUF file. `kv_bytes` are per token in f16; 0 when unknown."""

    engine: str
    num_ctx_train: int
    kv_bytes: int = 0
    is_embedding: bool = False
    sees_images: bool = False


def available_bytes() -> int:
    """Memory that this machine can give away without swapping; a guess of half of it where the kernel does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def has_room(weight_bytes: int, free_bytes: int) -> bool | None:
    """Whether weights of this size leave the KV pool its share of the free memory; None for a size of 0, unknown."""
    return weight_bytes <= free_bytes * (1 - _KV_SHARE) if weight_bytes else None


def request_num_ctx(options: Options, shape: ModelShape, settings: Settings) -> int:
    """The context of one request: asked, else the environment's, else 4096; at least 4, at most what was trained.

    At least 2048 for a model that sees images: each takes hundreds of tokens.
    """
    wanted = options.num_ctx or settings.context_length or DEFAULT_NUM_CTX
    limit = shape.num_ctx_train or wanted
    least = MIN_NUM_CTX_OF_IMAGES if shape.sees_images else MIN_NUM_CTX
    return max(MIN_NUM_CTX, min(max(wanted, least), limit))


def pool_tokens(num_ctx: int, shape: ModelShape, settings: Settings, free_bytes: int) -> int:
    """Cells of the KV pool: one full context at least, a few when memory allows; every request takes what it needs.

    With OLLAMA_NUM_PARALLEL set, exactly so many contexts.
    """
    if settings.num_parallel:
        return num_ctx * settings.num_parallel
    affordable = int(free_bytes * _KV_SHARE) // shape.kv_bytes if shape.kv_bytes else _SHARED_TOKENS
    shared = min(num_ctx * _SHARED_CONTEXTS, _SHARED_TOKENS, affordable)
    return max(num_ctx, shared)


def plan_load(
    path: str,
    adapters: tuple[str, ...],
    options: Options,
    shape: ModelShape,
    settings: Settings,
    free_bytes: int,
    mode: Mode = "generate",
    projector: str = "",
    shards: tuple[str, ...] = (),
    draft: str = "",
) -> Load:
    """How to load the model at `path` for a request with these options.

    A model that makes vectors has no pool to share: it needs batches that hold a whole input.
    """
    num_ctx = request_num_ctx(options, shape, settings)
    kv_type = options.kv_type or settings.kv_cache_type
    shape = replace(shape, kv_bytes=int(shape.kv_bytes * KV_TYPE_BITS[kv_type] / KV_TYPE_BITS["f16"]))
    return Load(
        engine="echo" if shape.engine == "echo" else "llama",
        path=path,
        num_ctx=num_ctx,
        pool_tokens=pool_tokens(num_ctx, shape, settings, free_bytes) if mode == "generate" else num_ctx,
        num_parallel=settings.num_parallel or MAX_SEQUENCES,
        adapters=adapters,
        shards=shards,
        projector=projector if mode == "generate" else "",
        draft=draft if mode == "generate" else "",
        num_batch=options.num_batch or (min(_MAX_INPUT, num_ctx) if mode == "embed" else 512),
        num_gpu=options.num_gpu,
        main_gpu=options.main_gpu,
        use_mmap=options.use_mmap,
        use_mlock=options.use_mlock,
        num_thread=options.num_thread,
        flash_attention=settings.flash_attention if options.flash_attention is None else options.flash_attention,
        kv_type=kv_type,
        mode=mode,
        **(_cache_plan(shards or (path,), adapters, settings, free_bytes) if mode == "generate" else {}),
    )


def _cache_plan(
    weights: tuple[str, ...], adapters: tuple[str, ...], settings: Settings, free_bytes: int
) -> dict[str, Any]:
    """The fields of a Load for prefixes outside the pool. Blobs are named by their digests."""
    return {
        "host_cache_bytes": int(free_bytes * _HOST_SHARE),
        "snapshot_folder": str(settings.snapshots) if settings.snapshot_bytes else "",
        "snapshot_key": " ".join(Path(name).name for name in (*weights, *adapters)),
        "snapshot_bytes": settings.snapshot_bytes,
    }


def needs_reload(loaded: Load, pool_tokens_loaded: int, wanted: Load, options: Options) -> bool:
    """True when the loaded runner cannot serve the request.

    A context that fits the pool is never a reason, nor is the batch that a model of vectors chose for another context.
    """
    return (
        wanted.num_ctx > pool_tokens_loaded
        or loaded.adapters != wanted.adapters
        or loaded.projector != wanted.projector
        or loaded.draft != wanted.draft
        or loaded.main_gpu != wanted.main_gpu
        or loaded.num_thread != wanted.num_thread
        or loaded.kv_type != wanted.kv_type
        or loaded.flash_attention != wanted.flash_attention
        or (loaded.num_batch != wanted.num_batch and (options.num_batch is not None or wanted.mode == "generate"))
        or (wanted.num_gpu >= 0 and loaded.num_gpu != wanted.num_gpu)
        or loaded.use_mmap != wanted.use_mmap
    )
