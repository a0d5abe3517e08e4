"""Which local files a value of FROM, ADAPTER or DRAFT stands for."""

import getpass
import os
from pathlib import Path

import pytest

from ollamapy.errors import InvalidInput
from ollamapy.modelfile.files import Found, choose_files, common_keys, content_type, find_local, resolve_path

GGUF = b"GGUF\x03\x00\x00\x00"
ZIP = b"PK\x03\x04"
POINTER = b"version https://git-lfs.github.com/spec/v1\n"


def named(folder: Path, contents: dict[str, bytes]) -> Path:
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def chosen(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in choose_files(folder)]


def refusal(folder: Path) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        choose_files(folder)
    return caught.value


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("/abs/x", "/abs/x"),
        ("/abs/../x", "/x"),
        ("x", "/here/x"),
        ("./x/../y", "/here/y"),
        ("../x", "/x"),
        (".", "/here"),
        ("", "/here"),
        ("a:b", "/here/a:b"),
        ("~", "/home/me"),
        ("~/x", "/home/me/x"),
        ("~/../x", "/home/x"),
    ],
)
def test_a_value_becomes_a_path(value: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")

    assert resolve_path(value, Path("/here")) == Path(path)


def test_a_backslash_in_front_is_not_below_the_modelfiles_folder() -> None:
    assert not resolve_path("\\share\\x", Path("/here")).is_relative_to("/here")


def test_a_relative_folder_gives_an_absolute_path() -> None:
    assert resolve_path("x", Path("sub")) == Path.cwd() / "sub" / "x"


def test_the_home_of_another_user_is_found_by_name() -> None:
    user = getpass.getuser()

    assert resolve_path(f"~{user}/x", Path("/here")) == Path(os.path.expanduser(f"~{user}")) / "x"


def test_an_unknown_user_is_an_error() -> None:
    with pytest.raises(InvalidInput) as caught:
        resolve_path("~no-such-user-here/x", Path("/here"))

    assert str(caught.value).startswith("failed to find user 'no-such-user-here': ")


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    assert find_local("x", tmp_path) == Found(tmp_path / "x")


def test_a_file_stands_for_itself_whatever_it_holds(tmp_path: Path) -> None:
    named(tmp_path, {"x": b"text"})

    assert find_local("x", tmp_path) == Found(tmp_path / "x", (tmp_path / "x",))


def test_a_link_to_a_file_keeps_its_own_name(tmp_path: Path) -> None:
    named(tmp_path, {"real/y.gguf": GGUF, "here/keep": b""})
    (tmp_path / "here/x.gguf").symlink_to(tmp_path / "real/y.gguf")

    assert find_local("x.gguf", tmp_path / "here").files == (tmp_path / "here/x.gguf",)


def test_a_path_through_a_file_is_reported(tmp_path: Path) -> None:
    """As Ollama does: only "does not exist" makes a value a model name."""
    named(tmp_path, {"hf.co": b""})

    with pytest.raises(InvalidInput) as caught:
        find_local("hf.co/org/m", tmp_path)

    assert str(caught.value) == f"stat {tmp_path}/hf.co/org/m: not a directory"


def test_a_pipe_is_neither_a_file_nor_a_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(InvalidInput, match="neither a file nor a folder"):
        find_local("pipe", tmp_path)


ORDER = [
    {"model.safetensors": b"x"},
    {"consolidated.safetensors": b"x"},
    {"pytorch_model.bin": ZIP},
    {"consolidated.pth": ZIP},
    {"x.gguf": GGUF},
    {"x.bin": GGUF},
]


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_the_first_kind_of_weights_that_is_there_is_chosen(tmp_path: Path, first: int) -> None:
    for contents in ORDER[first:]:
        named(tmp_path, contents)

    assert chosen(tmp_path) == list(ORDER[first])


@pytest.mark.parametrize("skipped", range(2, len(ORDER)))
def test_weights_of_the_wrong_content_are_passed_over(tmp_path: Path, skipped: int) -> None:
    """A pointer of git-lfs stands where a download failed."""
    for contents in ORDER[skipped:]:
        named(tmp_path, contents)
    named(tmp_path, dict.fromkeys(ORDER[skipped], POINTER))

    if skipped == len(ORDER) - 1:
        assert str(refusal(tmp_path)) == "no Modelfile or safetensors files found"
    else:
        assert chosen(tmp_path) == list(ORDER[skipped + 1])


def test_one_file_of_the_wrong_content_spoils_its_kind(tmp_path: Path) -> None:
    named(tmp_path, {"a.gguf": GGUF, "b.gguf": POINTER, "c.bin": GGUF})

    assert chosen(tmp_path) == ["c.bin"]


def test_safetensors_come_with_their_configuration_and_nested_parts(tmp_path: Path) -> None:
    named(
        tmp_path,
        {
            "model-2.safetensors": b"x",
            "model-1.safetensors": b"x",
            "2_Dense/model.safetensors": b"x",
            "2_Dense/config.json": b"{}",
            "config.json": b"{}",
            "chat_template.jinja": b"\x00",
            "tokenizer.model": b"\x00",
            "sub/tokenizer.model": b"\x00",
            "sub/deeper/x.json": b"{}",
            "README.md": b"",
            "other.gguf": GGUF,
        },
    )

    assert chosen(tmp_path) == [
        "model-1.safetensors",
        "model-2.safetensors",
        "2_Dense/model.safetensors",
        "config.json",
        "2_Dense/config.json",
        "chat_template.jinja",
        "tokenizer.model",
    ]


def test_nested_safetensors_alone_are_no_model(tmp_path: Path) -> None:
    named(tmp_path, {"one/model.safetensors": b"x", "two/model.safetensors": b"x"})

    assert str(refusal(tmp_path)) == "no Modelfile or safetensors files found"


@pytest.mark.parametrize("root", [{}, {"tokenizer.model": POINTER}])
def test_a_nested_tokenizer_is_taken_when_there_is_none_above(tmp_path: Path, root: dict[str, bytes]) -> None:
    named(tmp_path, {"x.gguf": GGUF, "sub/tokenizer.model": b"\x00", **root})

    assert chosen(tmp_path) == ["x.gguf", "sub/tokenizer.model"]


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"\x00", "application/octet-stream"), (b"\n<!DOCTYPE html>", "text/html"), (ZIP, "application/zip")],
)
def test_json_that_is_no_text_is_an_error(tmp_path: Path, content: bytes, kind: str) -> None:
    named(tmp_path, {"x.gguf": GGUF, "config.json": content})

    assert str(refusal(tmp_path)) == f"invalid content type: expected {kind} for {tmp_path}/config.json"


