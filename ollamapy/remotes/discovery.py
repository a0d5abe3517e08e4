"""Other ollamapys in the local network, by multicast DNS (RFC 6762, 6763).

Owns the announcement of this daemon and the list of the others. Anybody in the network can announce anything, so what
is found is asked for blobs, which digests keep honest, and never for what a model is. The package zeroconf does the
talking; it is an extra, imported when discovery is switched on.
"""

import asyncio
import contextlib
import logging
import secrets
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from ollamapy.errors import Error

SERVICE = "_ollamapy._tcp.local."
MAX_PLACES = 16
"""Peers that are listed at most: a network may be full of made-up ones."""
_ASK_MILLISECONDS = 3000

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Neighbours:
    """The ollamapys that were found, `host:port` by the name of each. Nothing where discovery is off."""

    by_name: dict[str, str] = field(default_factory=dict)

    @property
    def places(self) -> tuple[str, ...]:
        return tuple(self.by_name.values())

    def put(self, name: str, place: str) -> None:
        if place and (name in self.by_name or len(self.by_name) < MAX_PLACES):
            if self.by_name.get(name) != place:
                log.info("peer found peer=%s", place)
            self.by_name[name] = place

    def drop(self, name: str) -> None:
        if place := self.by_name.pop(name, ""):
            log.info("peer gone peer=%s", place)


def place_of(addresses: list[str], port: int | None) -> str:
    """`host:port` of an announcement, IPv4 first; nothing when no address can be used."""
    usable = [address for address in map(ip_address, addresses) if not (address.is_multicast or address.is_unspecified)]
    usable = [address for address in usable if address.version == 4 or not address.is_link_local]
    if not usable or not port:
        return ""
    best = min(usable, key=lambda address: address.version)
    return f"[{best}]:{port}" if best.version == 6 else f"{best}:{port}"


@contextlib.asynccontextmanager
async def discovery(neighbours: Neighbours, address: str, port: int, *, is_open: bool) -> AsyncIterator[None]:
    """Looks for others until the block ends, and announces this daemon at `port` when it `is_open` for them.

    `address` is where the daemon listens, empty for everywhere; only that network is used. Raises Error when the
    package is missing or multicast does not work.
    """
    try:
        from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf
    except ImportError as error:
        raise Error("discovery needs the package zeroconf", hint="pip install 'ollamapy[mdns]'") from error
    mine = f"{socket.gethostname().partition('.')[0][:40]}-{secrets.token_hex(4)}"
    try:
        own = _addresses(address)
        zeroconf = AsyncZeroconf(interfaces=own)
    except OSError as error:  # also: no IPv4 address, the only kind that this uses
        reason = error.strerror or str(error)
        raise Error(f"discovery does not work here: {reason.lower()}", hint="OLLAMAPY_DISCOVER=0") from error
    finder = _Finder(neighbours, f"{mine}.{SERVICE}")
    try:
        if is_open:
            await zeroconf.async_register_service(_announcement(mine, own, port))
        browser = AsyncServiceBrowser(zeroconf.zeroconf, SERVICE, handlers=[finder.on_change])
        log.info("discovery on name=%s announced=%s", mine, is_open)
        yield
        await browser.async_cancel()
    finally:
        await finder.close()
        await zeroconf.async_close()


def _addresses(address: str) -> list[str]:
    """The addresses of this machine under which the daemon can be reached."""
    import ifaddr  # zeroconf brings it

    if address not in ("", "0.0.0.0", "::"):
        return [str(socket.getaddrinfo(address, None, socket.AF_INET)[0][4][0])]
    found = [str(ip.ip) for adapter in ifaddr.get_adapters() for ip in adapter.ips if ip.is_IPv4]
    return [text for text in found if not ip_address(text).is_loopback] or ["127.0.0.1"]


def _announcement(name: str, addresses: list[str], port: int) -> Any:
    from zeroconf.asyncio import AsyncServiceInfo

    packed = [socket.inet_aton(address) for address in addresses]
    return AsyncServiceInfo(SERVICE, f"{name}.{SERVICE}", port, addresses=packed, server=f"{name}.local.")


@dataclass(slots=True)
class _Finder:
    """Asks every ollamapy that appears for its address."""

    neighbours: Neighbours
    own_name: str
    _asking: set["asyncio.Task[None]"] = field(default_factory=set)

    def on_change(self, zeroconf: Any, service_type: str, name: str, state_change: Any) -> None:
        """Called on the event loop for everything that comes and goes."""
        if name == self.own_name:
            return
        if state_change.name == "Removed":
            self.neighbours.drop(name)
        elif len(self._asking) < MAX_PLACES:
            task = asyncio.ensure_future(self._ask(zeroconf, name))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _ask(self, zeroconf: Any, name: str) -> None:
        from zeroconf.asyncio import AsyncServiceInfo

        info = AsyncServiceInfo(SERVICE, name)
        if await info.async_request(zeroconf, _ASK_MILLISECONDS):
            self.neighbours.put(name, place_of(info.parsed_addresses(), info.port))

    async def close(self) -> None:
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)
