"""The Origin and Host fences: each case of the contract's table is a value."""

from ipaddress import ip_address

import pytest

from ollamapy.errors import InvalidInput
from ollamapy.server.guard import Go, Hosts, Origins, Stop, is_loopback, is_own_address

HOST = "127.0.0.1:11434"


@pytest.mark.parametrize(
    ("entries", "origin"),
    [
        ((), "http://localhost:3000"),
        ((), "https://localhost"),
        ((), "http://127.0.0.1:8080"),
        ((), "https://0.0.0.0"),
        ((), "HTTP://LocalHost:3000"),
        ((), "app://obsidian.md"),
        ((), "file://"),
        ((), "tauri://localhost"),
        ((), "vscode-webview://1abc"),
        ((), "vscode-file://vscode-app"),
        (("http://a.example",), "http://a.example"),
        (("http://*.example",), "http://x.y.example"),
        (("chrome-extension://*",), "chrome-extension://abc"),
        (("http://A.example",), "http://a.EXAMPLE"),
    ],
)
def test_an_allowed_origin_goes_on_and_is_named_in_the_answer(entries: tuple[str, ...], origin: str) -> None:
    decision = Origins.of(entries).decide("GET", origin, HOST)

    assert decision == Go({"Access-Control-Allow-Origin": origin, "Vary": "Origin"})


@pytest.mark.parametrize(
    ("entries", "origin"),
    [
        ((), "http://evil.example"),
        ((), "null"),
        ((), "http://localhost.evil.example"),
        ((), "http://evil.example:11434"),
        ((), "chrome-extension://abc"),
        (("http://a.example",), "http://a.example:8080"),
        (("http://a.example",), "https://a.example"),
        (("http://a.example",), "http://a.example/"),
        (("http://*.example",), "http://x.example.org"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_any_other_origin_is_refused_whatever_the_method(entries: tuple[str, ...], origin: str, method: str) -> None:
    assert Origins.of(entries).decide(method, origin, HOST) == Stop(403)


def test_a_star_alone_allows_every_origin_and_answers_with_a_star() -> None:
    decision = Origins.of(("*",)).decide("GET", "http://evil.example", HOST)

    assert isinstance(decision, Go)
    assert decision.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("origin", ["", "http://myhost:11434", "https://myhost:11434"])
def test_a_request_from_the_same_origin_goes_on_without_headers(origin: str) -> None:
    assert Origins.of(()).decide("POST", origin, "myhost:11434") == Go()


def test_a_preflight_is_answered_with_what_is_allowed() -> None:
    decision = Origins.of(()).decide("OPTIONS", "http://localhost:3000", HOST)

    assert isinstance(decision, Stop)
    assert decision.status == 204
    headers = decision.headers
    assert headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert headers["Access-Control-Allow-Methods"] == "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"
    assert headers["Access-Control-Max-Age"] == "43200"
    assert headers["Vary"] == "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
    assert "Access-Control-Allow-Credentials" not in headers
    names = headers["Access-Control-Allow-Headers"].lower().split(",")
    assert {"authorization", "content-type", "openai-beta", "x-stainless-runtime-version"} <= set(names)


@pytest.mark.parametrize("entry", ["a.example", "ftp://a.example", "localhost:3000"])
def test_an_origin_that_cannot_be_one_is_refused_at_the_start(entry: str) -> None:
    with pytest.raises(InvalidInput, match=r"bad origin: origins must contain '\*' or include http://,https://,"):
        Origins.of((entry,))


def test_two_stars_in_one_entry_are_refused_at_the_start() -> None:
    with pytest.raises(InvalidInput, match=r"only one \* is allowed"):
        Origins.of(("http://*.a.*",))


HOSTS = Hosts(is_checked=True, machine="MyBox", is_own=lambda address: address == ip_address("9.9.9.9"))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:11434",
        "10.1.2.3",
        "172.31.0.1:80",
        "192.168.1.5:11434",
        "0.0.0.0:11434",
        "9.9.9.9:11434",
        "[::1]:11434",
        "[::]:11434",
        "[fd00::1]:11434",
        "[::ffff:127.0.0.1]:80",
        "",
        "localhost",
        "LOCALHOST:11434",
        "mybox",
        "MYBOX:11434",
        "foo.local",
        "FOO.INTERNAL:80",
        "a.b.localhost",
    ],
)
def test_a_host_that_only_this_network_can_name_goes_on(host: str) -> None:
    assert HOSTS.decide("GET", host) == Go()


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "example.com:11434",
        "8.8.8.8",
        "8.8.8.8:11434",
        "172.32.0.1",
        "169.254.1.1",
        "[2001:db8::1]:11434",
        "[::1]",
        "local",
        "notlocalhost",
        "127.0.0.1.example.com",
        "a:b:c",
    ],
)
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_any_other_host_is_refused(host: str, method: str) -> None:
    assert HOSTS.decide(method, host) == Stop(403)


def test_every_host_goes_on_when_the_daemon_listens_beyond_loopback() -> None:
    assert Hosts(is_checked=False).decide("GET", "example.com") == Go()


def test_options_for_an_accepted_name_is_answered_without_headers() -> None:
    assert HOSTS.decide("OPTIONS", "localhost:11434") == Stop(204)


def test_options_for_an_accepted_address_goes_on_to_the_routes() -> None:
    assert HOSTS.decide("OPTIONS", "127.0.0.1:11434") == Go()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_listening_on_a_loopback_address_is_noticed(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "192.168.1.5", "no-such-host.invalid"])
def test_listening_on_anything_else_is_noticed(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(("address", "is_own"), [("127.0.0.1", True), ("198.51.100.7", False), ("224.0.0.1", False)])
def test_the_kernel_says_which_addresses_are_this_machines(address: str, is_own: bool) -> None:
    assert is_own_address(ip_address(address)) is is_own
