"""What the user's `config.yaml` says about registries: credentials, mirrors, proxies, certificates; how fast pulls are.

    limit_rate: 5MB                           # a second, all pulls together
    registries:
      registry.example:5000:
        username: me                          # or `token: …`
        password: secret
        token_host: auth.example              # where else a token may be asked for, with the password
        mirrors: [https://mirror.example]     # asked first, in this order
        proxy: http://proxy.example:3128
        ca_file: /etc/ssl/own.pem             # trusted beside the system's
        insecure: false                       # plain http without --insecure

Only reads: the file is looked at for every pull and push, so that a change counts at once.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import msgspec

from ollamapy.errors import Error, InvalidInput
from ollamapy.remotes.base import is_web_url
from ollamapy.remotes.yamlfile import read_yaml, typed
from ollamapy.units import parse_rate

_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}\Z")
_PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")

log = logging.getLogger(__name__)


class Access(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one registry is reached. Nothing set is how every other registry is."""

    username: str = ""
    password: str = ""
    token: str = ""
    token_host: str = ""
    mirrors: tuple[str, ...] = ()
    proxy: str = ""
    ca_file: str = ""
    insecure: bool = False

    @property
    def has_secret(self) -> bool:
        return bool(self.password or self.token)

    def __repr__(self) -> str:
        return f"<Access {'with' if self.has_secret else 'without'} a secret>"


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    registries: dict[str, Access] = {}
    limit_rate: int | str = 0


@dataclass(frozen=True, slots=True)
class Hosts:
    """What is known of registries, by host in lower case."""

    by_host: Mapping[str, Access] = field(default_factory=dict)
    limit_rate: int = 0
    """Bytes a second for all pulls together; 0 is no limit."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """What the file says; nothing when there is none. Raises InvalidInput naming file, registry and field."""
        if not path.exists():
            return cls()
        try:
            found = typed(read_yaml(path), _File)
            for host, access in found.registries.items():
                _check(host, access)
            limit_rate = _rate(found.limit_rate)
        except Error as error:
            text = error.message.removeprefix(f"{path}: ")
            raise InvalidInput(f"{path}: {text}", hint="ollamapy config check tells when it is right") from error
        if any(access.has_secret for access in found.registries.values()) and path.stat().st_mode & 0o077:
            log.warning("others can read the passwords path=%s; chmod 600 it", path)
        return cls({host.lower(): access for host, access in found.registries.items()}, limit_rate)

    def of(self, host: str) -> Access:
        """How the registry at `host` is reached."""
        return self.by_host.get(host.lower(), Access())


def _rate(text: int | str) -> int:
    try:
        return parse_rate(str(text))
    except InvalidInput as error:
        raise InvalidInput(f"limit_rate: {error.hint}, found {text!r}") from error


def _check(host: str, access: Access) -> None:
    """Raises InvalidInput for what is well-formed and cannot be meant."""
    where = f"registries.{host}"
    if not _HOST.match(host):
        raise InvalidInput(f"{where}: wanted a host as model names have it, HOST or HOST:PORT")
    if bool(access.username) != bool(access.password):
        raise InvalidInput(f"{where}: username and password need each other")
    if access.username and access.token:
        raise InvalidInput(f"{where}: wanted a token or a password, found both")
    if access.token_host and not _HOST.match(access.token_host):
        raise InvalidInput(f"{where}.token_host: wanted HOST or HOST:PORT, found {access.token_host!r}")
    for mirror in access.mirrors:
        if not is_web_url(mirror) or urlsplit(mirror).path.strip("/"):
            raise InvalidInput(f"{where}.mirrors: wanted http(s)://HOST, found {mirror!r}")
    if access.proxy and urlsplit(access.proxy).scheme not in _PROXY_SCHEMES:
        raise InvalidInput(f"{where}.proxy: wanted a URL of {', '.join(_PROXY_SCHEMES)}, found {access.proxy!r}")
    if access.ca_file and not Path(access.ca_file).expanduser().is_file():
        raise InvalidInput(f"{where}.ca_file: there is no file {access.ca_file}")
