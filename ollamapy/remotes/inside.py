"""Which addresses are inside: of this machine, or of a network that the internet does not reach.

A server on the internet must not send us to a machine that only we can reach: its answer might do something, or tell
something. A first host that is inside itself may. Names are looked up before the connection is made, so a name that
changes in between is not noticed; nor is what a proxy makes of a name.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from urllib.parse import urlsplit

from ollamapy.errors import RemoteError

Resolve = Callable[[str], Awaitable[Sequence[str]]]


def is_inside(addresses: Iterable[str]) -> bool:
    """True when one of the addresses is no public one; no addresses are not inside."""
    return any(not _public(address) for address in addresses)


def is_loopback(host: str) -> bool:
    """True for this machine, as `localhost` or as an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


async def check_redirect(first: str, target: str, resolve: Resolve | None = None) -> None:
    """Raises RemoteError when the URL `first` leads to a `target` that is inside, and is not inside itself."""
    resolve = resolve or resolved
    came, goes = urlsplit(first).hostname or "", urlsplit(target).hostname or ""
    if came != goes and is_inside(await resolve(goes)) and not is_inside(await resolve(came)):
        raise RemoteError(
            f"{came} redirects to {goes}, which is inside this network: that is refused",
            hint="if it is meant so, give the address inside yourself",
        )


async def resolved(host: str) -> list[str]:
    """The addresses of a host; none when it has none, which the connection will tell."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [str(entry[4][0]) for entry in found]


def _public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_global)
