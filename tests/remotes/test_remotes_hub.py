"""Who is the hub, and what is said without its package."""

import asyncio
import sys
import time
from contextvars import copy_context
from pathlib import Path

import pytest
from fakes.store_files import tree

from ollamapy.errors import RemoteError
from ollamapy.names import ModelName
from ollamapy.remotes.base import Source
from ollamapy.remotes.hub import HubRemote, _bar, files_of, hub_faults, is_hub
from ollamapy.remotes.pace import Limiter, limits
from ollamapy.remotes.threads import Stop
from ollamapy.store.blobs import Blobs
from ollamapy.store.layout import Layout
from ollamapy.wire.native import Progress


def test_the_hub_is_its_own_hosts_and_the_mirror_in_its_place() -> None:
    assert is_hub("hf.co", "")
    assert is_hub("HuggingFace.co", "")
    assert is_hub("mirror:80", "http://mirror:80")
    assert not is_hub("registry.example", "http://mirror:80")
    assert not is_hub("", "")


def test_without_the_package_the_error_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    name = ModelName.parse("hf.co/org/repo")

    with pytest.raises(RemoteError) as unlisted:
        asyncio.run(files_of(name))
    with pytest.raises(RemoteError) as unfetched:
        asyncio.run(HubRemote(name, "m.gguf").fetch(Blobs(Layout(tmp_path)), lambda progress: None))

    assert "pip install 'ollamapy[hf]'" in unlisted.value.hint
    assert unfetched.value.hint == unlisted.value.hint
    assert not tree(tmp_path)


def test_a_limit_holds_for_what_the_package_downloads() -> None:
    pytest.importorskip("huggingface_hub.utils")
    hub = pytest.importorskip("huggingface_hub")
    lines: list[Progress] = []

    def download() -> float:
        limits.set((Limiter(rate=1000),))
        bar = _bar(hub, Source("hub", "org/repo", "m.gguf"), lines.append, Stop())(total=300)
        start = time.monotonic()
        bar.update(300)
        return time.monotonic() - start

    assert copy_context().run(download) >= 0.3
    assert (lines[-1].completed, lines[-1].total) == (300, 300)


def test_a_hub_that_cannot_be_reached_is_an_error_in_words() -> None:
    with pytest.raises(RemoteError, match="the hub could not be asked"), hub_faults() as hub:
        hub.utils.get_session().get("http://127.0.0.1:1")
