from collections.abc import Iterator
from pathlib import Path

import pytest

from ollamapy.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A model directory of its own, whose books balance at the end."""
    store = Store(tmp_path / "models")
    store.start()
    yield store
    store.check(contents=True)
    store.close()
