"""The configuration file: what it says, what is refused, and what of it reaches which host."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import faulty_registry as faults
from fakes.authority import make_authority
from fakes.faulty_registry import FOR_EVER, FaultyRegistry

from ollamapy.errors import InvalidInput, RemoteError
from ollamapy.names import ModelName
from ollamapy.remotes.hosts import Access, Hosts
from ollamapy.remotes.oci.remote import Registry
from ollamapy.store.store import Store

WEIGHTS = b"weights" * 1000
BASIC = "Basic bWU6c2VjcmV0"


def load(folder: Path, text: str) -> Hosts:
    path = folder / "config.yaml"
    path.write_text(text)
    path.chmod(0o600)
    return Hosts.load(path)


def test_no_file_says_nothing(tmp_path: Path) -> None:
    assert Hosts.load(tmp_path / "config.yaml").of("a.example") == Access()


def test_a_registry_is_found_in_any_case(tmp_path: Path) -> None:
    hosts = load(tmp_path, "registries:\n  A.example:5000: {username: me, password: secret}\n")

    assert hosts.of("a.EXAMPLE:5000") == Access(username="me", password="secret")
    assert hosts.of("b.example") == Access()


@pytest.mark.parametrize(("text", "rate"), [("{}", 0), ("limit_rate: 5MB", 5_000_000), ("limit_rate: 1000", 1000)])
def test_a_limit_of_all_pulls_is_bytes_a_second(tmp_path: Path, text: str, rate: int) -> None:
    assert load(tmp_path, text).limit_rate == rate


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("registries: {a: {user: me}}", "field registries[...]: Object contains unknown field `user`"),
        ("mirrors: []", "Object contains unknown field `mirrors`"),
        ("registries: {a: {username: me}}", "registries.a: username and password need each other"),
        ("registries: {a: {username: me, password: x, token: y}}", "registries.a: wanted a token or a password"),
        ("registries: {'a/b': {}}", "registries.a/b: wanted a host as model names have it"),
        ("registries: {a: {mirrors: [b.example]}}", "registries.a.mirrors: wanted http(s)://HOST, found 'b.example'"),
        ("registries: {a: {mirrors: ['https://b/c']}}", "registries.a.mirrors: wanted http(s)://HOST"),
        ("registries: {a: {proxy: 'p:1'}}", "registries.a.proxy: wanted a URL of http, https"),
        ("registries: {a: {ca_file: /nowhere.pem}}", "registries.a.ca_file: there is no file /nowhere.pem"),
        ("registries: {a: {token_host: 'https://x'}}", "registries.a.token_host: wanted HOST or HOST:PORT"),
        ("limit_rate: fast", "limit_rate: wanted bytes a second, such as 5MB, 500K or 1MiB; 0: no limit, found 'fast'"),
        ("limit_rate: -5", "limit_rate: wanted bytes a second"),
        ("registries: {a: {}, a: {}}", "line 1: the key 'a' appears twice"),
        ("[]", "wanted entries by name, found list"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(InvalidInput) as error:
        load(tmp_path, text)

    assert error.value.message.startswith(f"{tmp_path / 'config.yaml'}: {complaint}")
    assert error.value.message.count("config.yaml") == 1


def test_passwords_that_others_can_read_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    load(tmp_path, "registries: {a: {token: hush}}")
    assert caplog.records == []

    (tmp_path / "config.yaml").chmod(0o644)
    with caplog.at_level(logging.WARNING):
        hosts = Hosts.load(tmp_path / "config.yaml")

    assert "others can read the passwords" in caplog.text
    assert "hush" not in caplog.text + repr(hosts)


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with FaultyRegistry() as registry:
        registry.add_model("ns/m", "latest", WEIGHTS)
        yield registry


@pytest.fixture
def elsewhere() -> Iterator[FaultyRegistry]:
    with FaultyRegistry() as other:
        other.add_model("ns/m", "latest", WEIGHTS)
        yield other


def pull(store: Store, registry: FaultyRegistry, access: Access) -> None:
    """The model's manifest and blobs, without a key."""
    hosts = Hosts({registry.host: access})
    remote = Registry(ModelName.parse(f"{registry.host}/ns/m"), Path("/no/key"), insecure=True, hosts=hosts)

    async def fetch() -> None:
        for blob in remote.blobs(await remote.fetch_manifest()):
            await blob.fetch(store.blobs, lambda line: None)

    asyncio.run(fetch())


def test_a_token_of_the_file_goes_along(store: Store, registry: FaultyRegistry) -> None:
    registry.token = "mine"

    pull(store, registry, Access(token="mine"))

    assert not registry.asked("GET", "/token")
    assert len(store.blobs.digests()) == 2


def test_name_and_password_get_a_token_without_a_key(store: Store, registry: FaultyRegistry) -> None:
    registry.token = "theirs"

    pull(store, registry, Access(username="me", password="secret"))

    assert {asked.headers["authorization"] for asked in registry.asked("GET", "/token")} == {BASIC}
    assert len(store.blobs.digests()) == 2


def test_a_password_goes_to_no_realm_that_was_not_named(
    store: Store, registry: FaultyRegistry, elsewhere: FaultyRegistry
) -> None:
    registry.token = elsewhere.token = "theirs"
    registry.realm = f"{elsewhere.origin}/token"

    with pytest.raises(RemoteError, match="does not match original host"):
        pull(store, registry, Access(username="me", password="secret"))
    assert elsewhere.requests == []

    pull(store, registry, Access(username="me", password="secret", token_host=elsewhere.host))
    assert len(store.blobs.digests()) == 2


