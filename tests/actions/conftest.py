from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.gguf_files import echo_gguf, tiny_model
from fakes.served_app import Served, served, services_for, settings_for

from ollamapy.remotes.catalogue import Catalogue

CATALOGUE = """
echo:
  source: file:echo.gguf
  license: MIT
  parameters: {temperature: 0.5}
"""


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    """One model, `echo`, in a file of this machine."""
    (tmp_path / "echo.gguf").write_bytes(echo_gguf())
    (tmp_path / "catalogue.yaml").write_text(CATALOGUE)
    return Catalogue.read(tmp_path / "catalogue.yaml")


@pytest.fixture
def api(tmp_path: Path, catalogue: Catalogue) -> Iterator[Served]:
    """The application on an empty store, whose books balance at the end."""
    services = services_for(settings_for(tmp_path / "models"), catalogue)
    services.store.start()
    with served(services) as running:
        yield running
    services.store.check(contents=True)
    services.store.close()


@pytest.fixture
def tiny(api: Served) -> str:
    """The name of a small model that was created from an uploaded file."""
    api.create("tiny", files={"tiny.gguf": api.upload(tiny_model())})
    return "tiny"
