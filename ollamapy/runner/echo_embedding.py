"""Vectors by the echo engine: how often each byte comes, in sixteen classes. Needs no weights; for tests."""

from collections.abc import Callable, Sequence

import numpy as np

from ollamapy.runner import echo
from ollamapy.runner.embedding import EmbedderInfo, Vector
from ollamapy.wire.runner import Load

WIDTH = 16


def load(request: Load, on_progress: Callable[[float], None]) -> "EchoEmbedder":
    """Loads the echo model that the file at `request.path` describes. Raises LoadFailed."""
    return EchoEmbedder(echo.load(request, on_progress), request)


class EchoEmbedder:
    """An Embedder that counts."""

    def __init__(self, model: echo.EchoModel, request: Load) -> None:
        self._model = model
        self.info = EmbedderInfo(
            num_ctx_train=model.info.num_ctx_train,
            pool_tokens=request.pool_tokens,
            max_input=request.num_batch,
            max_batch=request.num_batch,
            num_slots=request.num_parallel,
            size_bytes=model.info.size_bytes,
        )

    def tokenize(self, text: str, add_special: bool) -> list[int]:
        return self._model.tokenize(text, add_special)

    def detokenize(self, tokens: Sequence[int]) -> str:
        return self._model.detokenize(tokens)

    def embed(self, inputs: Sequence[Sequence[int]]) -> Vector:
        counts = [np.bincount(np.array(tokens) % WIDTH, minlength=WIDTH) for tokens in inputs]
        return np.stack(counts).astype(np.float32)

    def set_threads(self, count: int) -> None:
        """Nothing to do: there is one."""
