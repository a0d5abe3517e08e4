"""Pushing a blob: what the registry is sent, and what happens when it does something wrong."""

import asyncio
import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fakes import faulty_registry as faults
from fakes.faulty_registry import FOR_EVER, FaultyRegistry

from ollamapy.errors import RemoteError, StoreError
from ollamapy.names import Digest, ModelName
from ollamapy.remotes.oci.auth import create_key
from ollamapy.remotes.oci.session import Session
from ollamapy.remotes.oci.upload import Upload
from ollamapy.wire.native import Progress

DATA = random.Random(7).randbytes(350_000)
DIGEST = Digest(hashlib.sha256(DATA).hexdigest())
PART = 100_000
UPLOADS = "/blobs/uploads/"


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with FaultyRegistry() as registry:
        yield registry


@pytest.fixture
def elsewhere() -> Iterator[FaultyRegistry]:
    with FaultyRegistry() as other:
        yield other


@dataclass
class Pusher:
    """Uploads the file at `path`, with pauses that take no time."""

    registry: FaultyRegistry
    folder: Path
    pauses: list[float] = field(default_factory=list)
    lines: list[Progress] = field(default_factory=list)

    def push(self, data: bytes = DATA, mount_from: str = "") -> Digest:
        return asyncio.run(self._push(data, mount_from))

    async def _push(self, data: bytes, mount_from: str) -> Digest:
        path = self.folder / "blob"
        if not path.exists():
            path.write_bytes(data)
        digest = Digest(hashlib.sha256(data).hexdigest())
        name = ModelName.parse(f"{self.registry.host}/ns/m")
        async with Session.open(name, self.folder / "key", insecure=True) as session:
            upload = Upload(session, "ns/m", digest, len(data), path, self.lines.append, mount_from)
            upload.min_part_bytes, upload.sleep = PART, self._sleep
            return await upload.run()

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    @property
    def arrived(self) -> bool:
        return self.registry.blobs.get(str(DIGEST)) == DATA


@pytest.fixture
def pusher(registry: FaultyRegistry, tmp_path: Path) -> Pusher:
    create_key(tmp_path / "key")
    return Pusher(registry, tmp_path)


def test_a_blob_goes_in_parts_and_is_closed_with_its_digest(pusher: Pusher) -> None:
    assert pusher.push() == DIGEST

    assert pusher.arrived
    patches = pusher.registry.asked("PATCH")
    ranges = [asked.headers["content-range"] for asked in patches]
    assert ranges == ["0-99999", "100000-199999", "200000-299999", "300000-349999"]
    assert [asked.headers["content-length"] for asked in patches] == ["100000"] * 3 + ["50000"]
    assert {asked.headers["x-redirect-uploads"] for asked in patches} == {"1"}
    assert [asked.path.rpartition("?")[2] for asked in patches] == ["at=0", "at=100000", "at=200000", "at=300000"]
    (closed,) = pusher.registry.asked("PUT")
    sums = [hashlib.md5(DATA[at : at + PART]).digest() for at in range(0, len(DATA), PART)]
    assert closed.path.endswith(
        f"?at=350000&digest=sha256%3A{DIGEST.hex}&etag={hashlib.md5(b''.join(sums)).hexdigest()}-4"
    )
    assert pusher.lines[-1].completed == len(DATA)


def test_a_blob_that_is_there_is_not_sent(pusher: Pusher) -> None:
    pusher.registry.add_blob(DATA)

    pusher.push()

    assert set(pusher.registry.counts()) == {"HEAD"}
    assert pusher.lines[-1].completed == len(DATA)


def test_a_blob_of_another_repository_is_mounted(pusher: Pusher) -> None:
    digest = pusher.registry.add_blob(DATA)
    pusher.registry.fault("HEAD", "/ns/m/", faults.status(404))

    pusher.push(mount_from="library/base")

    (opened,) = pusher.registry.asked("POST")
    assert opened.path == f"/v2/ns/m/blobs/uploads/?mount=sha256%3A{digest[7:]}&from=library%2Fbase"
    assert not pusher.registry.asked("PATCH")


def test_a_blob_that_cannot_be_mounted_is_sent(pusher: Pusher) -> None:
    pusher.push(mount_from="library/base")

    assert pusher.arrived


