"""Decides which requests may come in at all, by their Origin and Host headers. Values in, a decision out.

Two fences, in this order: `Origins` keeps pages of other sites away (CORS), `Hosts` keeps names away that an
attacker points at this machine (DNS rebinding). Neither ever looks at path or body, nor at the clock, disk or network;
the two functions at the end ask the system, once. `server/app.py` carries the decisions out.
"""

import re
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Self

from ollamapy.errors import InvalidInput

Address = IPv4Address | IPv6Address

_SCHEMES = (
    "http://",
    "https://",
    "chrome-extension://",
    "safari-extension://",
    "moz-extension://",
    "ms-browser-extension://",
)
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "0.0.0.0")
_APPS = ("app://*", "file://*", "tauri://*", "vscode-webview://*", "vscode-file://*")
_STAINLESS = (
    "arch async custom-poll-interval helper-method lang os package-version poll-helper retry-count runtime "
    "runtime-version timeout"
)
_ALLOWED_HEADERS = (
    "Authorization,Content-Type,User-Agent,Accept,X-Requested-With,OpenAI-Beta,x-api-key,anthropic-version,"
    + ",".join(f"x-stainless-{name}" for name in _STAINLESS.split())
)
_PREFLIGHT_HEADERS = {
    "Access-Control-Allow-Methods": "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS",
    "Access-Control-Allow-Headers": _ALLOWED_HEADERS,
    "Access-Control-Max-Age": "43200",
    "Vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
}
_PRIVATE = tuple(ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))
_HOST_AND_PORT = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]*)):([^:\[\]]*)")


@dataclass(frozen=True, slots=True)
class Go:
    """The request goes on; its answer carries these headers too."""

    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stop:
    """The request ends here with an empty answer."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)


Decision = Go | Stop


@dataclass(frozen=True, slots=True)
class Origins:
    """The browser origins that may use the API: exact ones, and (prefix, suffix) pairs around a `*`."""

    exact: frozenset[str]
    wildcards: tuple[tuple[str, str], ...]
    allows_all: bool = False

    @classmethod
    def of(cls, entries: Iterable[str]) -> Self:
        """The user's `entries` and those that are always allowed. Raises InvalidInput for a bad entry."""
        checked = [_checked(entry) for entry in (*entries, *_always_allowed())]
        halves = [entry.split("*") for entry in checked if "*" in entry]
        return cls(
            exact=frozenset(entry for entry in checked if "*" not in entry),
            wildcards=tuple((prefix, suffix) for prefix, suffix in halves),
            allows_all="*" in checked,
        )

    def decide(self, method: str, origin: str, host: str) -> Decision:
        """What becomes of a request.

        1. Without Origin, or with the origin of this very host, it is not cross-origin: it goes on, no headers.
        2. From an origin that is not allowed it is refused, whatever its method and path.
        3. A preflight is answered here and never reaches a route.
        4. Anything else goes on, and the answer names the origin.
        """
        if not origin or origin in (f"http://{host}", f"https://{host}"):
            return Go()
        if not self._allows(origin.lower()):
            return Stop(403)
        allowed = {"Access-Control-Allow-Origin": "*" if self.allows_all else origin}
        if method == "OPTIONS":
            return Stop(204, allowed | _PREFLIGHT_HEADERS)
        return Go(allowed | {"Vary": "Origin"})

    def _allows(self, origin: str) -> bool:
        if self.allows_all or origin in self.exact:
            return True
        return any(origin.startswith(prefix) and origin.endswith(suffix) for prefix, suffix in self.wildcards)


def _always_allowed() -> tuple[str, ...]:
    local = [f"{scheme}://{host}{port}" for host in _LOCAL_HOSTS for port in ("", ":*") for scheme in ("http", "https")]
    return (*local, *_APPS)


def _checked(entry: str) -> str:
    entry = entry.lower()
    if entry.count("*") > 1:
        raise InvalidInput("only one * is allowed", hint=f"the entry {entry!r} of OLLAMA_ORIGINS has more")
    if "*" not in entry and not entry.startswith(_SCHEMES):
        raise InvalidInput(
            f"bad origin: origins must contain '*' or include {','.join(_SCHEMES)}",
            hint=f"mend the entry {entry!r} of OLLAMA_ORIGINS",
        )
    return entry


@dataclass(frozen=True, slots=True)
class Hosts:
    """The Host headers that are accepted. Checked only when the daemon listens on a loopback address."""

    is_checked: bool
    machine: str = ""
    """This machine's own host name."""
    is_own: Callable[[Address], bool] = lambda address: False
    """Whether an address is one of this machine's."""

    def decide(self, method: str, host: str) -> Decision:
        """What becomes of a request for `host`, the Host header as it came, port and all.

        1. When not checked, everything goes on.
        2. An IP address goes on when it is loopback, private, unspecified or this machine's own.
        3. A name goes on when nobody can buy it: empty, localhost, the machine's own, below .localhost, .local or
           .internal; an OPTIONS request for such a name is answered here.
        4. Everything else is refused. (So is `[::1]` without a port, as Ollama does.)
        """
        if not self.is_checked:
            return Go()
        name = _without_port(host)
        if _is_address(name):
            return Go() if self._is_near(ip_address(name)) else Stop(403)
        if not self._is_local_name(name.lower()):
            return Stop(403)
        return Stop(204) if method == "OPTIONS" else Go()

    def _is_near(self, address: Address) -> bool:
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if address.is_loopback or address.is_unspecified:
            return True
        return any(address in network for network in _PRIVATE) or self.is_own(address)

    def _is_local_name(self, name: str) -> bool:
        if name in ("", "localhost", self.machine.lower()):
            return True
        return name.endswith((".localhost", ".local", ".internal"))


def _without_port(host: str) -> str:
    match = _HOST_AND_PORT.fullmatch(host)
    if not match:
        return host
    return match[2] if match[1] is None else match[1]


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """True when to listen on `host` (an address, or a name that the resolver knows) is to listen on loopback only."""
    if _is_address(host):
        return ip_address(host).is_loopback
    if host in ("", "localhost"):
        return host == "localhost"
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return all(ip_address(entry[4][0]).is_loopback for entry in found)


def is_own_address(address: Address) -> bool:
    """True when `address` belongs to this machine: the kernel lets a socket bind to it."""
    if address.is_multicast or address.is_reserved:
        return False
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
