"""Tokens for a registry: its challenge, and the request that is signed with the user's key.

Owns the key file. A token is asked of the registry's own host only: whoever answers 401 names the place, and a hostile
one could name any. `cryptography` takes 10 MB, so it is imported where a key is used.
"""

import base64
import os
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from ollamapy.errors import RemoteError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a registry's 401 asks for."""

    realm: str
    service: str
    scope: str

    @classmethod
    def parse(cls, header: str) -> "Challenge":
        """From `WWW-Authenticate: Bearer realm="…",service="…",scope="…"`; what is missing is empty."""
        found = dict(_PARAMETER.findall(header))
        return cls(found.get("realm", ""), found.get("service", ""), found.get("scope", ""))

    @property
    def plain_url(self) -> str:
        """Where anybody asks for the token."""
        parts = urlsplit(self.realm)
        query = [*parse_qsl(parts.query, keep_blank_values=True)]
        query += [("service", self.service)] if self.service else []
        query += [("scope", scope) for scope in self.scope.split(" ") if scope]
        return urlunsplit(parts._replace(query=urlencode(query)))

    def url(self, now: float, nonce: str) -> str:
        """Where to ask for the token; `now` is the Unix time."""
        parts = urlsplit(self.realm)
        query = [*parse_qsl(parts.query, keep_blank_values=True), ("service", self.service)]
        query += [("scope", scope) for scope in self.scope.split(" ") if scope]
        query += [("ts", str(int(now))), ("nonce", nonce)]
        return urlunsplit(parts._replace(query=urlencode(sorted(query, key=lambda pair: pair[0]))))


def check_realm(challenge: Challenge, host: str) -> None:
    """Raises RemoteError unless the token comes from the `host` (with its port) that was asked."""
    found = urlsplit(challenge.realm).netloc
    if found != host:
        raise RemoteError(f'realm host "{found}" does not match original host "{host}"')


@dataclass(frozen=True, slots=True)
class Key:
    """The user's Ed25519 key, in OpenSSH's form at `path`."""

    private: "Ed25519PrivateKey"

    @classmethod
    def load(cls, path: Path) -> "Key":
        """Raises RemoteError when the file is missing or no such key."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_ssh_private_key

        try:
            private = load_ssh_private_key(path.read_bytes(), password=None)
        except OSError as error:
            raise RemoteError(f"open {path}: {(error.strerror or str(error)).lower()}") from error
        except ValueError as error:
            raise RemoteError(f"{path} is not an OpenSSH private key without a password: {error}") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise RemoteError(f"{path} holds another kind of key, wanted Ed25519")
        return cls(private)

    @property
    def public_line(self) -> str:
        """`ssh-ed25519 AAAA…`, as a registry's account page wants it."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        return self.private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()

    def authorization(self, url: str) -> str:
        """The header of a signed GET of `url`."""
        body = base64.b64encode(_EMPTY_SHA256.encode()).decode()
        signature = self.private.sign(f"GET,{url},{body}".encode())
        return f"{self.public_line.split(' ')[1]}:{base64.b64encode(signature).decode()}"


def create_key(path: Path) -> Key:
    """Makes a new key pair at `path` and `path.pub`. Raises OSError."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private = Ed25519PrivateKey.generate()
    key = Key(private)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    path.with_name(path.name + ".pub").write_text(f"{key.public_line}\n")
    return key


def new_nonce() -> str:
    """What makes two requests for a token differ."""
    return base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")


def signed_request(
    challenge: Challenge, host: str, key: Key, now: Callable[[], float] = time.time
) -> tuple[str, dict[str, str]]:
    """URL and headers of the request for a token. Raises RemoteError when another host would get it."""
    check_realm(challenge, host)
    url = challenge.url(now(), new_nonce())
    return url, {"Authorization": key.authorization(url)}
