"""Pulling a blob from a registry that does everything wrong that a registry can."""

import asyncio
import gc
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fakes import faulty_registry as faults
from fakes.faulty_registry import FOR_EVER, FaultyRegistry

from ollamapy.errors import InvalidDigest, RemoteError, StoreError
from ollamapy.names import Digest, ModelName
from ollamapy.remotes.oci import parts as plans
from ollamapy.remotes.oci.auth import create_key
from ollamapy.remotes.oci.download import Download
from ollamapy.remotes.oci.remote import Registry
from ollamapy.remotes.oci.session import Session
from ollamapy.remotes.oci.source import Source
from ollamapy.store.store import Store
from ollamapy.wire.native import Progress

DATA = random.Random(6).randbytes(400_000)
PART = 100_000
BLOB = "/blobs/"


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with FaultyRegistry() as registry:
        registry.add_blob(DATA)
        yield registry


@pytest.fixture
def elsewhere() -> Iterator[FaultyRegistry]:
    """Another host, which has the blob too."""
    with FaultyRegistry() as other:
        other.add_blob(DATA)
        yield other


@dataclass
class Puller:
    """Downloads DATA, with pauses that take no time. `part_bytes` is the least size of a part."""

    store: Store
    registry: FaultyRegistry
    key_file: Path
    part_bytes: int = PART
    stall_seconds: float = 60.0
    pauses: list[float] = field(default_factory=list)
    lines: list[Progress] = field(default_factory=list)

    def pull(self) -> Digest:
        return asyncio.run(self._pull())

    async def _pull(self) -> Digest:
        name = ModelName.parse(f"{self.registry.host}/ns/m")
        async with Session.open(name, self.key_file, insecure=True, stall_seconds=self.stall_seconds) as session:
            path = f"/v2/ns/m/blobs/{self.digest}"
            source = Source(session, path, self.digest, len(DATA))
            download = Download([source], self.digest, len(DATA), self.store.blobs, self.lines.append)
            download.min_part_bytes, download.sleep = self.part_bytes, self._sleep
            return await download.run()

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    @property
    def digest(self) -> Digest:
        return Digest.parse(self.registry.add_blob(DATA))

    @property
    def num_here(self) -> int:
        """Bytes that the next pull need not fetch."""
        return plans.completed(plans.load(self.store.blobs.partial_path(self.digest.filename)))

    def fails(self, text: str, kind: type[Exception] = RemoteError) -> None:
        """The pull raises, nothing of it counts as a blob."""
        with pytest.raises(kind, match=text):
            self.pull()
        assert not self.store.blobs.has(self.digest)

    def is_whole(self) -> bool:
        blobs = self.store.blobs
        names = [path.name for path in blobs.folder.iterdir()]
        return names == [self.digest.filename] and blobs.path(self.digest).read_bytes() == DATA


@pytest.fixture
def puller(store: Store, registry: FaultyRegistry, tmp_path: Path) -> Iterator[Puller]:
    create_key(tmp_path / "key")
    yield Puller(store, registry, tmp_path / "key")
    gc.collect()


def test_parts_arrive_together_and_make_the_blob(puller: Puller) -> None:
    puller.pull()

    assert puller.is_whole()
    ranges = [asked.headers["range"] for asked in puller.registry.asked("GET", BLOB)]
    assert sorted(ranges[1:]) == [f"bytes={start}-{start + PART - 1}" for start in range(0, 400_000, PART)]
    assert puller.lines[-1].completed == puller.lines[-1].total == len(DATA)


def test_an_empty_blob_is_a_blob(puller: Puller, tmp_path: Path) -> None:
    digest = Digest.parse(puller.registry.add_blob(b""))

    async def pull() -> Digest:
        async with Session.open(ModelName.parse(f"{puller.registry.host}/a/b"), tmp_path, insecure=True) as session:
            source = Source(session, f"/v2/a/b/blobs/{digest}", digest, 0)
            return await Download([source], digest, 0, puller.store.blobs, puller.lines.append).run()

    assert asyncio.run(pull()) == digest
    assert puller.store.blobs.read(digest) == b""


