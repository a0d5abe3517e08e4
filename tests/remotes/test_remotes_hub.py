"""Which file of a repository a tag means, and who is the hub."""

import asyncio
import sys
from pathlib import Path

import pytest
from fakes.store_files import tree

from ollamapy.errors import RemoteError
from ollamapy.names import ModelName
from ollamapy.remotes.hub import HubRemote, choose, is_hub
from ollamapy.store.blobs import Blobs
from ollamapy.store.layout import Layout

FILES = ["README.md", "m-Q8_0.gguf", "m-Q4_K_M.gguf", "mmproj-m-f16.gguf", "big/m-f16-00001-of-00002.gguf"]


@pytest.mark.parametrize(
    ("files", "tag", "file"),
    [
        (FILES, "latest", "m-Q4_K_M.gguf"),
        (FILES, "q8_0", "m-Q8_0.gguf"),
        (["b-IQ2.gguf", "a-Q5_0.gguf"], "latest", "a-Q5_0.gguf"),
    ],
)
def test_a_tag_is_a_quantization_and_the_usual_one_is_preferred(files: list[str], tag: str, file: str) -> None:
    assert choose(files, tag) == file


@pytest.mark.parametrize(
    ("files", "tag", "said"),
    [
        (FILES, "Q2_K", "no GGUF file for Q2_K"),
        (["x.safetensors"], "latest", "no GGUF"),
        (FILES, "f16", "several parts"),
    ],
)
def test_what_cannot_be_used_is_an_error(files: list[str], tag: str, said: str) -> None:
    with pytest.raises(RemoteError, match=said):
        choose(files, tag)


def test_the_hub_is_its_own_hosts_and_the_mirror_in_its_place() -> None:
    assert is_hub("hf.co", "")
    assert is_hub("HuggingFace.co", "")
    assert is_hub("mirror:80", "http://mirror:80")
    assert not is_hub("registry.example", "http://mirror:80")
    assert not is_hub("", "")


def test_without_the_package_the_error_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    remote = HubRemote(ModelName.parse("hf.co/org/repo"))

    with pytest.raises(RemoteError) as caught:
        asyncio.run(remote.fetch(Blobs(Layout(tmp_path)), lambda progress: None))

    assert "pip install 'ollamapy[hf]'" in caught.value.hint
    assert not tree(tmp_path)