def test_a_registry_that_wants_the_password_itself_gets_it(store: Store, registry: FaultyRegistry) -> None:
    def guarded(exchange: faults.Exchange) -> None:
        if exchange.asked.headers.get("authorization") == BASIC:
            registry.answer(exchange)
        else:
            exchange.answer(401, WWW_Authenticate='Basic realm="fake"')

    for method in ("GET", "HEAD"):
        registry.fault(method, "/v2/", guarded, times=FOR_EVER)

    with pytest.raises(RemoteError, match="unauthorized: access denied") as refused:
        pull(store, registry, Access())
    assert "config.yaml" in refused.value.hint

    pull(store, registry, Access(username="me", password="secret"))
    assert len(store.blobs.digests()) == 2


def test_a_mirror_is_asked_first_and_without_the_registrys_password(
    store: Store, registry: FaultyRegistry, elsewhere: FaultyRegistry
) -> None:
    pull(store, registry, Access(token="mine", mirrors=(elsewhere.origin,)))

    assert registry.requests == []
    assert not [asked for asked in elsewhere.requests if "authorization" in asked.headers]
    assert len(store.blobs.digests()) == 2


@pytest.mark.parametrize("fault", [faults.status(404), faults.status(403), faults.serve(b"x" * len(WEIGHTS))])
def test_a_mirror_that_cannot_or_lies_is_passed_over(
    store: Store, registry: FaultyRegistry, elsewhere: FaultyRegistry, fault: faults.Fault
) -> None:
    elsewhere.fault("GET", "/blobs/", fault, times=FOR_EVER)

    pull(store, registry, Access(mirrors=("http://127.0.0.1:1", elsewhere.origin)))

    assert len(store.blobs.digests()) == 2


def test_a_proxy_carries_every_request(store: Store, registry: FaultyRegistry, elsewhere: FaultyRegistry) -> None:
    def refuse(exchange: faults.Exchange) -> None:
        exchange.answer(403, b"not through me")

    elsewhere.fault("GET", f"http://{registry.host}/v2/", refuse)

    with pytest.raises(RemoteError, match="403: not through me"):
        pull(store, registry, Access(proxy=elsewhere.origin))
    assert registry.requests == []


def test_a_registry_of_artefacts_may_name_any_host_for_its_tokens_and_nothing_secret_goes_there(
    store: Store, registry: FaultyRegistry, elsewhere: FaultyRegistry
) -> None:
    registry.token = elsewhere.token = "theirs"
    registry.realm = f"{elsewhere.origin}/token"
    remote = Registry(ModelName.parse(f"oci://{registry.host}/ns/m"), Path("/no/key"), insecure=True)

    async def fetch() -> None:
        for blob in remote.blobs(await remote.fetch_manifest()):
            await blob.fetch(store.blobs, lambda line: None)

    asyncio.run(fetch())

    assert len(store.blobs.digests()) == 2
    (asked, *_) = elsewhere.asked("GET", "/token")
    assert "authorization" not in asked.headers
    assert "nonce" not in asked.path


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("oci://docker.io/ai/m", "https://registry-1.docker.io"),
        ("oci://ghcr.io/org/m:v1", "https://ghcr.io"),
        ("ghcr.io/org/m:v1", "https://ghcr.io"),
    ],
)
def test_an_artefacts_registry_is_asked_where_it_is(name: str, base: str) -> None:
    session = Registry(ModelName.parse(name), Path("/no/key")).open()

    assert session.base == base
    asyncio.run(session.client.aclose())


def test_the_users_own_authority_is_trusted_for_its_registry_alone(store: Store, tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    with FaultyRegistry(tls=authority.server) as registry:
        registry.add_model("ns/m", "latest", WEIGHTS)
        (tmp_path / "config.yaml").write_text(f"registries: {{'{registry.host}': {{ca_file: {authority.ca_file}}}}}")
        hosts = Hosts.load(tmp_path / "config.yaml")
        name = ModelName.parse(f"{registry.host}/ns/m")

        async def fetch(hosts: Hosts) -> None:
            remote = Registry(name, Path("/no/key"), hosts=hosts)
            for blob in remote.blobs(await remote.fetch_manifest()):
                await blob.fetch(store.blobs, lambda line: None)

        with pytest.raises(RemoteError, match="certificate was not accepted") as refused:
            asyncio.run(fetch(Hosts()))
        assert "ca_file" in refused.value.hint
        asyncio.run(fetch(hosts))

    assert len(store.blobs.digests()) == 2


def test_the_mirror_of_a_registry_of_artefacts_is_asked_for_artefacts() -> None:
    hosts = Hosts({"docker.io": Access(mirrors=("https://mirror.example", "http://10.0.0.1:5000"))})

    places = Registry(ModelName.parse("oci://docker.io/ai/m"), Path("/no/key"), hosts=hosts).places

    assert [(place.name.host, place.name.scheme, place.insecure) for place in places] == [
        ("mirror.example", "oci", False),
        ("10.0.0.1:5000", "oci", True),
        ("docker.io", "oci", False),
    ]
