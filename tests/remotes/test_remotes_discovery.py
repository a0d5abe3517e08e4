"""What is believed of announcements in the local network."""

import asyncio
import sys

import pytest

from ollamapy.errors import Error
from ollamapy.remotes.discovery import MAX_PLACES, Neighbours, discovery, place_of


@pytest.mark.parametrize(
    ("addresses", "port", "place"),
    [
        (["fd00::1", "192.168.1.5"], 11434, "192.168.1.5:11434"),
        (["fd00::1"], 11434, "[fd00::1]:11434"),
        (["169.254.1.1"], 1, "169.254.1.1:1"),
        (["fe80::1"], 11434, ""),
        (["224.0.0.1", "0.0.0.0"], 11434, ""),
        ([], 11434, ""),
        (["192.168.1.5"], 0, ""),
        (["192.168.1.5"], None, ""),
    ],
)
def test_an_announcement_is_a_place_when_it_can_be_reached(addresses: list[str], port: int | None, place: str) -> None:
    assert place_of(addresses, port) == place


def test_a_network_full_of_made_up_peers_fills_no_memory() -> None:
    neighbours = Neighbours()

    for n in range(1000):
        neighbours.put(f"n{n}", f"10.0.0.1:{n}")
    neighbours.put("n0", "10.0.0.2:1")
    neighbours.drop("n1")
    neighbours.drop("unknown")

    assert len(neighbours.places) == MAX_PLACES - 1
    assert neighbours.places[0] == "10.0.0.2:1"


def test_discovery_without_its_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zeroconf.asyncio", None)

    async def look() -> None:
        async with discovery(Neighbours(), "127.0.0.1", 1, is_open=False):
            pass

    with pytest.raises(Error, match="discovery needs the package zeroconf") as raised:
        asyncio.run(look())
    assert "ollamapy[mdns]" in raised.value.hint