def test_folders_that_are_named_like_files_are_passed_over(tmp_path: Path) -> None:
    named(tmp_path, {"x.gguf": GGUF, "model.safetensors/x": b"", "data.json/x": b""})

    assert chosen(tmp_path) == ["x.gguf"]


def test_marks_of_patterns_in_a_folders_name_are_ordinary(tmp_path: Path) -> None:
    folder = named(tmp_path / "a[b]*", {"x.gguf": GGUF})

    assert chosen(folder) == ["x.gguf"]


def test_a_link_inside_the_folder_is_followed(tmp_path: Path) -> None:
    named(tmp_path, {"blobs/y": GGUF})
    (tmp_path / "x.gguf").symlink_to("blobs/y")

    assert chosen(tmp_path) == ["blobs/y"]


def test_a_folder_reached_by_a_link_keeps_its_spelling(tmp_path: Path) -> None:
    named(tmp_path, {"real/x.gguf": GGUF})
    (tmp_path / "link").symlink_to("real")

    assert choose_files(tmp_path / "link") == (tmp_path / "link/x.gguf",)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    named(tmp_path, {"secret": GGUF, "model/keep": b""})
    (tmp_path / "model/x.gguf").symlink_to(tmp_path / "secret")

    error = refusal(tmp_path / "model")

    assert (str(error), error.hint) == ("insecure path: ../secret", "")


def test_a_link_into_a_download_cache_says_how_to_avoid_it(tmp_path: Path) -> None:
    named(tmp_path, {".cache/blobs/y": GGUF, "model/keep": b""})
    (tmp_path / "model/x.gguf").symlink_to(tmp_path / ".cache/blobs/y")

    error = refusal(tmp_path / "model")

    assert str(error) == "insecure path: ../.cache/blobs/y"
    assert error.hint == "Use --local-dir <dir> when downloading model to disable caching"


@pytest.mark.parametrize("name", ["x.gguf", "model.safetensors", "config.json"])
def test_a_link_to_nothing_is_an_error_and_not_a_missing_part(tmp_path: Path, name: str) -> None:
    named(tmp_path, {"a.gguf": GGUF})
    (tmp_path / name).symlink_to(tmp_path / "gone")

    assert str(refusal(tmp_path)).endswith(": no such file or directory")


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"", "text/plain"),
        (b"{}\t\r\n\f\x1b\xff", "text/plain"),
        (b"\xff\xfea\x00", "text/plain"),
        (b"\x0b", "application/octet-stream"),
        (b"\x1f\x8b\x08", "application/x-gzip"),
        (b"%PDF-1.7", "application/pdf"),
        (b"  <HTML>", "text/html"),
        (GGUF, "application/octet-stream"),
    ],
)
def test_content_is_told_by_its_first_bytes(head: bytes, kind: str) -> None:
    assert content_type(head) == kind


def test_no_files_have_no_keys() -> None:
    assert common_keys([]) == {}
