"""Downloads from a real server on a real socket, with every fault that a network has."""

import asyncio
import hashlib
import os
import shutil
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fakes.authority import make_authority
from fakes.http_files import (
    BlindRanges,
    Chunked,
    Cut,
    FileServer,
    Headers,
    Honest,
    NewVersion,
    NoRanges,
    Redirect,
    Stall,
    Status,
    Step,
)

from ollamapy.errors import Error, RemoteError, StoreError
from ollamapy.names import Digest, ModelName
from ollamapy.remotes import inside
from ollamapy.remotes.base import Entry, Source, pulling, verifying
from ollamapy.remotes.hosts import Access, Hosts
from ollamapy.remotes.url import Patience, UrlRemote
from ollamapy.store.blobs import Blobs
from ollamapy.store.store import Store
from ollamapy.wire.native import Progress

CONTENT = bytes(range(256)) * 12_000
DIGEST = Digest(hashlib.sha256(CONTENT).hexdigest())
OTHER = b"another version" * 150_000


@dataclass
class Fetch:
    """What a fetch did: its digest or error, the lines it reported and the pauses it wanted."""

    server: FileServer
    blobs: Blobs
    lines: list[Progress] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    stall_seconds: float = 120.0

    async def run(self, url: str = "", **known: Any) -> Digest:
        source = Source("url", url or self.server.url, **known)
        patience = Patience(stall_seconds=self.stall_seconds, sleep=self._sleep)
        remote = UrlRemote(Entry(ModelName.parse("tiny"), source), insecure=True, patience=patience)
        return await remote.fetch(self.blobs, self.lines.append)

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    @property
    def ranges(self) -> list[str]:
        return [asked.headers.get("range", "") for asked in self.server.requests]

    @property
    def leftovers(self) -> list[str]:
        """What lies beside the blobs."""
        folder = self.blobs.partial_path("x").parent
        return [path.name for path in folder.iterdir() if not path.name.startswith("sha256-")]


Play = Callable[[Fetch], Coroutine[Any, Any, None]]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def against(store: Store) -> Callable[..., Fetch]:
    """Runs a play against a server with a script."""

    def start(play: Play, *script: Step, content: bytes = CONTENT, has_etag: bool = True) -> Fetch:
        async def main() -> Fetch:
            async with FileServer(content, script, has_etag) as server:
                fetch = Fetch(server, store.blobs)
                await play(fetch)
                return fetch

        return asyncio.run(main())

    return start


async def succeed(fetch: Fetch) -> None:
    digest = await fetch.run()

    assert digest.hex == hashlib.sha256(fetch.server.content).hexdigest()
    assert fetch.blobs.path(digest).read_bytes() == fetch.server.content
    assert fetch.leftovers == []


def fail(kind: type[Error], text: str, **known: Any) -> Play:
    async def play(fetch: Fetch) -> None:
        with pytest.raises(kind, match=text):
            await fetch.run(**known)

    return play


def test_a_file_comes_whole_with_lines_that_count_up(against: Any) -> None:
    fetch = against(succeed)

    sizes = [line.completed for line in fetch.lines[:-1]]
    assert sizes == sorted(sizes)
    assert fetch.lines[-2] == Progress("pulling Tiny%20Model.gguf", total=len(CONTENT), completed=len(CONTENT))
    assert fetch.lines[-1] == verifying()


def test_a_known_digest_and_size_are_shown_and_checked(against: Any) -> None:
    async def play(fetch: Fetch) -> None:
        assert await fetch.run(digest=DIGEST, size=len(CONTENT)) == DIGEST

    fetch = against(play)

    line = fetch.lines[-2]
    assert (line.status, line.digest) == (f"pulling {DIGEST.short}", str(DIGEST))


def test_a_blob_that_is_there_is_not_fetched_again(against: Any) -> None:
    async def play(fetch: Fetch) -> None:
        await fetch.run(digest=DIGEST)
        fetch.lines.clear()
        await fetch.run(digest=DIGEST)

    fetch = against(play)

    assert len(fetch.server.requests) == 1
    assert fetch.lines == [pulling(Source("url", "", digest=DIGEST), len(CONTENT), len(CONTENT))]


def test_a_download_says_who_asks_and_wants_no_encoding(against: Any) -> None:
    (asked,) = against(succeed).server.requests

    assert asked.headers["user-agent"].startswith("ollamapy/")
    assert asked.headers["accept-encoding"] == "identity"
    assert "authorization" not in asked.headers


