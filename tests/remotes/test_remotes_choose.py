"""Which files of a repository a tag means."""

import pytest

from ollamapy.errors import RemoteError
from ollamapy.remotes.choose import choose

FILES = ["README.md", "m-Q8_0.gguf", "m-Q4_K_M.gguf", "mmproj-m-f16.gguf", "big/m-f16-00001-of-00002.gguf"]
FILES += ["big/m-f16-00002-of-00002.gguf", "Q3_K/m-00001-of-00002.gguf"]


@pytest.mark.parametrize(
    ("files", "tag", "chosen"),
    [
        (FILES, "latest", ("m-Q4_K_M.gguf",)),
        (FILES, "q8_0", ("m-Q8_0.gguf",)),
        (["b-IQ2.gguf", "a-Q5_0.gguf"], "latest", ("a-Q5_0.gguf",)),
        (FILES, "f16", ("big/m-f16-00001-of-00002.gguf", "big/m-f16-00002-of-00002.gguf")),
    ],
)
def test_a_tag_is_a_quantization_and_the_usual_one_is_preferred(
    files: list[str], tag: str, chosen: tuple[str, ...]
) -> None:
    assert choose(files, tag) == chosen


@pytest.mark.parametrize(
    ("files", "tag", "said"),
    [
        (FILES, "Q2_K", "no GGUF file for Q2_K"),
        (["x.safetensors"], "latest", "no GGUF"),
        (FILES, "q3_k", "one of 2 parts, and Q3_K/m-00002-of-00002.gguf is missing"),
    ],
)
def test_what_cannot_be_used_is_an_error(files: list[str], tag: str, said: str) -> None:
    with pytest.raises(RemoteError, match=said):
        choose(files, tag)
