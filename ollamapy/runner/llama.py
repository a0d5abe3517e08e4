"""The llama.cpp engine: one model, one context, one unified KV pool.

Lives in runner processes only: an assertion or a crash in native code ends this process and no other.
Arrays of the batch are allocated once; samplers are native, so nothing here costs time per vocabulary entry.
"""

import ctypes
import math
import os
from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import llama_cpp
import llama_cpp.llama_cpp as native
import numpy as np
import numpy.typing as npt

from ollamapy.errors import InvalidInput, LoadFailed
from ollamapy.runner.abort import Abort
from ollamapy.runner.batch import Batch, pointer
from ollamapy.runner.chain import Chains
from ollamapy.runner.context import can_cut, idle_cells, kv_bytes, num_parallel, open_context
from ollamapy.runner.infill import Marks
from ollamapy.runner.model import Chunk, Decoded, ModelInfo, Projector
from ollamapy.runner.sampler import Grammars, GrammarSampler, LlamaSampler, Logits
from ollamapy.runner.vocabulary import marks_of, tokens_of
from ollamapy.runner.weights import gpu_share, open_model
from ollamapy.wire.runner import Generate, Load, TokenLogprob

_ABORTED = 2


def load(request: Load, on_progress: Callable[[float], None]) -> "LlamaModel":
    """Loads the GGUF file at `request.path`. Raises LoadFailed; llama.cpp's own reasons are on stderr."""
    model = open_model(request, on_progress)
    try:
        projector = _open_projector(request, model)
        return LlamaModel(request, model, open_context(request, model), projector)
    except LoadFailed:
        native.llama_model_free(model)
        raise