@pytest.mark.parametrize("count", [0, 1, 30_000, 99_999])
def test_a_connection_that_is_cut_is_taken_up_where_it_broke(puller: Puller, count: int) -> None:
    puller.registry.fault("GET", BLOB, faults.no_ranges)  # the question where the bytes are
    puller.registry.fault("GET", BLOB, faults.cut(count), times=3)

    puller.pull()

    assert puller.is_whole()
    starts = {int(asked.headers["range"][6:].partition("-")[0]) for asked in puller.registry.asked("GET", BLOB)}
    assert any(start % PART == count for start in starts)
    assert len(puller.pauses) == 3


def test_six_failures_end_the_pull_and_the_next_one_goes_on(puller: Puller) -> None:
    puller.part_bytes = len(DATA)
    puller.registry.fault("GET", BLOB, faults.serve(DATA))
    puller.registry.fault("GET", BLOB, faults.cut(10_000), times=6)

    puller.fails("^max retries exceeded: peer closed connection")
    assert puller.num_here == 60_000
    assert [round(pause / 1.25) <= 2**n <= round(pause / 0.75) for n, pause in enumerate(puller.pauses)] == [True] * 5

    before = puller.registry.sent_bytes
    puller.pull()
    assert puller.is_whole()
    assert puller.registry.sent_bytes - before <= len(DATA) - 60_000 + 1


def test_wrong_bytes_are_never_a_blob_and_are_fetched_anew(puller: Puller) -> None:
    puller.registry.fault("GET", BLOB, faults.serve(b"x" * len(DATA)), times=5)

    puller.fails("^digest mismatch, file must be downloaded again: want sha256:", InvalidDigest)
    assert puller.num_here == 0

    puller.pull()
    assert puller.is_whole()


def test_a_length_other_than_the_manifests_is_refused_before_anything_is_fetched(puller: Puller) -> None:
    puller.registry.fault("HEAD", BLOB, faults.serve(b"short"))

    puller.fails("has 5 bytes, the manifest says 400000")
    assert puller.registry.sent_bytes == 0


def test_a_body_without_end_is_left_when_the_part_is_here(puller: Puller) -> None:
    puller.registry.fault("GET", BLOB, faults.endless, times=FOR_EVER)

    puller.pull()

    assert puller.is_whole()


def test_another_range_than_the_one_asked_for_is_refused(puller: Puller) -> None:
    puller.registry.fault("GET", BLOB, faults.serve(DATA))
    puller.registry.fault("GET", BLOB, faults.wrong_range, times=FOR_EVER)

    puller.fails("asked for bytes from")


def test_a_file_that_changes_its_size_between_parts_is_noticed(puller: Puller) -> None:
    puller.registry.fault("GET", BLOB, faults.serve(DATA), times=3)
    puller.registry.fault("GET", BLOB, faults.serve(DATA + b"more"), times=FOR_EVER)

    puller.fails("has 400004 bytes now, the manifest says 400000")


def test_a_file_that_changes_its_bytes_between_parts_is_noticed(puller: Puller) -> None:
    puller.registry.fault("GET", BLOB, faults.serve(DATA), times=3)
    puller.registry.fault("GET", BLOB, faults.serve(b"y" * len(DATA)), times=FOR_EVER)

    puller.fails("digest mismatch", InvalidDigest)


@pytest.mark.parametrize("code", [403, 404, 410])
def test_what_will_not_pass_ends_the_pull_at_once(puller: Puller, code: int) -> None:
    puller.registry.fault("HEAD", BLOB, faults.status(code, "no"))

    puller.fails("^file does not exist$" if code == 404 else f"^{code}: ")
    assert puller.pauses == []


def test_a_registry_that_says_when_to_come_back_is_obeyed(puller: Puller) -> None:
    puller.registry.fault("GET", BLOB, faults.serve(DATA))
    puller.registry.fault("GET", BLOB, faults.status(429, "slowly", Retry_After="7"))

    puller.pull()

    assert puller.is_whole()
    assert puller.pauses == [7.0]


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_burst_of_errors_is_waited_out(puller: Puller, method: str) -> None:
    puller.registry.fault(method, BLOB, faults.status(500, "oops"), times=4)
    puller.registry.fault(method, BLOB, faults.status(503), times=2)

    puller.pull()

    assert puller.is_whole()
    assert len(puller.pauses) == 6


