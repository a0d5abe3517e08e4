"""Which headers promise a digest, and which only look so."""

import base64
import hashlib

import pytest

from ollamapy.names import Digest
from ollamapy.remotes.promised import promised_by, promised_by_redirect

SHA = hashlib.sha256(b"weights")
HEX, BASE64 = SHA.hexdigest(), base64.b64encode(SHA.digest()).decode()


@pytest.mark.parametrize(
    "headers",
    [
        {"repr-digest": f"sha-256=:{BASE64}:"},
        {"repr-digest": f"md5=:AAAA:, sha-256=:{BASE64}:, sha-512=:x:"},
        {"digest": f"SHA-256={BASE64}"},
        {"digest": f"md5=x==,sha-256={BASE64}"},
        {"x-checksum-sha256": HEX.upper()},
        {"x-amz-checksum-sha256": BASE64},
        {"x-linked-etag": f'"{HEX}"'},
    ],
)
def test_a_promise_is_read(headers: dict[str, str]) -> None:
    assert promised_by(headers) == Digest(HEX)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"etag": f'"{HEX}"'},
        {"content-digest": f"sha-256=:{BASE64}:"},
        {"repr-digest": f"sha-512=:{BASE64}:"},
        {"digest": "sha-256=short"},
        {"x-checksum-sha256": HEX[:-1]},
        {"x-amz-checksum-sha256": f"{BASE64}-3"},
        {"x-amz-checksum-sha256": "é"},
        {"x-linked-etag": 'W/"x"'},
    ],
)
def test_what_says_something_else_promises_nothing(headers: dict[str, str]) -> None:
    assert promised_by(headers) is None


def test_a_redirect_speaks_of_itself_but_for_the_hubs_header() -> None:
    assert promised_by_redirect({"repr-digest": f"sha-256=:{BASE64}:"}) is None
    assert promised_by_redirect({"x-linked-etag": HEX}) == Digest(HEX)