def test_a_cut_download_goes_on_where_it_broke_off(against: Any) -> None:
    fetch = against(succeed, Cut(1_000_000), Cut(500))

    assert fetch.ranges == ["", "bytes=1000000-", "bytes=1000500-"]
    assert fetch.server.sent_bytes == len(CONTENT)
    assert fetch.server.requests[1].headers["if-range"] == fetch.server.etag
    assert len(fetch.pauses) == 2


def test_another_process_goes_on_where_the_last_one_broke_off(against: Any) -> None:
    async def play(fetch: Fetch) -> None:
        with pytest.raises(RemoteError, match="access denied"):
            await fetch.run()
        assert fetch.leftovers != []
        await succeed(fetch)

    fetch = against(play, Cut(1_000_000), Status(403))

    assert fetch.ranges == ["", "bytes=1000000-", "bytes=1000000-"]


def test_a_cancelled_download_keeps_what_came(against: Any) -> None:
    async def play(fetch: Fetch) -> None:
        task = asyncio.create_task(fetch.run(digest=DIGEST, size=len(CONTENT)))
        await fetch.server.stalled.wait()
        while not fetch.lines or fetch.lines[-1].completed < 1_000_000:
            await asyncio.wait({task}, timeout=0.005)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        assert not fetch.blobs.has(DIGEST)
        await fetch.run(digest=DIGEST, size=len(CONTENT))

    fetch = against(play, Stall(1_000_000))

    assert fetch.ranges == ["", "bytes=1000000-"]
    assert fetch.leftovers == []


def test_a_file_that_is_complete_but_was_not_taken_in_is_not_fetched_again(against: Any, store: Store) -> None:
    """The daemon may be killed between the last byte and the rename."""

    async def play(fetch: Fetch) -> None:
        with pytest.raises(RemoteError):
            await fetch.run()
        (partial,) = (store.blobs.partial_path("x").parent / name for name in fetch.leftovers if "json" not in name)
        with partial.open("ab") as file:
            file.write(CONTENT[1_000_000:])
        await succeed(fetch)

    fetch = against(play, Cut(1_000_000), Status(403))

    assert len(fetch.server.requests) == 2


def test_a_server_without_ranges_starts_from_the_first_byte(against: Any) -> None:
    fetch = against(succeed, Cut(1_000_000), NoRanges())

    assert fetch.ranges == ["", "bytes=1000000-"]


@pytest.mark.parametrize("size", [len(CONTENT), 5_000, len(OTHER)])
def test_a_file_that_changed_meanwhile_is_fetched_anew(against: Any, size: int) -> None:
    """Bytes of two versions must never end up in one file."""
    fetch = against(succeed, Cut(1_000_000), NewVersion((OTHER * 3)[:size]))

    assert fetch.server.content == (OTHER * 3)[:size]


def test_a_server_that_ignores_if_range_cannot_mix_versions(against: Any) -> None:
    async def play(fetch: Fetch) -> None:
        with pytest.raises(RemoteError):
            await fetch.run()
        fetch.server.content = OTHER
        await succeed(fetch)

    fetch = against(play, Cut(1_000_000), Status(403), BlindRanges())

    assert fetch.ranges == ["", "bytes=1000000-", "bytes=1000000-", ""]


def test_without_a_validator_or_a_digest_nothing_is_continued(against: Any) -> None:
    fetch = against(succeed, Cut(1_000_000), has_etag=False)

    assert fetch.ranges == ["", ""]


def test_with_a_digest_a_download_is_continued_without_a_validator(against: Any) -> None:
    async def play(fetch: Fetch) -> None:
        assert await fetch.run(digest=DIGEST) == DIGEST

    fetch = against(play, Cut(1_000_000), has_etag=False)

    assert fetch.ranges == ["", "bytes=1000000-"]
    assert "if-range" not in fetch.server.requests[1].headers


def test_passing_faults_of_the_server_are_waited_for_with_growing_pauses(against: Any) -> None:
    fetch = against(succeed, Status(503), Status(429), Cut(0), Cut(0), Honest())

    bounds = [(0.25, 0.75), (0.5, 1.5), (1.0, 3.0), (2.0, 6.0)]
    assert len(fetch.pauses) == len(bounds)
    assert all(low <= pause <= high for pause, (low, high) in zip(fetch.pauses, bounds, strict=True))