def test_errors_without_end_give_up_after_half_a_minute(puller: Puller) -> None:
    puller.registry.fault("GET", BLOB, faults.status(500, "oops"), times=FOR_EVER)

    puller.fails("^500: oops$")
    assert 15 < sum(puller.pauses) <= 45


def test_a_redirect_without_end_is_left(puller: Puller) -> None:
    puller.registry.fault("GET", BLOB, faults.redirect("/v2/ns/m/blobs/again"), times=FOR_EVER)

    puller.fails(r"^maximum redirects exceeded \(10\) for directURL$")
    assert len(puller.registry.asked("GET")) == 11


def test_a_redirect_on_the_registrys_own_host_is_followed(puller: Puller) -> None:
    puller.registry.fault("GET", BLOB, faults.redirect(f"/moved/{puller.digest}"))

    puller.pull()

    assert puller.is_whole()
    assert len(puller.registry.asked("GET", "/moved/")) == 5


@pytest.mark.parametrize("location", ["ftp://a/b", "file:///etc/passwd"])
def test_a_redirect_to_no_web_server_is_refused(puller: Puller, location: str) -> None:
    puller.registry.fault("GET", BLOB, faults.redirect(location))

    puller.fails("redirects to (ftp|file), which is refused")


def test_a_redirect_to_what_is_no_url_is_refused(puller: Puller) -> None:
    puller.registry.fault("GET", BLOB, faults.redirect("https://a[b/c"))

    puller.fails("redirects to what is no URL")


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_the_token_stays_with_the_registry_when_the_bytes_are_elsewhere(
    puller: Puller, elsewhere: FaultyRegistry, method: str
) -> None:
    puller.registry.token = "secret"
    location = f"{elsewhere.origin}/signed/{puller.digest}"
    puller.registry.fault(method, BLOB, faults.status(401, WWW_Authenticate=_challenge(puller.registry)))
    puller.registry.fault(method, BLOB, faults.redirect(location), times=FOR_EVER)

    puller.pull()

    assert puller.is_whole()
    assert any(asked.headers.get("authorization") == "Bearer secret" for asked in puller.registry.requests)
    assert elsewhere.requests
    assert not [asked for asked in elsewhere.requests if "authorization" in asked.headers]


def _challenge(registry: FaultyRegistry) -> str:
    return f'Bearer realm="{registry.origin}/token",service="fake",scope="repository:ns/m:pull"'


def test_a_signed_place_that_ran_out_is_asked_for_again(puller: Puller, elsewhere: FaultyRegistry) -> None:
    puller.registry.fault("GET", BLOB, faults.redirect(f"{elsewhere.origin}/signed/{puller.digest}"), times=FOR_EVER)
    elsewhere.fault("GET", "/signed/", faults.status(403, "Request has expired"), times=2)

    puller.pull()

    assert puller.is_whole()
    assert len(puller.registry.asked("GET", BLOB)) == 3


def test_a_token_is_fetched_once_and_used(puller: Puller) -> None:
    puller.registry.token = "secret"

    puller.pull()

    assert puller.is_whole()
    assert len(puller.registry.asked("GET", "/token")) == 1


def test_a_registry_that_refuses_its_own_token_is_asked_twice(puller: Puller) -> None:
    puller.registry.token = "secret"
    challenge = faults.status(401, WWW_Authenticate=_challenge(puller.registry))
    puller.registry.fault("HEAD", BLOB, challenge, times=FOR_EVER)

    puller.fails("^unauthorized: access denied$")
    assert len(puller.registry.asked("HEAD")) == 2


def test_a_realm_on_another_host_gets_no_signature(puller: Puller, elsewhere: FaultyRegistry) -> None:
    puller.registry.token = "secret"
    puller.registry.realm = f"{elsewhere.origin}/token"

    puller.fails(f'^realm host "{elsewhere.host}" does not match original host "{puller.registry.host}"$')
    assert elsewhere.requests == []


def test_a_realm_that_is_no_url_is_refused(puller: Puller) -> None:
    puller.registry.token = "secret"
    puller.registry.realm = "https://a[b/token"

    puller.fails("which is no URL")


