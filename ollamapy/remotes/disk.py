"""What the disk refuses, in the words of a transfer."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ollamapy.errors import StoreError


@contextlib.contextmanager
def disk_faults(path: Path) -> Iterator[None]:
    """Turns an OSError about `path` into a StoreError."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error