def test_retries_end(against: Any) -> None:
    fetch = against(fail(RemoteError, "max retries exceeded: 127.0.0.1 answered 500"), *[Status(500)] * 20)

    assert len(fetch.server.requests) == 6


def test_an_attempt_that_brought_much_begins_the_count_anew(against: Any) -> None:
    """A long download over a bad line must not fail because of its length."""
    content = os.urandom(12 << 20)

    fetch = against(succeed, *[Cut((1 << 20) + 1)] * 10, content=content)

    assert len(fetch.server.requests) == 11


def test_a_server_that_is_not_there_is_given_up_soon(store: Store) -> None:
    async def main() -> Fetch:
        async with FileServer(CONTENT) as server:
            url = server.url
        fetch = Fetch(server, store.blobs)
        with pytest.raises(RemoteError, match="max retries exceeded") as caught:
            await fetch.run(url)
        assert caught.value.hint == "check the network"
        return fetch

    assert len(asyncio.run(main()).pauses) == 2


def test_a_stalled_connection_is_dropped_and_the_rest_asked_for(against: Any) -> None:
    async def play(fetch: Fetch) -> None:
        fetch.stall_seconds = 2.0  # so long that the pauses of a busy machine are no stalls
        await succeed(fetch)

    fetch = against(play, Stall(1_000_000))

    assert fetch.ranges == ["", "bytes=1000000-"]


def test_a_wrong_digest_is_an_error_and_leaves_nothing(against: Any) -> None:
    text = f"^digest mismatch, file must be downloaded again: want {DIGEST}, got sha256:[0-9a-f]{{64}}$"

    fetch = against(fail(RemoteError, text, digest=DIGEST), content=OTHER)

    assert fetch.leftovers == []
    assert not fetch.blobs.has(DIGEST)


@pytest.mark.parametrize("wanted", [len(CONTENT) - 1, len(CONTENT) + 1])
def test_a_size_that_the_catalogue_does_not_know_is_refused_before_the_first_byte(against: Any, wanted: int) -> None:
    fetch = against(fail(RemoteError, f"the catalogue says {wanted}", size=wanted))

    assert fetch.leftovers == []


def test_a_body_shorter_than_announced_is_never_taken_for_the_file(against: Any) -> None:
    lie = Headers((("Content-Length", str(len(CONTENT) + 10)),))

    against(fail(RemoteError, "max retries exceeded"), *[lie] * 20)


def test_a_body_that_goes_on_past_the_known_size_is_refused(against: Any) -> None:
    text = "sends more than the 1000 bytes"

    against(fail(RemoteError, text, size=1000), Chunked())


def test_a_body_of_unknown_length_that_ends_early_is_not_taken(against: Any) -> None:
    endless = Headers((("Content-Length", None),))

    against(fail(RemoteError, "max retries exceeded", size=len(CONTENT) + 1), *[endless] * 20)


def test_a_file_of_unknown_length_comes_too(against: Any) -> None:
    fetch = against(succeed, Chunked())

    assert fetch.lines[-2].completed == len(CONTENT)
    assert fetch.lines[-2].total == 0


def test_an_encoded_body_is_refused(against: Any) -> None:
    against(fail(RemoteError, "encoded as gzip"), Headers((("Content-Encoding", "gzip"),)))


def test_a_missing_file_is_said_at_once(against: Any) -> None:
    fetch = against(fail(RemoteError, "^pull model manifest: file does not exist$"), Status(404))

    assert len(fetch.server.requests) == 1


def test_redirects_are_followed_to_another_host_and_nothing_private_goes_with_them(against: Any) -> None:
    async def play(fetch: Fetch) -> None:
        async with FileServer(CONTENT, [Redirect(fetch.server.url)]) as front:
            await fetch.run(front.url)

    (asked,) = against(play).server.requests

    assert not asked.headers.keys() & {"authorization", "cookie", "referer"}


def test_a_redirect_loop_ends(against: Any) -> None:
    fetch = against(fail(RemoteError, r"maximum redirects exceeded \(10\)"), *[Redirect("/again.gguf")] * 50)

    assert len(fetch.server.requests) == 11


def test_a_redirect_to_a_file_of_this_machine_is_refused(against: Any) -> None:
    against(fail(RemoteError, "redirects to file"), Redirect("file:///etc/passwd"))


