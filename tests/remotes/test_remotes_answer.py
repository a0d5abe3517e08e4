import pytest

from ollamapy.errors import RemoteError
from ollamapy.remotes.answer import (
    Body,
    Outdated,
    Transient,
    can_resume,
    next_url,
    range_headers,
    read_answer,
    validator,
)
from ollamapy.remotes.partial import Mark

URL = "https://models.example/tiny.gguf"
MARK = Mark(URL, 100, '"a"')


def continued(content_range: str, etag: str = '"a"', status: int = 206) -> Body:
    return read_answer(status, {"content-range": content_range, "etag": etag}, URL, (MARK, 40))


def test_a_range_that_continues_the_version_at_hand_is_appended() -> None:
    assert continued("bytes 40-99/100") == Body(40, MARK)


@pytest.mark.parametrize(
    "content_range",
    ["bytes 0-99/100", "bytes 40-98/100", "bytes 40-99/101", "bytes 40-99/*", "bytes */100", "40-99/100", ""],
)
def test_a_range_of_something_else_starts_the_download_anew(content_range: str) -> None:
    with pytest.raises(Outdated):
        continued(content_range)


def test_a_range_of_another_version_starts_the_download_anew() -> None:
    with pytest.raises(Outdated):
        continued("bytes 40-99/100", etag='"b"')


def test_a_range_past_the_end_starts_the_download_anew() -> None:
    with pytest.raises(Outdated):
        continued("bytes */100", status=416)


def test_the_whole_file_begins_at_its_first_byte_even_when_a_range_was_asked_for() -> None:
    headers = {"content-length": "70", "etag": '"b"'}

    assert read_answer(200, headers, URL, (MARK, 40)) == Body(0, Mark(URL, 70, '"b"'))


@pytest.mark.parametrize("length", ["", "-5", "many"])
def test_a_length_that_is_no_number_is_no_length(length: str) -> None:
    assert read_answer(200, {"content-length": length}, URL, None).mark.size is None


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_faults_of_the_server_may_pass(status: int) -> None:
    with pytest.raises(Transient, match=f"models.example answered {status}"):
        read_answer(status, {}, URL, None)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (404, "pull model manifest: file does not exist"),
        (410, "pull model manifest: file does not exist"),
        (401, "unauthorized: access denied"),
        (403, "unauthorized: access denied"),
        (206, "models.example answered 206"),
        (416, "models.example answered 416"),
        (451, "models.example answered 451"),
    ],
)
def test_refusals_end_the_download(status: int, text: str) -> None:
    with pytest.raises(RemoteError, match=text):
        read_answer(status, {}, URL, None)


@pytest.mark.parametrize("status", [200, 206])
def test_an_encoded_body_is_refused(status: int) -> None:
    with pytest.raises(RemoteError, match="encoded as gzip"):
        read_answer(status, {"content-encoding": "gzip"}, URL, (MARK, 40))


def test_a_strong_etag_tells_versions_apart_and_a_weak_one_does_not() -> None:
    date = "Sat, 01 Nov 2025 00:00:00 GMT"

    assert validator({"etag": '"a"', "last-modified": date}) == '"a"'
    assert validator({"etag": 'W/"a"', "last-modified": date}) == date
    assert validator({"etag": 'W/"a"'}) == ""


def test_only_what_can_be_checked_is_continued() -> None:
    assert can_resume(Mark(URL, 100, '"a"'), has_digest=False)
    assert can_resume(Mark(URL, 100), has_digest=True)
    assert not can_resume(Mark(URL, 100), has_digest=False)
    assert not can_resume(Mark(URL, None, '"a"'), has_digest=True)


def test_a_range_request_names_the_version_that_it_continues() -> None:
    assert range_headers(MARK, 40) == {"Range": "bytes=40-", "If-Range": '"a"'}
    assert range_headers(Mark(URL, 100), 40) == {"Range": "bytes=40-"}


def test_redirects_are_followed_relative_to_where_they_come_from() -> None:
    assert next_url(URL, "/other.gguf", insecure=False) == "https://models.example/other.gguf"
    assert next_url(URL, "https://cdn.example/x", insecure=False) == "https://cdn.example/x"
    assert next_url("http://127.0.0.1/x", "http://localhost/y", insecure=True) == "http://localhost/y"


@pytest.mark.parametrize(
    ("current", "location", "insecure"),
    [
        (URL, "http://models.example/tiny.gguf", False),
        (URL, "http://models.example/tiny.gguf", True),
        ("http://a/x", "http://b/y", False),
        (URL, "file:///etc/passwd", True),
        (URL, "ftp://a/x", True),
        (URL, "https://a[b/x", True),
    ],
)
def test_redirects_that_leave_https_are_refused(current: str, location: str, insecure: bool) -> None:
    with pytest.raises(RemoteError):
        next_url(current, location, insecure=insecure)
