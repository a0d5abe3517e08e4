import os
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


@pytest.fixture
def offline_pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Settings under which pip finds nothing but what lies in the folder that this answers."""
    folder = tmp_path / "links"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return folder