def test_plain_http_is_not_asked_unless_allowed(store: Store) -> None:
    async def main() -> None:
        async with FileServer(CONTENT) as server:
            remote = UrlRemote(Entry(ModelName.parse("tiny"), Source("url", server.url)))
            with pytest.raises(RemoteError, match="insecure protocol http"):
                await remote.fetch(store.blobs, lambda line: None)
            assert server.requests == []

    asyncio.run(main())


def test_a_disk_without_room_is_said_before_the_first_byte(against: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)

    fetch = against(fail(StoreError, "no room for the model: 3.1 MB needed, 1 KB free"))

    assert fetch.leftovers == []


def test_a_proxy_setting_that_makes_no_sense_is_named(against: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "nonsense://x")

    against(fail(RemoteError, "proxy or certificate settings"))


def test_a_password_never_reaches_the_disk(against: Any, store: Store) -> None:
    """Signed URLs carry their key in the query."""

    async def play(fetch: Fetch) -> None:
        with pytest.raises(RemoteError):
            await fetch.run(fetch.server.url + "?key=secret")

    against(play, Cut(1000), Status(403))

    (mark,) = Path(store.blobs.partial_path("x").parent).glob("*.json")
    assert "secret" not in mark.read_text()


PROMISE = ("X-Checksum-SHA256", DIGEST.hex)
LIE = ("X-Checksum-SHA256", "1" * 64)


def test_what_the_server_promises_is_held_against_it(against: Any) -> None:
    against(succeed, Headers((PROMISE,)))

    fetch = against(fail(RemoteError, "digest mismatch|other content|not what"), Headers((LIE,)))

    assert fetch.leftovers == []
    assert not fetch.blobs.has(Digest("1" * 64))


def test_a_promise_is_as_good_as_an_etag_for_going_on(against: Any) -> None:
    """The first answer promises everything and is cut; nothing but the promise allows to go on."""

    async def play(fetch: Fetch) -> None:
        fetch.server.extra = {"X-Checksum-SHA256": DIGEST.hex}
        await succeed(fetch)

    fetch = against(play, Cut(2_000_000), has_etag=False)

    assert fetch.ranges == ["", "bytes=2000000-"]


def test_a_file_that_is_there_by_the_servers_word_is_not_fetched_again(against: Any) -> None:
    async def play(fetch: Fetch) -> None:
        await fetch.run()
        fetch.lines.clear()
        assert await fetch.run() == DIGEST
        assert fetch.leftovers == []

    fetch = against(play, Headers((PROMISE,)), Headers((PROMISE,)))

    assert [line.completed for line in fetch.lines] == [len(CONTENT)]


def test_a_redirect_from_the_internet_leads_to_no_private_network(
    against: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names are made up: the first server is told to be a public one."""

    async def resolve(host: str) -> list[str]:
        return {"127.0.0.1": ["93.184.215.14"], "localhost": ["127.0.0.1"]}[host]

    monkeypatch.setattr(inside, "resolved", resolve)

    async def play(fetch: Fetch) -> None:
        elsewhere = fetch.server.origin.replace("127.0.0.1", "localhost")
        fetch.server._steps = [Redirect(f"{elsewhere}/x.gguf")]
        with pytest.raises(RemoteError, match=r"127\.0\.0\.1 redirects to localhost, which is inside this network"):
            await fetch.run()

    fetch = against(play)

    assert len(fetch.server.requests) == 1


def test_plain_http_is_for_this_machine_only(store: Store) -> None:
    remote = UrlRemote(Entry(ModelName.parse("tiny"), Source("url", "http://files.example/x.gguf")), insecure=True)

    with pytest.raises(RemoteError, match="insecure protocol http") as refused:
        asyncio.run(remote.fetch(store.blobs, lambda line: None))
    assert "from this machine only" in refused.value.hint


def test_the_users_own_authority_is_trusted_where_it_was_named(store: Store, tmp_path: Path) -> None:
    authority = make_authority(tmp_path)

    async def main() -> None:
        async with FileServer(CONTENT, tls=authority.server) as server:
            entry = Entry(ModelName.parse("tiny"), Source("url", server.url))
            with pytest.raises(RemoteError, match="certificate was not accepted") as refused:
                await UrlRemote(entry).fetch(store.blobs, lambda line: None)
            assert "ca_file" in refused.value.hint
            hosts = Hosts({urlsplit(server.url).netloc: Access(ca_file=str(authority.ca_file))})
            assert await UrlRemote(entry, hosts=hosts).fetch(store.blobs, lambda line: None) == DIGEST

    asyncio.run(main())