def test_an_empty_blob_is_only_opened_and_closed(pusher: Pusher) -> None:
    digest = pusher.push(b"")

    assert pusher.registry.blobs[str(digest)] == b""
    assert not pusher.registry.asked("PATCH")


def test_parts_that_the_registry_sends_elsewhere_go_there_without_the_token(
    pusher: Pusher, elsewhere: FaultyRegistry
) -> None:
    pusher.registry.token = "secret"
    pusher.registry.upload_to = elsewhere.origin
    elsewhere.fault("PUT", "/part/", faults.status(500, "oops"), times=2)
    pusher.registry.fault("PUT", UPLOADS, faults.status(201))

    pusher.push()

    (place,) = elsewhere.uploads.values()
    assert bytes(place) == DATA
    assert len(pusher.pauses) == 2
    assert not [asked for asked in elsewhere.requests if "authorization" in asked.headers]
    assert {asked.headers["authorization"] for asked in pusher.registry.asked("PATCH")} == {"Bearer secret"}


def test_a_token_that_runs_out_in_a_part_is_fetched_anew(pusher: Pusher) -> None:
    challenge = f'Bearer realm="{pusher.registry.origin}/token",service="fake",scope="x"'
    pusher.registry.fault("PATCH", "at=100000", faults.status(401, WWW_Authenticate=challenge))

    pusher.push()

    assert pusher.arrived
    assert len(pusher.registry.asked("GET", "/token")) == 1
    assert pusher.pauses == []


def test_a_part_that_fails_is_sent_again_and_progress_goes_back(pusher: Pusher) -> None:
    pusher.registry.fault("PATCH", "at=200000", faults.status(503, "busy"), times=2)
    pusher.registry.fault("PATCH", "at=300000", faults.status(429, "slowly", Retry_After="9"))

    pusher.push()

    assert pusher.arrived
    assert len(pusher.pauses) == 3
    assert pusher.pauses[2] == 9.0


def test_six_failures_end_the_push_with_the_status_line(pusher: Pusher) -> None:
    pusher.registry.fault("PATCH", UPLOADS, faults.status(500, "oops"), times=FOR_EVER)

    with pytest.raises(RemoteError, match=r"^max retries exceeded: http status 500 Internal Server Error: oops$"):
        pusher.push()
    assert len(pusher.pauses) == 5


def test_what_will_not_pass_ends_the_push_at_once(pusher: Pusher) -> None:
    pusher.registry.fault("PATCH", UPLOADS, faults.status(413, "too much"), times=FOR_EVER)

    with pytest.raises(RemoteError, match=r"^http status 413 Request Entity Too Large: too much$"):
        pusher.push()
    assert pusher.pauses == []


def test_a_login_that_is_refused_keeps_its_words(pusher: Pusher) -> None:
    pusher.registry.fault("POST", UPLOADS, faults.status(401), times=FOR_EVER)

    with pytest.raises(RemoteError, match=r"^unauthorized: access denied$"):
        pusher.push()


def test_an_upload_that_the_registry_forgot_begins_anew(pusher: Pusher) -> None:
    pusher.registry.fault("PATCH", "at=200000", faults.status(404))

    pusher.push()

    assert pusher.arrived
    assert len(pusher.registry.asked("POST")) == 2


def test_a_registry_that_forgets_every_upload_is_given_up(pusher: Pusher) -> None:
    pusher.registry.fault("PATCH", UPLOADS, faults.status(416), times=FOR_EVER)

    with pytest.raises(RemoteError, match=r"^the registry loses the upload of"):
        pusher.push()
    assert len(pusher.registry.asked("POST")) == 3


def test_a_blob_that_is_cut_on_this_disk_is_found(pusher: Pusher) -> None:
    (pusher.folder / "blob").write_bytes(DATA[:200_000])

    with pytest.raises(StoreError, match="is cut"):
        pusher.push()


def test_a_registry_that_does_not_say_where_to_is_an_error(pusher: Pusher) -> None:
    pusher.registry.fault("POST", UPLOADS, faults.status(202))

    with pytest.raises(RemoteError, match="does not say where the upload goes on"):
        pusher.push()
