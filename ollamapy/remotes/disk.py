"""What the disk refuses, in the words of a transfer."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from ollamapy.errors import StoreError

_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextlib.contextmanager
def disk_faults(path: Path) -> Iterator[None]:
    """Turns an OSError about `path` into a StoreError."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            hint = "what came stays: free some space and go on, or let OLLAMA_MODELS name a folder on a larger disk"
            raise StoreError(f"cannot write {path}: no space left on the disk", hint=hint) from error
        raise StoreError(f"cannot write {path}: {error.strerror}") from error
