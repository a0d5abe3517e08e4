"""The conversion child: `python -m ollamapy.weights.convert`. Speaks `wire/convert.py`, converts one model, ends.

A second thread watches stdin: when the parent goes, so does this process.
"""

import os
import sys
import threading
from pathlib import Path
from typing import BinaryIO

from ollamapy.errors import Error
from ollamapy.weights.convert import bert
from ollamapy.weights.convert.folder import Folder
from ollamapy.wire.convert import Converted, ConvertFailed, Event, encode, request_decoder


def main() -> None:
    """Answers the one request on stdin."""
    writer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    line = sys.stdin.buffer.readline()
    if not line:
        return
    request = request_decoder.decode(line)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        bert.convert(Folder(Path(request.folder)), Path(request.output))
        _send(writer, Converted())
    except Error as error:
        _send(writer, ConvertFailed(error.message, error.hint))
    os._exit(0)  # the other thread may hold stdin


def _send(writer: BinaryIO, event: Event) -> None:
    writer.write(encode(event) + b"\n")
    writer.flush()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    main()
