"""Tokens: what a challenge means, whom a signature reaches, and that it is the one the contract describes."""

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from ollamapy.errors import RemoteError
from ollamapy.remotes.oci.auth import Challenge, Key, create_key, signed_request

HEADER = 'Bearer realm="https://r.example/token?a=b",service="s",scope="repository:x:pull repository:y:pull"'


def test_a_challenge_becomes_the_url_of_a_token_with_its_keys_sorted() -> None:
    url = Challenge.parse(HEADER).url(now=12.9, nonce="n")

    assert url == (
        "https://r.example/token?a=b&nonce=n&scope=repository%3Ax%3Apull&scope=repository%3Ay%3Apull&service=s&ts=12"
    )


def test_what_a_challenge_lacks_is_empty() -> None:
    assert Challenge.parse('Bearer realm="https://r.example/"') == Challenge("https://r.example/", "", "")
    assert Challenge.parse("") == Challenge("", "", "")


def test_a_token_is_asked_of_the_registrys_own_host_only(tmp_path: Path) -> None:
    """A hostile registry could else collect signatures for another one."""
    key = create_key(tmp_path / "key")

    with pytest.raises(RemoteError, match=r'^realm host "r\.example" does not match original host "evil\.example"$'):
        signed_request(Challenge.parse(HEADER), "evil.example", key)


def test_the_signature_is_over_method_url_and_empty_body(tmp_path: Path) -> None:
    key = create_key(tmp_path / "key")

    url, headers = signed_request(Challenge.parse(HEADER), "r.example", key, now=lambda: 1.0)

    public, _, signature = headers["Authorization"].partition(":")
    verifier = load_ssh_public_key(f"ssh-ed25519 {public}".encode())
    assert isinstance(verifier, Ed25519PublicKey)
    body = "ZTNiMGM0NDI5OGZjMWMxNDlhZmJmNGM4OTk2ZmI5MjQyN2FlNDFlNDY0OWI5MzRjYTQ5NTk5MWI3ODUyYjg1NQ=="
    verifier.verify(base64.b64decode(signature), f"GET,{url},{body}".encode())


def test_a_key_is_written_once_for_its_owner_alone_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "id_ed25519"
    key = create_key(path)

    assert path.stat().st_mode & 0o777 == 0o600
    assert path.with_name("id_ed25519.pub").read_text() == f"{key.public_line}\n"
    assert Key.load(path).public_line == key.public_line
    with pytest.raises(FileExistsError):
        create_key(path)


def test_a_missing_or_foreign_key_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match="no such file"):
        Key.load(tmp_path / "none")
    (tmp_path / "bad").write_text("not a key")
    with pytest.raises(RemoteError, match="bad is not an OpenSSH private key"):
        Key.load(tmp_path / "bad")
