"""What of a ModelScope repository a name means."""

import hashlib
import json

import pytest
from fakes.modelscope_server import ModelScopeServer

from ollamapy.errors import RemoteError
from ollamapy.names import Digest, ModelName
from ollamapy.remotes.base import Source
from ollamapy.remotes.find import parse_wanted
from ollamapy.remotes.modelscope import is_modelscope, sources_of

FILES = {
    "README.md": b"x",
    "a b-Q8_0.gguf": b"weights",
    "Q2/m-00001-of-00002.gguf": b"1",
    "Q2/m-00002-of-00002.gguf": b"2",
}


def of(tag: str) -> list[Source]:
    return sources_of(ModelScopeServer.listing(FILES), "https://modelscope.cn", "org/repo", tag)


def test_a_tag_is_a_file_with_size_and_digest() -> None:
    digest = Digest(hashlib.sha256(b"weights").hexdigest())
    location = "https://modelscope.cn/models/org/repo/resolve/master/a%20b-Q8_0.gguf"

    assert of("q8_0") == [Source("url", location, digest=digest, size=7)]


def test_all_parts_of_a_model_are_meant() -> None:
    assert [source.filename for source in of("Q2")] == ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"]


@pytest.mark.parametrize(
    ("listing", "said"),
    [
        (b"<html>", "cannot be read"),
        (b'{"Data":{"Files":3}}', "cannot be read"),
        (b'{"Code":404,"Message":"no such model","Data":null}', "ModelScope says: no such model"),
        (b"{}", "ModelScope says: no files"),
        (b'{"Data":{"Files":[]}}', "no GGUF file"),
        (json.dumps({"Data": {"Files": [{"Path": "a.gguf", "Sha256": "../x"}]}}).encode(), "as a sha256"),
    ],
)
def test_answers_that_say_something_else_are_errors(listing: bytes, said: str) -> None:
    with pytest.raises(RemoteError, match=said):
        sources_of(listing, "https://modelscope.cn", "org/repo", "latest")


def test_modelscope_has_several_hosts_and_a_short_scheme() -> None:
    assert all(is_modelscope(host, "") for host in ("modelscope.cn", "www.ModelScope.cn"))
    assert is_modelscope("mirror:80", "mirror:80")
    assert not is_modelscope("hf.co", "")
    assert not is_modelscope("", "")
    assert parse_wanted("ms://org/repo:Q8_0") == ModelName.parse("modelscope.cn/org/repo:Q8_0")