class LlamaModel:
    """A Model on llama.cpp."""

    def __init__(self, request: Load, model: Any, context: Any, projector: Projector | None = None) -> None:
        self.projector = projector
        self._model = model
        self._context = context
        self._vocab = native.llama_model_get_vocab(model)
        self._memory = native.llama_get_memory(context)
        self._num_vocab = native.llama_vocab_n_tokens(self._vocab)
        if request.adapters:
            self._apply_adapters(request.adapters)
        self.info = self._describe(request)
        self._batch = Batch(native.llama_n_batch(context))
        self._logits = Logits(context, self._batch, self._num_vocab)
        self._chains = Chains(self._vocab)
        self._abort = Abort(context)
        self._grammars = Grammars(self._vocab)
        self._pieces: dict[int, bytes] = {}
        self._warm_up()

    def _describe(self, request: Load) -> ModelInfo:
        context, model = self._context, self._model
        pool_tokens = native.llama_n_ctx(context)
        size_bytes = native.llama_model_size(model) + kv_bytes(model, pool_tokens, request.kv_type)
        size_bytes += Path(request.projector).stat().st_size if request.projector else 0
        on_gpu = gpu_share(request, model)
        cuts = can_cut(model) and not (self.projector and self.projector.has_grid)
        bos, eos = native.llama_vocab_bos(self._vocab), native.llama_vocab_eos(self._vocab)
        return ModelInfo(
            num_ctx_train=native.llama_model_n_ctx_train(model),
            pool_tokens=pool_tokens,
            num_parallel=num_parallel(request, model),
            num_slots=native.llama_n_seq_max(context) - int(cuts),
            identity=_identity(request, cuts),
            max_batch=native.llama_n_batch(context),
            size_bytes=size_bytes,
            vram_bytes=int(size_bytes * on_gpu),
            can_shift=bool(self._memory) and native.llama_memory_can_shift(self._memory),
            can_cut=cuts,
            idle_cells=None if on_gpu else idle_cells(model, native.llama_model_size(model)),
            mixes=on_gpu > 0,
            adds_bos=native.llama_vocab_get_add_bos(self._vocab),
            max_threads=1 if request.num_thread else native.llama_n_threads(context),
            bos_text=self._special_text(bos),
            eos_text=self._special_text(eos),
        )

    def _special_text(self, token: int) -> str:
        return self._raw_piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""

    def _apply_adapters(self, paths: Sequence[str]) -> None:
        adapters = [native.llama_adapter_lora_init(self._model, os.fsencode(path)) for path in paths]
        for path, adapter in zip(paths, adapters, strict=True):
            if not adapter:
                raise LoadFailed(f"llama.cpp could not load the adapter {Path(path).name}")
        array = (native.llama_adapter_lora_p_ctypes * len(adapters))(*adapters)
        scales = (ctypes.c_float * len(adapters))(*[1.0] * len(adapters))
        if native.llama_set_adapters_lora(self._context, array, len(adapters), scales) != 0:
            raise LoadFailed("llama.cpp could not apply the adapters")

    def _warm_up(self) -> None:
        """One token through the graph, so that the first request does not pay for page faults and set-up."""
        token = max(native.llama_vocab_bos(self._vocab), 0)
        self.decode([Chunk(0, 0, [token], True)])
        native.llama_memory_clear(self._memory, True)

    # Text

    def tokenize(self, text: str, add_special: bool) -> list[int]:
        info = getattr(self, "info", None)
        if info and add_special and info.adds_bos and info.bos_text and text.startswith(info.bos_text):
            text = text.removeprefix(info.bos_text)
        return tokens_of(self._vocab, text, add_special=add_special)

    def tokenize_plain(self, text: str) -> list[int]:
        return tokens_of(self._vocab, text, is_parsed=False)

    @cached_property
    def marks(self) -> Marks:
        return marks_of(self._vocab)

    def detokenize(self, tokens: Sequence[int]) -> str:
        valid = [token for token in tokens if 0 <= token < self._num_vocab]
        return b"".join(self._raw_piece(token, special=True) for token in valid).decode("utf-8", "replace")

    def piece(self, token: int) -> bytes:
        piece = self._pieces.get(token)
        if piece is None:
            piece = self._pieces[token] = self._raw_piece(token, special=False)
        return piece

    def _raw_piece(self, token: int, *, special: bool) -> bytes:
        size = 64
        buffer = ctypes.create_string_buffer(size)
        count = native.llama_token_to_piece(self._vocab, token, buffer, size, 0, special)
        if count < 0:
            buffer = ctypes.create_string_buffer(-count)
            count = native.llama_token_to_piece(self._vocab, token, buffer, -count, 0, special)
        return buffer.raw[:count]

    def is_end(self, token: int) -> bool:
        return bool(native.llama_vocab_is_eog(self._vocab, token))

    def words(self) -> list[bytes]:
        return [self._raw_piece(token, special=True) for token in range(self._num_vocab)]

    # Steps

    def decode(self, chunks: Sequence[Chunk]) -> Decoded:
        picture = chunks[0].picture
        if picture is None:
            code = native.llama_decode(self._context, self._batch.fill(chunks))
        else:
            native.llama_set_causal_attn(self._context, picture.is_causal)
            code = native.llama_decode(self._context, self._batch.fill_rows(chunks[0], picture))
            native.llama_set_causal_attn(self._context, True)
        if code == _ABORTED:
            self._abort.release()
            return Decoded.ABORTED
        if code == 0:
            return Decoded.OK
        if code == 1:
            return Decoded.NO_ROOM
        raise RuntimeError(f"llama_decode failed with code {code}")

    def abort(self) -> None:
        self._abort.pull()

    def sampler(
        self,
        request: Generate,
        num_ctx: int,
        prompt: Sequence[int],
        specials: Collection[int] = (),
    ) -> LlamaSampler | GrammarSampler:
        chain = self._chains.make(request.options, num_ctx, prompt)
        if not request.grammar:
            return LlamaSampler(self._logits, chain)
        try:
            grammar = self._grammars.make(request.grammar, request.grammar_root)
        except InvalidInput:
            native.llama_sampler_free(chain)
            raise
        allowed = self._speakable.copy()
        allowed[list(specials)] = True
        return GrammarSampler(self._logits, chain, grammar, allowed, self._grammars.narrow)

    @cached_property
    def _speakable(self) -> npt.NDArray[np.bool_]:
        """Which tokens add text to an answer or end it: a grammar must not take control tokens for their names."""
        silent = native.LLAMA_TOKEN_ATTR_CONTROL | native.LLAMA_TOKEN_ATTR_UNKNOWN
        return np.array(
            [
                not native.llama_vocab_get_attr(self._vocab, token) & silent or self.is_end(token)
                for token in range(self._num_vocab)
            ]
        )

    def logits(self, row: int) -> npt.NDArray[np.float32]:
        """A copy of logits row `row`, shape (vocabulary,)."""
        return self._logits.row(row)

    def logprob(self, row: int, token: int, num_top: int) -> TokenLogprob:
        """Of the model's own probabilities, which no option has touched."""
        logits = self.logits(row)
        highest = logits.max()
        log_sum = float(highest) + math.log(float(np.exp(logits - highest).sum(dtype=np.float64)))
        best = np.argpartition(logits, -num_top)[-num_top:] if num_top else np.empty(0, np.int64)
        top = sorted(best.tolist(), key=lambda index: -logits[index])
        named = tuple(self._named(index, float(logits[index]) - log_sum) for index in top)
        return self._named(token, float(logits[token]) - log_sum, named)

    def likeliest(self, row: int) -> tuple[int, float]:
        logits = self.logits(row)
        token = int(logits.argmax())
        return token, 1.0 / float(np.exp(logits - logits[token]).sum(dtype=np.float64))

    def _named(self, token: int, logprob: float, top: tuple[TokenLogprob, ...] = ()) -> TokenLogprob:
        data = self._raw_piece(token, special=True)
        return TokenLogprob(data.decode("utf-8", "replace"), logprob, tuple(data), top)

    def set_threads(self, count: int) -> None:
        native.llama_set_n_threads(self._context, count, count)

    # Memory

    def remove(self, slot: int, start: int, end: int) -> bool:
        return bool(native.llama_memory_seq_rm(self._memory, slot, start, end))

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        native.llama_memory_seq_cp(self._memory, source, target, start, end)

    def save(self, slot: int, start: int, end: int) -> bytes:
        if not self.info.can_cut:
            return self._state(slot)
        self.copy(slot, self._spare, start, end)
        data = self._state(self._spare)
        self.remove(self._spare, 0, -1)
        return data

    def _state(self, slot: int) -> bytes:
        data = np.empty(native.llama_state_seq_get_size(self._context, slot), np.uint8)
        size = native.llama_state_seq_get_data(self._context, pointer(data, ctypes.c_uint8), data.size, slot)
        return data[:size].tobytes()

    def restore(self, slot: int, start: int, end: int, data: bytes) -> bool:
        if not self.info.can_cut:
            return self._set_state(slot, data)
        is_done = self._set_state(self._spare, data)
        if is_done:
            self.copy(self._spare, slot, start, end)
        self.remove(self._spare, 0, -1)
        return is_done

    def _set_state(self, slot: int, data: bytes) -> bool:
        source = np.frombuffer(data, np.uint8)
        return bool(native.llama_state_seq_set_data(self._context, pointer(source, ctypes.c_uint8), source.size, slot))

    @property
    def _spare(self) -> int:
        """A slot that only `save` and `restore` use: llama.cpp reads and writes the state of whole sequences."""
        return self.info.num_slots

    def move(self, slot: int, start: int, end: int, delta: int) -> None:
        native.llama_memory_seq_add(self._memory, slot, start, end, delta)

    def close(self) -> None:
        self._grammars.close()
        if self.projector:
            self.projector.close()
        native.llama_free(self._context)
        native.llama_model_free(self._model)


def _open_projector(request: Load, model: Any) -> Projector | None:
    """Imported here alone: the image libraries take memory that no other runner needs."""
    if not request.projector:
        return None
    projector: Projector = import_module("ollamapy.runner.projector").LlamaProjector(request, model)
    return projector


def _identity(request: Load, cuts: bool) -> str:
    """What decides, besides the weights, what the bytes of a saved state mean."""
    parts = "" if cuts else " whole"
    return f"llama {llama_cpp.__version__} {request.kv_type} flash {request.flash_attention}{parts}"
