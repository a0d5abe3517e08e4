"""Choosing tokens: native sampler chains, alone or under a grammar, over the logits of the last step.

Owns the chains of llama.cpp and frees them. Must never touch the KV pool or decode.
"""

import ctypes
import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import llama_cpp.llama_cpp as native
import numpy as np
import numpy.typing as npt

from ollamapy.errors import InvalidInput
from ollamapy.runner.batch import Batch, pointer
from ollamapy.runner.beginnings import Beginnings, Tokens

MAX_TOKEN_SECONDS = 2.0
"""CPU time to hold one token to a grammar; a hundred times what it usually takes."""
_NUM_KEPT = 8
_MAX_TOKEN_BYTES = 256

Narrow = Callable[[Tokens, Callable[[Tokens], Tokens]], Tokens]
"""What `Beginnings.narrowed` does."""


class Logits:
    """The logits of the last step. Row k belongs to the batch's k-th output."""

    def __init__(self, context: Any, batch: Batch, num_vocab: int) -> None:
        self._context = context
        self._batch = batch
        self.num_vocab = num_vocab

    def row(self, row: int) -> npt.NDArray[np.float32]:
        """A copy of one row, shape (vocabulary,)."""
        values = native.llama_get_logits_ith(self._context, self._batch.outputs[row])
        return np.ctypeslib.as_array(values, (self.num_vocab,)).copy()

    def sample(self, chain: Any, row: int) -> int:
        """The token that `chain` picks from one row; the chain remembers it."""
        return int(native.llama_sampler_sample(chain, self._context, self._batch.outputs[row]))


class LlamaSampler:
    """A native sampler chain of one sequence."""

    def __init__(self, logits: Logits, chain: Any) -> None:
        self._logits = logits
        self._chain = chain

    def sample(self, row: int) -> int:
        return self._logits.sample(self._chain, row)

    def choose_free(self, row: int) -> int:
        return _pick(self._chain, _candidates(self._logits.row(row)))

    def accept_free(self, token: int) -> None:
        native.llama_sampler_accept(self._chain, token)

    def close(self) -> None:
        if self._chain:
            native.llama_sampler_free(self._chain)
            self._chain = None