def test_a_token_without_end_is_left(puller: Puller) -> None:
    puller.registry.token = "secret"
    puller.registry.fault("GET", "/token", faults.serve(b" " * (1 << 20)))

    puller.fails("larger than 65536 bytes")


def test_a_part_that_stalls_is_asked_for_again_and_costs_no_try(puller: Puller) -> None:
    puller.part_bytes, puller.stall_seconds = len(DATA), 2.0  # a busy machine pauses for less
    puller.registry.fault("GET", BLOB, faults.serve(DATA))
    puller.registry.fault("GET", BLOB, faults.stall(70_000), times=2)

    puller.pull()

    assert puller.is_whole()
    assert puller.pauses == []
    assert puller.registry.asked("GET", BLOB)[-1].headers["range"] == "bytes=140000-399999"


def test_a_pull_that_is_cancelled_keeps_what_came_and_no_more(puller: Puller) -> None:
    puller.part_bytes = len(DATA)
    puller.registry.fault("GET", BLOB, faults.serve(DATA))
    puller.registry.fault("GET", BLOB, faults.stall(70_000))

    async def cancel() -> None:
        task = asyncio.create_task(puller._pull())
        await asyncio.to_thread(puller.registry.stalled.wait, 120)
        task.cancel()
        await asyncio.wait({task})

    asyncio.run(cancel())

    partial = puller.store.blobs.partial_path(puller.digest.filename)
    assert puller.num_here <= 70_000
    assert partial.read_bytes()[: puller.num_here] == DATA[: puller.num_here]
    puller.pull()
    assert puller.is_whole()


def test_a_registry_that_accepts_and_says_nothing_is_given_up(puller: Puller) -> None:
    puller.part_bytes, puller.stall_seconds = len(DATA), 0.5
    puller.registry.fault("GET", BLOB, faults.serve(DATA))
    puller.registry.fault("GET", BLOB, faults.stall(0), times=FOR_EVER)

    puller.fails("^max retries exceeded: the registry sends nothing any more$")


def test_bytes_that_drip_arrive(puller: Puller) -> None:
    puller.part_bytes = len(DATA)
    puller.registry.fault("GET", BLOB, faults.serve(DATA))
    puller.registry.fault("GET", BLOB, faults.cut(len(DATA) - 500))
    puller.registry.fault("GET", BLOB, faults.drip)

    puller.pull()

    assert puller.is_whole()


def test_an_encoded_blob_is_refused(puller: Puller) -> None:
    puller.registry.fault("GET", BLOB, faults.with_headers(Content_Encoding="gzip"), times=FOR_EVER)

    puller.fails("sends the blob encoded as gzip, although that was not asked for")


def test_a_server_without_ranges_gives_the_blob_in_one_piece(puller: Puller) -> None:
    puller.registry.fault("GET", BLOB, faults.no_ranges, times=FOR_EVER)

    puller.pull()

    assert puller.is_whole()


def test_a_server_without_ranges_that_is_cut_begins_anew(puller: Puller) -> None:
    puller.registry.fault("GET", BLOB, faults.no_ranges, times=5)
    puller.registry.fault("GET", BLOB, faults.no_ranges_cut(300_000), times=2)
    puller.registry.fault("GET", BLOB, faults.no_ranges, times=FOR_EVER)

    puller.pull()

    assert puller.is_whole()


def test_a_server_without_ranges_that_is_always_cut_is_given_up(puller: Puller) -> None:
    puller.registry.fault("GET", BLOB, faults.no_ranges_cut(300_000), times=FOR_EVER)

    puller.fails("^max retries exceeded: ")


def test_a_size_that_the_registry_leaves_out_is_the_manifests(puller: Puller) -> None:
    puller.registry.fault("HEAD", BLOB, lambda exchange: exchange.head(200))

    puller.pull()

    assert puller.is_whole()


def test_parts_of_a_blob_of_another_size_are_forgotten(puller: Puller) -> None:
    partial = puller.store.blobs.partial_path(puller.digest.filename)
    partial.write_bytes(b"x" * 10)
    plans.begin(partial, [plans.Part(0, 0, 10, 10)])

    puller.pull()

    assert puller.is_whole()


