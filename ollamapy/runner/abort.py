"""A switch that llama.cpp looks at between the nodes of a graph, on CPU. Any thread may pull it.

The look must not cost a turn of Python's lock a thousand times a step, so it is made by the C library: `strlen` of a
buffer that is empty, or holds one character when the step is to end.
"""

import ctypes
from typing import Any

import llama_cpp.llama_cpp as native


class Abort:
    """The switch of one context, which must not outlive it."""

    def __init__(self, context: Any) -> None:
        self._text = ctypes.create_string_buffer(2)
        look = ctypes.cast(ctypes.CDLL(None).strlen, native.ggml_abort_callback)
        native.llama_set_abort_callback(context, look, ctypes.cast(self._text, ctypes.c_void_p))

    def pull(self) -> None:
        """Ends the step that runs, or else the next one."""
        self._text.value = b"x"

    def release(self) -> None:
        self._text.value = b""
