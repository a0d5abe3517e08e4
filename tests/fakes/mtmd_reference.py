"""What llama.cpp's own helpers make of a prompt with an image: the model's probabilities for the token after it.

`python -m fakes.mtmd_reference MODEL PROJECTOR IMAGE BEFORE AFTER` prints the length of the prompt in tokens
and positions, the id of the likeliest token and the logarithm of its probability. A process of its own, because native
code may end it.
"""

import ctypes
import os
import sys
from io import BytesIO
from pathlib import Path

import llama_cpp.llama_cpp as native
import llama_cpp.mtmd_cpp as mtmd
import numpy as np
from PIL import Image

MARKER = b"<image>"


def main(model_path: str, projector_path: str, image_path: str, before: str, after: str) -> None:
    native.llama_backend_init()
    model = native.llama_model_load_from_file(os.fsencode(model_path), native.llama_model_default_params())
    params = native.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = 256
    context = native.llama_init_from_model(model, params)
    settings = mtmd.mtmd_context_params_default()
    settings.media_marker, settings.use_gpu, settings.warmup = MARKER, False, False
    vision = mtmd.mtmd_init_from_file(os.fsencode(projector_path), model, settings)
    pixels = np.ascontiguousarray(Image.open(BytesIO(Path(image_path).read_bytes())).convert("RGB"))
    height, width, _ = pixels.shape
    bitmap = mtmd.mtmd_bitmap_init(width, height, pixels.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8)))
    chunks = mtmd.mtmd_input_chunks_init()
    data = before.encode() + MARKER + after.encode()
    text = mtmd.mtmd_input_text(data, len(data), True, True)
    assert mtmd.mtmd_tokenize(vision, chunks, ctypes.byref(text), (ctypes.c_void_p * 1)(bitmap), 1) == 0
    past = ctypes.c_int32()
    code = mtmd.mtmd_helper_eval_chunks(vision, context, chunks, 0, 0, 256, True, ctypes.byref(past))
    assert code == 0
    num_vocab = native.llama_vocab_n_tokens(native.llama_model_get_vocab(model))
    logits = np.ctypeslib.as_array(native.llama_get_logits_ith(context, -1), (num_vocab,)).astype(np.float64)
    best = int(logits.argmax())
    print(mtmd.mtmd_helper_get_n_tokens(chunks), past.value, best, logits[best] - np.logaddexp.reduce(logits))


if __name__ == "__main__":
    main(*sys.argv[1:])