class GrammarSampler:
    """A sampler chain whose choice must follow a grammar.

    A token is chosen without the grammar first, because asking it about one token is cheap; only if it says no, it is
    asked about all that `narrow` leaves, and the choice is made again. llama.cpp ends the process when it must take a
    token that the grammar refuses, so it never gets one.
    """

    def __init__(
        self, logits: Logits, chain: Any, grammar: Any, allowed: npt.NDArray[np.bool_], narrow: Narrow
    ) -> None:
        self._logits = logits
        self._chain = chain
        self._grammar = grammar
        self._allowed = allowed
        self._narrow = narrow

    def sample(self, row: int) -> int:
        started = time.thread_time()
        token = self._choose(row)
        native.llama_sampler_accept(self._chain, token)
        native.llama_sampler_accept(self._grammar, token)
        if time.thread_time() - started > MAX_TOKEN_SECONDS:
            raise InvalidInput("the grammar is too ambiguous: it takes too long to follow")
        return token

    def choose_free(self, row: int) -> int:
        return _pick(self._chain, _candidates(self._logits.row(row)))

    def accept_free(self, token: int) -> None:
        native.llama_sampler_accept(self._chain, token)

    def _choose(self, row: int) -> int:
        logits = self._logits.row(row)
        token = _pick(self._chain, _candidates(logits))
        if self._allowed[token] and self._permitted(_candidates(logits[[token]], [token])).size:
            return token
        tokens = self._narrow(
            np.flatnonzero(self._allowed), lambda asked: self._permitted(_candidates(logits[asked], asked))["id"]
        )
        candidates = self._permitted(_candidates(logits[tokens], tokens))
        if not candidates.size:
            raise InvalidInput("the model has no token with which the grammar can go on")
        return _pick(self._chain, candidates)

    def _permitted(self, candidates: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
        """Those of the candidates that the grammar allows next."""
        native.llama_sampler_apply(self._grammar, ctypes.byref(_data_array(candidates)))
        kept: npt.NDArray[np.void] = candidates[np.isfinite(candidates["logit"])]
        return kept

    def close(self) -> None:
        if self._chain:
            native.llama_sampler_free(self._chain)
            native.llama_sampler_free(self._grammar)
            self._chain = self._grammar = None


class Grammars:
    """Native grammars by the digest of their text: one that comes again is copied, which is faster than reading it.

    The least recently used goes when there are more than a few. The vocabulary is read in a thread, from the first
    grammar on: it takes as long as many steps, and only makes choices faster.
    """

    def __init__(self, vocab: Any) -> None:
        self._vocab = vocab
        self._kept: OrderedDict[bytes, Any] = OrderedDict()
        self._beginnings: Beginnings | None = None
        self._reader: threading.Thread | None = None

    def make(self, text: str, root: str) -> Any:
        """A native grammar of the caller's own, at its beginning. Raises InvalidInput for a text that is none."""
        if not self._reader:
            self._reader = threading.Thread(target=self._read_vocabulary, daemon=True)
            self._reader.start()
        data, start = text.encode("utf-8", "replace"), root.encode()
        digest = hashlib.sha256(start + b"\n" + data).digest()
        grammar = self._kept.pop(digest, None) or native.llama_sampler_init_grammar(self._vocab, data, start)
        if not grammar:
            raise InvalidInput("llama.cpp cannot read the grammar")
        self._kept[digest] = grammar
        if len(self._kept) > _NUM_KEPT:
            native.llama_sampler_free(self._kept.popitem(last=False)[1])
        return native.llama_sampler_clone(grammar)

    def narrow(self, tokens: Tokens, permitted: Callable[[Tokens], Tokens]) -> Tokens:
        """`tokens` without most of those that the grammar must refuse."""
        return self._beginnings.narrowed(tokens, permitted) if self._beginnings else tokens

    def _read_vocabulary(self) -> None:
        self._beginnings = Beginnings(_texts(self._vocab))

    def close(self) -> None:
        if self._reader:
            self._reader.join()
        while self._kept:
            native.llama_sampler_free(self._kept.popitem()[1])


_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


def _candidates(logits: npt.NDArray[np.float32], tokens: npt.ArrayLike | None = None) -> npt.NDArray[np.void]:
    """An array of llama_token_data; without `tokens` the whole vocabulary."""
    candidates = np.zeros(len(logits), _CANDIDATE)
    candidates["id"] = np.arange(len(logits)) if tokens is None else tokens
    candidates["logit"] = logits
    return candidates


def _data_array(candidates: npt.NDArray[np.void]) -> Any:
    """A llama_token_data_array over memory that `candidates` owns."""
    return native.llama_token_data_array(
        data=pointer(candidates, native.llama_token_data), size=len(candidates), selected=-1, sorted=False
    )


def _texts(vocab: Any) -> list[bytes]:
    """What a grammar reads of each token: control tokens are written out.

    Nothing of those that end an answer, which it does not read, and of very long ones, which is safe.
    """
    buffer = ctypes.create_string_buffer(_MAX_TOKEN_BYTES)
    texts = []
    for token in range(native.llama_vocab_n_tokens(vocab)):
        is_end = native.llama_vocab_is_eog(vocab, token)  # which a grammar takes by what it is, not by its text
        count = 0 if is_end else native.llama_token_to_piece(vocab, token, buffer, _MAX_TOKEN_BYTES, 0, True)
        is_end = native.llama_vocab_is_eog(vocab, token)
        texts.append(b"" if is_end else buffer.raw[: max(count, 0)])
    return texts


def _pick(chain: Any, candidates: npt.NDArray[np.void]) -> int:
    """What `chain` chooses among the candidates; it does not remember it."""
    data = _data_array(candidates)
    native.llama_sampler_apply(chain, ctypes.byref(data))
    return int(data.data[data.selected].id)
