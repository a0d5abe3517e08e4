"""Vectors by llama.cpp: one model, one context that pools. A door to llama_cpp; nothing here generates.

Pooling is what the file says. A file that says nothing gives the last token's state when the model reads from left to
right, because only that token has seen all others; else the mean.
"""

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import llama_cpp.llama_cpp as native
import numpy as np

from ollamapy.cores import num_cores
from ollamapy.errors import LoadFailed
from ollamapy.runner.batch import Batch
from ollamapy.runner.embedding import EmbedderInfo, Vector
from ollamapy.runner.model import Chunk
from ollamapy.runner.vocabulary import Vocabulary
from ollamapy.runner.weights import gpu_share, open_model
from ollamapy.wire.runner import Load

MAX_INPUTS = 64
"""Inputs that share a step."""
_MAX_STATES = 8
"""As many, for models that hold a whole state for each."""
STEP_TOKENS = 256
"""Tokens of inputs that share a step: attention looks at all of them, so more would cost more than they save."""
_FLASH = {None: -1, False: 0, True: 1}


def load(request: Load, on_progress: Callable[[float], None]) -> "LlamaEmbedder":
    """Loads the GGUF file at `request.path`. Raises LoadFailed; llama.cpp's own reasons are on stderr."""
    if request.adapters:
        raise LoadFailed(
            "a model with an adapter makes no vectors yet", hint="embed with the model that it is made from"
        )
    model = open_model(request, on_progress)
    pooling = _pooling(model)
    return LlamaEmbedder(request, model, _make_context(request, model, pooling), pooling)


def _pooling(model: Any) -> int:
    said = _metadata(model, "pooling_type")
    if said and said != str(native.LLAMA_POOLING_TYPE_NONE):
        return int(said)
    reads_both_ways = _metadata(model, "attention.causal") == "false"
    return int(native.LLAMA_POOLING_TYPE_MEAN if reads_both_ways else native.LLAMA_POOLING_TYPE_LAST)


def _metadata(model: Any, key: str) -> str:
    """The value of `<architecture>.<key>` as text, empty when absent."""
    return _value(model, f"{_value(model, 'general.architecture')}.{key}")


def _value(model: Any, key: str) -> str:
    buffer = ctypes.create_string_buffer(256)
    size = native.llama_model_meta_val_str(model, key.encode(), buffer, len(buffer))
    return buffer.value.decode("utf-8", "replace") if size >= 0 else ""


def _make_context(request: Load, model: Any, pooling: int) -> Any:
    params = native.llama_context_default_params()
    params.n_batch = params.n_ubatch = params.n_outputs_max = max(request.num_batch, MAX_INPUTS)
    params.n_ctx = max(request.num_ctx, params.n_batch)
    params.n_seq_max = _num_slots(model)
    params.kv_unified = True
    params.embeddings = True
    params.pooling_type = pooling
    params.n_threads = params.n_threads_batch = request.num_thread or num_cores()
    params.flash_attn_type = _FLASH[request.flash_attention]
    context = native.llama_init_from_model(model, params)
    if not context:
        raise LoadFailed(
            f"llama.cpp could not make a context for vectors of {request.num_ctx} tokens",
            hint="a smaller num_ctx or num_batch needs less memory",
        )
    return context


def _num_slots(model: Any) -> int:
    has_states = native.llama_model_is_recurrent(model) or native.llama_model_is_hybrid(model)
    return _MAX_STATES if has_states else MAX_INPUTS


class LlamaEmbedder:
    """An Embedder on llama.cpp."""

    def __init__(self, request: Load, model: Any, context: Any, pooling: int) -> None:
        self._context = context
        self._memory = native.llama_get_memory(context)
        self._vocabulary = Vocabulary(model)
        self._max_batch = native.llama_n_batch(context)
        self._batch = Batch(self._max_batch)
        can_rank = pooling == native.LLAMA_POOLING_TYPE_RANK
        self._width = native.llama_model_n_cls_out(model) if can_rank else native.llama_model_n_embd_out(model)
        can_split = pooling == native.LLAMA_POOLING_TYPE_LAST and bool(self._memory)
        template = native.llama_model_chat_template(model, b"rerank") if can_rank else None
        size_bytes = native.llama_model_size(model)
        self.info = EmbedderInfo(
            num_ctx_train=native.llama_model_n_ctx_train(model),
            pool_tokens=native.llama_n_ctx(context),
            max_input=native.llama_n_ctx(context) if can_split else self._max_batch,
            max_batch=min(STEP_TOKENS, self._max_batch),
            num_slots=native.llama_n_seq_max(context),
            size_bytes=size_bytes,
            vram_bytes=int(size_bytes * gpu_share(request, model)),
            prefix=self._vocabulary.prefix,
            suffix=self._vocabulary.suffix,
            separator=self._vocabulary.separator,
            can_rank=can_rank,
            rank_template=template.decode("utf-8", "replace") if template else "",
            max_threads=1 if request.num_thread else native.llama_n_threads(context),
            bos_text=self._vocabulary.info.bos_text,
            eos_text=self._vocabulary.info.eos_text,
        )

    def tokenize(self, text: str, add_special: bool) -> list[int]:
        return self._vocabulary.tokenize(text, add_special)

    def detokenize(self, tokens: Sequence[int]) -> str:
        return self._vocabulary.detokenize(tokens)

    def embed(self, inputs: Sequence[Sequence[int]]) -> Vector:
        if len(inputs) == 1:
            self._decode_long(inputs[0])
        else:
            self._decode([Chunk(slot, 0, tokens, True) for slot, tokens in enumerate(inputs)])
        rows = [native.llama_get_embeddings_seq(self._context, slot) for slot in range(len(inputs))]
        vectors = np.stack([np.ctypeslib.as_array(row, (self._width,)) for row in rows])
        if self._memory:
            native.llama_memory_clear(self._memory, False)
        return vectors

    def _decode_long(self, tokens: Sequence[int]) -> None:
        """One input, in as many batches as it takes; more than one only where the last token is all that counts."""
        for start in range(0, len(tokens), self._max_batch):
            self._decode([Chunk(0, start, tokens[start : start + self._max_batch], True)])

    def _decode(self, chunks: Sequence[Chunk]) -> None:
        batch = self._batch.fill(chunks)
        ctypes.memset(batch.logits, 1, batch.n_tokens)  # pooling needs every token's state
        code = native.llama_decode(self._context, batch)
        if code != 0:
            raise RuntimeError(f"llama_decode failed with code {code}")

    def set_threads(self, count: int) -> None:
        native.llama_set_n_threads(self._context, count, count)