def test_a_registry_that_is_gone_leaves_what_came(puller: Puller) -> None:
    puller.registry.fault("GET", BLOB, faults.serve(DATA), times=3)
    puller.registry.fault("GET", BLOB, faults.status(404), times=FOR_EVER)

    puller.fails("^file does not exist$")

    states = [path for path in puller.store.blobs.folder.iterdir() if "-partial-" in path.name]
    assert len(states) == 4


def test_a_disk_without_room_is_noticed_before_the_first_byte(puller: Puller, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    full = shutil.disk_usage(puller.store.blobs.folder)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)

    puller.fails("no room for the model", StoreError)
    assert puller.registry.asked("GET") == []


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_disk_that_is_full_on_the_way_keeps_what_came_and_the_next_pull_goes_on(
    puller: Puller, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    import errno
    import os

    left, real, real_one = int(share * len(DATA)), os.pwritev, os.pwrite

    def write(fd: int, pieces: list[bytes], offset: int) -> int:
        nonlocal left
        if not left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        data = b"".join(pieces)[:left]  # a disk takes what still fits
        left -= len(data)
        return real(fd, [data], offset)

    def write_one(fd: int, data: bytes, offset: int) -> int:
        is_state = len(data) < 200  # lies in a block that it has already
        return real_one(fd, data, offset) if is_state else write(fd, [bytes(data)], offset)

    monkeypatch.setattr(os, "pwritev", write)
    monkeypatch.setattr(os, "pwrite", write_one)
    puller.fails("no space left on the disk", StoreError)
    monkeypatch.undo()
    here, before = puller.num_here, puller.registry.sent_bytes
    partial = puller.store.blobs.partial_path(puller.digest.filename).read_bytes()
    assert sum(found == wanted for found, wanted in zip(partial, DATA, strict=True)) >= here

    puller.pull()

    assert puller.is_whole()
    assert puller.registry.sent_bytes - before <= len(DATA) - here + 1


def test_a_pull_does_not_care_what_time_it_is(puller: Puller, monkeypatch: pytest.MonkeyPatch) -> None:
    import itertools
    import time

    jumps = itertools.cycle([0.0, 4_000_000_000.0, 1_700_000_000.0, -5.0])
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    puller.registry.token = "secret"
    puller.registry.fault("GET", BLOB, faults.serve(DATA))
    puller.registry.fault("GET", BLOB, faults.cut(10_000), times=3)

    puller.pull()

    assert puller.is_whole()


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (faults.status(404), "^pull model manifest: file does not exist$"),
        (faults.status(429, "slowly"), "^pull model manifest: 429: slowly$"),
        (faults.status(500, "oops"), "^pull model manifest: 500: oops$"),
        (faults.status(403, "no"), "^pull model manifest: 403: no$"),
        (faults.redirect("/v2/ns/m/manifests/latest"), "^pull model manifest: maximum redirects exceeded"),
        (faults.serve(b"{"), "^pull model manifest: Input data was truncated"),
        (faults.serve(b" " * (5 << 20)), "^pull model manifest: the registry's answer is larger than"),
    ],
)
def test_a_manifest_that_cannot_be_had_is_the_contracts_error(
    registry: FaultyRegistry, tmp_path: Path, fault: faults.Fault, text: str
) -> None:
    registry.add_model("ns/m", "latest", DATA)
    registry.fault("GET", "/manifests/", fault, times=FOR_EVER)
    remote = Registry(ModelName.parse(f"{registry.host}/ns/m"), tmp_path / "key", insecure=True)

    with pytest.raises(RemoteError, match=text):
        asyncio.run(remote.fetch_manifest())


@pytest.mark.parametrize(("is_there", "hint"), [(False, "check the network"), (True, "oci://")])
def test_only_a_registry_that_answers_may_have_models_of_other_makers(
    registry: FaultyRegistry, tmp_path: Path, is_there: bool, hint: str
) -> None:
    host = registry.host if is_there else "http://127.0.0.1:1"
    remote = Registry(ModelName.parse(f"{host}/ns/nothing"), tmp_path / "key", insecure=True)

    with pytest.raises(RemoteError) as caught:
        asyncio.run(remote.fetch_manifest())

    assert hint in caught.value.hint
