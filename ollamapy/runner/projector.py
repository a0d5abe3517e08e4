"""The door to llama.cpp's image encoder (mtmd): a projector file, which turns an image into rows of vectors.

Lives in the thread that reads images, beside the loop: an encoder and a context share nothing but the weights, which
nobody writes. Must never be used by two threads.
"""

import base64
import ctypes
import io
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import llama_cpp.llama_cpp as native
import llama_cpp.mtmd_cpp as mtmd
import numpy as np
from PIL import Image

from ollamapy.cores import num_cores
from ollamapy.errors import InvalidInput, LoadFailed
from ollamapy.pictures import MAX_PIXELS
from ollamapy.runner.model import Grid, Piece, Rows
from ollamapy.runner.weights import print_log
from ollamapy.wire.runner import Load

_FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
_MARKER = b"<image>"


class LlamaProjector:
    """A projector for the llama_model `model`, which must outlive it."""

    def __init__(self, request: Load, model: Any) -> None:
        """Raises LoadFailed; llama.cpp's own reasons are on stderr."""
        mtmd.mtmd_log_set(print_log, None)
        mtmd.mtmd_helper_log_set(print_log, None)
        params = mtmd.mtmd_context_params_default()
        params.media_marker = _MARKER
        params.use_gpu = request.num_gpu != 0
        params.n_threads = request.num_thread or num_cores()
        params.print_timings = False
        params.warmup = False
        self._context = mtmd.mtmd_init_from_file(os.fsencode(request.projector), model, params)
        if not self._context:
            raise LoadFailed(
                f"llama.cpp could not load the projector {Path(request.projector).name}",
                hint="it must be made for this model: the widths of both must agree",
            )
        self._width = native.llama_model_n_embd_inp(model)
        self.has_grid = bool(mtmd.mtmd_decode_use_mrope(self._context))

    def open(self, data: str) -> "OpenedImage":
        """The image in a base64 text, scaled and cut as the model wants it. Raises InvalidInput."""
        if not mtmd.mtmd_support_vision(self._context):
            raise InvalidInput("the projector of this model sees no images")
        return OpenedImage(self._context, self._width, _pixels(data))

    def close(self) -> None:
        mtmd.mtmd_free(self._context)


class OpenedImage:
    """An image cut and scaled; owns llama.cpp's chunks of it, until the block ends."""

    def __init__(self, context: Any, width: int, pixels: "np.ndarray[Any, np.dtype[np.uint8]]") -> None:
        self._context, self._width = context, width
        self._chunks = mtmd.mtmd_input_chunks_init()
        self._split(pixels)
        self._pointers = [
            mtmd.mtmd_input_chunks_get(self._chunks, at) for at in range(mtmd.mtmd_input_chunks_size(self._chunks))
        ]
        self.pieces = tuple(map(self._piece, self._pointers))

    def _split(self, pixels: "np.ndarray[Any, np.dtype[np.uint8]]") -> None:
        height, width, _ = pixels.shape
        bitmap = mtmd.mtmd_bitmap_init(width, height, pixels.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8)))
        text = mtmd.mtmd_input_text(_MARKER, len(_MARKER), False, True)
        try:
            bitmaps = (ctypes.c_void_p * 1)(bitmap)
            code = mtmd.mtmd_tokenize(self._context, self._chunks, ctypes.byref(text), bitmaps, 1)
        finally:
            mtmd.mtmd_bitmap_free(bitmap)
        if code != 0:
            mtmd.mtmd_input_chunks_free(self._chunks)
            raise InvalidInput(f"the model cannot take an image of {width} x {height} pixels")

    def _piece(self, chunk: Any) -> Piece:
        if mtmd.mtmd_input_chunk_get_type(chunk) == mtmd.MTMD_INPUT_CHUNK_TYPE_TEXT:
            count = ctypes.c_size_t()
            tokens = mtmd.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(count))
            return Piece(tuple(tokens[: count.value]) if count.value else ())
        num_rows = mtmd.mtmd_input_chunk_get_n_tokens(chunk)
        is_causal = not mtmd.mtmd_decode_use_non_causal(self._context, chunk)
        return Piece((), num_rows, is_causal, grid=self._grid(chunk, num_rows))

    def _grid(self, chunk: Any, num_rows: int) -> Grid | None:
        if not mtmd.mtmd_decode_use_mrope(self._context):
            return None
        image = mtmd.mtmd_input_chunk_get_tokens_image(chunk)
        found = (mtmd.mtmd_image_tokens_get_decoder_pos(image, 0, row) for row in range(num_rows))
        places = np.array([(place.t, place.y, place.x, place.z) for place in found], np.int32)
        return Grid(np.ascontiguousarray(places.T), mtmd.mtmd_input_chunk_get_n_pos(chunk))

    def encode(self) -> tuple[Piece, ...]:
        """The pieces with their rows."""
        return tuple(
            replace(piece, rows=self._rows(chunk, piece)) if piece.num_rows else piece
            for chunk, piece in zip(self._pointers, self.pieces, strict=True)
        )

    def _rows(self, chunk: Any, piece: Piece) -> Rows:
        code = mtmd.mtmd_encode_chunk(self._context, chunk)
        if code != 0:
            raise RuntimeError(f"mtmd_encode_chunk failed with code {code}")
        output = mtmd.mtmd_get_output_embd(self._context)
        return np.ctypeslib.as_array(output, (piece.num_rows, self._width)).copy()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        mtmd.mtmd_input_chunks_free(self._chunks)


def _pixels(data: str) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """Height x width x 3 bytes of the first frame. Raises InvalidInput."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(data)), formats=_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise InvalidInput(f"the image has {image.width} x {image.height} pixels: {MAX_PIXELS} are allowed")
            return np.ascontiguousarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, Image.DecompressionBombError) as error:
        raise InvalidInput(f"the image is damaged: {error}", hint="send PNG, JPEG, GIF or WebP") from error
