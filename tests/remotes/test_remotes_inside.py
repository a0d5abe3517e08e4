"""Redirects from the internet must not lead inside."""

import asyncio
from collections.abc import Sequence

import pytest

from ollamapy.errors import RemoteError
from ollamapy.remotes.inside import check_redirect, is_inside, is_loopback, resolved

OUTSIDE = ("93.184.215.14", "2606:2800:21f:cb07::1", "8.8.8.8")
INSIDE = ("127.0.0.1", "::1", "10.1.2.3", "192.168.0.9", "172.16.0.1", "169.254.169.254", "100.64.0.1", "fe80::1%eth0")
INSIDE += ("fd00::1", "0.0.0.0", "::ffff:10.0.0.1", "::ffff:127.0.0.1")


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_of_private_networks_are_inside(address: str) -> None:
    assert is_inside([address])
    assert is_inside([OUTSIDE[0], address])


def test_public_addresses_and_none_are_not() -> None:
    assert not is_inside(OUTSIDE)
    assert not is_inside([])


def test_this_machine_has_several_names() -> None:
    assert all(map(is_loopback, ("localhost", "LOCALHOST", "127.0.0.1", "127.8.8.8", "::1", "[::1]")))
    assert not any(map(is_loopback, ("localhost.example", "10.0.0.1", "example.com", "")))


@pytest.mark.parametrize(
    ("first", "target", "is_refused"),
    [
        ("public", "elsewhere", False),
        ("public", "private", True),
        ("public", "public", False),
        ("private", "other-private", False),
        ("private", "public", False),
        ("public", "unknown", False),
        ("unknown", "private", True),
    ],
)
def test_only_who_is_inside_may_lead_inside(first: str, target: str, is_refused: bool) -> None:
    addresses = {"public": OUTSIDE[:1], "elsewhere": OUTSIDE[1:], "private": INSIDE[2:3], "other-private": INSIDE[3:4]}

    async def resolve(host: str) -> Sequence[str]:
        return addresses.get(host, ())

    check = check_redirect(f"https://{first}/x", f"http://{target}:8080/y", resolve)

    if is_refused:
        with pytest.raises(RemoteError, match="which is inside this network"):
            asyncio.run(check)
    else:
        asyncio.run(check)


def test_names_are_looked_up_and_what_is_none_has_no_address() -> None:
    assert asyncio.run(resolved("127.0.0.1")) == ["127.0.0.1"]
    assert asyncio.run(resolved("x" * 300)) == []
