"""Notes of how models were pulled: they hold as long as the model is what was pulled."""

from pathlib import Path

import pytest
from fakes.store_files import write_model

from ollamapy.names import ModelName
from ollamapy.store.move import move
from ollamapy.store.pulled import Pull
from ollamapy.store.store import Store

NAME = ModelName.parse("m")
PLACE = "registry.ollama.ai/library/m/latest"


@pytest.fixture
def pulled(tmp_path: Path) -> Store:
    """A store whose model `m` was pulled."""
    write_model(tmp_path / "models", PLACE)
    store = Store(tmp_path / "models")
    digest = store.manifests.read(NAME).digest
    store.pulled.note(NAME, Pull("M:latest", digest, insecure=True, from_peer="next.door"), {NAME.key})
    return store


def test_a_pull_is_remembered_across_restarts(pulled: Store) -> None:
    found = Store(pulled.layout.root).pulled.of(pulled.manifests.read(NAME))

    assert found is not None
    assert (found.model, found.insecure, found.from_peer) == ("M:latest", True, "next.door")


def test_a_model_that_was_made_anew_was_not_pulled(pulled: Store) -> None:
    write_model(pulled.layout.root, PLACE, weights=b"of my own")

    assert pulled.pulled.of(pulled.manifests.read(NAME)) is None


def test_a_copy_under_another_name_was_not_pulled(pulled: Store) -> None:
    pulled.copy(NAME, ModelName.parse("copy"))

    assert pulled.pulled.of(pulled.manifests.read(ModelName.parse("copy"))) is None


def test_models_that_are_gone_are_forgotten(pulled: Store) -> None:
    other = ModelName.parse("other")

    pulled.pulled.note(other, Pull("other", "0" * 64), {other.key})

    assert set(pulled.pulled.all()) == {other.key}


@pytest.mark.parametrize("rubbish", [b"", b"{", b'{"a": 1}', b"\xff" * 100])
def test_broken_notes_are_as_good_as_none(pulled: Store, rubbish: bytes) -> None:
    pulled.layout.pulled.write_bytes(rubbish)
    assert pulled.pulled.all() == {}

    pulled.pulled.note(NAME, Pull("m", "0" * 64), {NAME.key})

    assert set(pulled.pulled.all()) == {NAME.key}


def test_the_notes_move_with_the_models(pulled: Store, tmp_path: Path) -> None:
    before = pulled.pulled.all()

    move(pulled.layout.root, tmp_path / "new", lambda path, size: None)

    assert Store(tmp_path / "new").pulled.all() == before
    assert not pulled.layout.pulled.exists()


def test_a_disk_that_refuses_costs_the_note_and_no_more(pulled: Store, caplog: pytest.LogCaptureFixture) -> None:
    pulled.layout.pulled.unlink()
    pulled.layout.pulled.mkdir()

    pulled.pulled.note(NAME, Pull("m", "0" * 64), {NAME.key})

    assert "pull not noted" in caplog.text
