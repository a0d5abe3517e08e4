"""BERT in plain numpy, from the tensors of a safetensors file: the slow and obvious way to a vector."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_erf: Callable[[Any], Any] = np.vectorize(math.erf, otypes=[np.float64])


class Bert:
    """The model of `tensors` by their original names."""

    def __init__(self, tensors: Mapping[str, npt.NDArray[Any]], num_heads: int) -> None:
        self._tensors = tensors
        self._num_heads = num_heads
        self._num_layers = 1 + max(int(name.split(".")[2]) for name in tensors if name.startswith("encoder.layer."))

    def states(self, ids: Sequence[int]) -> Array:
        """The last hidden state of every token."""
        words, positions = self._at("embeddings.word_embeddings"), self._at("embeddings.position_embeddings")
        kinds = self._at("embeddings.token_type_embeddings")
        hidden = self._norm("embeddings.LayerNorm", words[list(ids)] + positions[: len(ids)] + kinds[0])
        for layer in range(self._num_layers):
            hidden = self._layer(f"encoder.layer.{layer}", hidden)
        return hidden

    def embed(self, ids: Sequence[int], pooling: str = "mean") -> Array:
        """One vector of length 1."""
        states = self.states(ids)
        vector: Array = {"mean": states.mean(0), "cls": states[0], "last": states[-1]}[pooling]
        return vector / np.linalg.norm(vector)

    def _layer(self, place: str, hidden: Array) -> Array:
        attended = self._linear(f"{place}.attention.output.dense", self._attention(f"{place}.attention.self", hidden))
        hidden = self._norm(f"{place}.attention.output.LayerNorm", hidden + attended)
        inner = self._linear(f"{place}.intermediate.dense", hidden)
        inner = inner * 0.5 * (1 + _erf(inner / math.sqrt(2)))
        return self._norm(f"{place}.output.LayerNorm", hidden + self._linear(f"{place}.output.dense", inner))

    def _attention(self, place: str, hidden: Array) -> Array:
        def heads(name: str) -> Array:
            flat = self._linear(f"{place}.{name}", hidden)
            return flat.reshape(len(flat), self._num_heads, -1).transpose(1, 0, 2)

        query, key, value = heads("query"), heads("key"), heads("value")
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(query.shape[-1])
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = shares / shares.sum(-1, keepdims=True) @ value
        flat: Array = mixed.transpose(1, 0, 2).reshape(hidden.shape)
        return flat

    def _linear(self, name: str, hidden: Array) -> Array:
        return hidden @ self._at(name).T + self._at(name, "bias")

    def _norm(self, name: str, hidden: Array) -> Array:
        centred = hidden - hidden.mean(-1, keepdims=True)
        scale = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        normed: Array = centred / scale * self._at(name) + self._at(name, "bias")
        return normed

    def _at(self, name: str, part: str = "weight") -> Array:
        return self._tensors[f"{name}.{part}"].astype(np.float64)
