"""A runner whose engine prints to descriptor 1, as native libraries do, has no tokens for "???" and breaks on "!".

It also has a control token.
"""

import os
from collections.abc import Callable, Sequence

from ollamapy.runner import __main__ as runner
from ollamapy.runner import session
from ollamapy.runner.echo import EchoModel
from ollamapy.runner.model import Chunk, Decoded
from ollamapy.wire.runner import Load

CONTROL_TEXT = "<tool>"
"""The text of token 1, which adds nothing to an answer by itself."""


class NoisyModel(EchoModel):
    def tokenize(self, text: str, add_special: bool) -> list[int]:
        if "???" in text:
            raise RuntimeError("no tokens for ???")
        return super().tokenize(text.replace(CONTROL_TEXT, "\x01"), add_special)

    def piece(self, token: int) -> bytes:
        return b"" if token == 1 else super().piece(token)

    def decode(self, chunks: Sequence[Chunk]) -> Decoded:
        os.write(1, b"native noise in decode\n")
        if any(ord("!") in chunk.tokens for chunk in chunks):
            raise RuntimeError("llama_decode failed with code -3")
        return super().decode(chunks)


def load(request: Load, on_progress: Callable[[float], None]) -> NoisyModel:
    os.write(1, b"native noise in load\n")
    print("Python noise in load", flush=True)
    return NoisyModel(request, {}, "")


if __name__ == "__main__":
    session.LOADERS["echo", "generate"] = "__main__"
    runner.run()
