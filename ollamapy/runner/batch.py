"""The batch that llama.cpp decodes: chunks written into arrays that are allocated once.

Must never grow while the model runs: the native side keeps pointers into the arrays.
"""

import ctypes
from collections.abc import Sequence
from typing import Any

import llama_cpp.llama_cpp as native
import numpy as np
import numpy.typing as npt

from ollamapy.runner.model import Chunk, Picture


class Batch:
    """A llama_batch over numpy arrays that are allocated once. `outputs[row]` is the batch index of a logits row."""

    def __init__(self, size: int) -> None:
        self._token = np.zeros(size, np.int32)
        self._pos = np.zeros(size, np.int32)
        self._slot = np.zeros(size, np.int32)
        self._num_slots = np.ones(size, np.int32)
        self._wants = np.zeros(size, np.int8)
        self._batch = native.llama_batch()
        self._batch.embd = None
        self._batch.token = pointer(self._token, ctypes.c_int32)
        self._batch.pos = pointer(self._pos, ctypes.c_int32)
        self._batch.n_seq_id = pointer(self._num_slots, ctypes.c_int32)
        self._batch.logits = pointer(self._wants, ctypes.c_int8)
        base, width = self._slot.ctypes.data, self._slot.itemsize
        self._slot_pointers = (ctypes.POINTER(ctypes.c_int32) * size)(
            *(ctypes.cast(base + k * width, ctypes.POINTER(ctypes.c_int32)) for k in range(size))
        )
        self._batch.seq_id = ctypes.cast(self._slot_pointers, ctypes.POINTER(ctypes.POINTER(ctypes.c_int32)))
        self.outputs: list[int] = []

    def fill(self, chunks: Sequence[Chunk]) -> Any:
        """The batch of `chunks`, one after the other."""
        at = 0
        self.outputs = []
        for chunk in chunks:
            end = at + len(chunk.tokens)
            self._token[at:end] = chunk.tokens
            self._pos[at:end] = np.arange(chunk.start, chunk.start + end - at) if end - at > 1 else chunk.start
            self._slot[at:end] = chunk.slot
            self._wants[at:end] = 0
            if chunk.wants_output:
                self._wants[end - chunk.num_outputs : end] = 1
                self.outputs.extend(range(end - chunk.num_outputs, end))
            at = end
        self._batch.n_tokens = at
        return self._batch

    def fill_rows(self, chunk: Chunk, picture: Picture) -> Any:
        """The batch of a chunk with a picture. It keeps pointers into the rows and their places."""
        end = len(picture.rows)
        self._rows = np.ascontiguousarray(picture.rows)
        self._places = _places(chunk.start, picture)
        self._slot[:end] = chunk.slot
        self._wants[:end] = 0
        self._wants[end - 1] = chunk.wants_output
        self.outputs = [end - 1] if chunk.wants_output else []
        batch = native.llama_batch.from_buffer_copy(self._batch)
        batch.n_tokens, batch.token, batch.embd = end, None, pointer(self._rows, ctypes.c_float)
        batch.pos = pointer(self._places, ctypes.c_int32)
        return batch


def _places(position: int, picture: Picture) -> npt.NDArray[np.int32]:
    """The positions of rows from `position` on; in a grid each has four parts, and llama.cpp wants all of one part
    together."""
    if picture.grid is None:
        return np.arange(position, position + len(picture.rows), dtype=np.int32)
    return np.ascontiguousarray(picture.grid.places + np.int32(position))


def pointer(array: npt.NDArray[Any], kind: Any) -> Any:
    """A ctypes pointer to the memory of `array`, which must outlive it."""
    return array.ctypes.data_as(ctypes.POINTER(kind))
