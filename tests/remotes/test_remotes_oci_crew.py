"""One blob from several registries at once: who works, who is dropped, and who is found to have lied."""

import asyncio
import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fakes import faulty_registry as faults
from fakes.faulty_registry import FOR_EVER, FaultyRegistry

from ollamapy.errors import InvalidDigest
from ollamapy.names import Digest, ModelName
from ollamapy.remotes.oci import crew
from ollamapy.remotes.oci import parts as plans
from ollamapy.remotes.oci.auth import create_key
from ollamapy.remotes.oci.download import Download
from ollamapy.remotes.oci.session import Session
from ollamapy.remotes.oci.source import Source
from ollamapy.store.store import Store
from ollamapy.wire.native import Progress

DATA = random.Random(8).randbytes(800_000)
LIES = random.Random(9).randbytes(len(DATA))
PART = 50_000
BLOB = "/blobs/"


@dataclass
class Puller:
    """Downloads DATA from `first`, all at once, and from `reserve` when they fail. `dropped` has who failed and why."""

    store: Store
    key_file: Path
    first: list[FaultyRegistry]
    reserve: list[FaultyRegistry]
    dropped: dict[str, str] = field(default_factory=dict)
    lines: list[Progress] = field(default_factory=list)

    def pull(self) -> Digest:
        return asyncio.run(self._pull())

    async def _pull(self) -> Digest:
        async with contextlib.AsyncExitStack() as stack:
            sources = [await self._source(stack, registry, 0) for registry in self.first]
            sources += [await self._source(stack, registry, n) for n, registry in enumerate(self.reserve, 1)]
            download = Download(sources, self.digest, len(DATA), self.store.blobs, self.lines.append)
            download.min_part_bytes, download.sleep = PART, _no_sleep
            return await download.run()

    async def _source(self, stack: contextlib.AsyncExitStack, registry: FaultyRegistry, rank: int) -> Source:
        name = ModelName.parse(f"{registry.host}/ns/m")
        session = await stack.enter_async_context(Session.open(name, self.key_file, insecure=True))

        def on_drop(reason: Exception) -> None:
            self.dropped[registry.host] = str(reason)

        return Source(session, f"/v2/ns/m/blobs/{self.digest}", self.digest, len(DATA), rank, on_drop)

    @property
    def digest(self) -> Digest:
        return Digest.parse(FaultyRegistry().add_blob(DATA))

    def is_whole(self) -> bool:
        blobs = self.store.blobs
        return [path.name for path in blobs.folder.iterdir()] == [self.digest.filename] and (
            blobs.path(self.digest).read_bytes() == DATA
        )


async def _no_sleep(seconds: float) -> None:
    pass


@pytest.fixture
def registries() -> Iterator[list[FaultyRegistry]]:
    """Three that have DATA."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(FaultyRegistry()) for _ in range(3)]
        for registry in found:
            registry.add_blob(DATA)
        yield found


@pytest.fixture
def puller(store: Store, tmp_path: Path, registries: list[FaultyRegistry]) -> Puller:
    """Two work together, the third is the reserve."""
    create_key(tmp_path / "key")
    return Puller(store, tmp_path / "key", registries[:2], registries[2:])


@pytest.fixture(autouse=True)
def _no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine that pauses makes no registry slow."""
    monkeypatch.setattr(crew, "_LEASE_LIMIT_SECONDS", 120.0)


def lie(registry: FaultyRegistry) -> None:
    registry.blobs = dict.fromkeys(registry.blobs, LIES)


def test_parts_come_from_all_at_once_and_the_reserve_is_not_asked(puller: Puller) -> None:
    puller.pull()

    assert puller.is_whole()
    assert [len(registry.asked("GET", BLOB)) > 2 for registry in puller.first] == [True, True]
    assert sum(registry.sent_bytes for registry in puller.first) <= len(DATA) + 2
    assert puller.reserve[0].requests == []
    assert puller.dropped == {}


@pytest.mark.parametrize(
    "fault",
    [
        faults.status(403),
        faults.status(500),
        faults.cut(10_000),
        faults.wrong_range,
        faults.no_ranges,
        faults.serve(DATA + b"more"),
        faults.with_headers(Content_Encoding="gzip"),
    ],
)
def test_one_that_fails_is_dropped_and_the_other_goes_on(puller: Puller, fault: faults.Fault) -> None:
    broken, honest = puller.first
    broken.fault("GET", BLOB, faults.serve(DATA))  # the question where the bytes are
    broken.fault("GET", BLOB, fault, times=FOR_EVER)

    puller.pull()

    assert puller.is_whole()
    assert list(puller.dropped) == [broken.host]
    assert puller.reserve[0].requests == []
    assert honest.sent_bytes > len(DATA) // 2


def test_the_reserve_begins_when_all_others_were_dropped_and_goes_on_where_they_were(puller: Puller) -> None:
    for registry in puller.first:
        registry.fault("GET", BLOB, faults.serve(DATA), times=3)
        registry.fault("GET", BLOB, faults.status(404), times=FOR_EVER)

    puller.pull()

    assert puller.is_whole()
    assert puller.dropped == {registry.host: "file does not exist" for registry in puller.first}
    assert 0 < puller.reserve[0].sent_bytes <= len(DATA) - 4 * PART + 1


def test_one_that_drips_does_not_hold_up_the_others(puller: Puller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "_LEASE_LIMIT_SECONDS", 3.0)
    slow, _ = puller.first
    slow.fault("GET", BLOB, faults.serve(DATA))
    slow.fault("GET", BLOB, faults.stall(10), times=FOR_EVER)

    puller.pull()

    assert puller.is_whole()
    assert "bytes a second" in puller.dropped[slow.host]


def test_of_two_the_liar_is_found_and_the_reserve_need_not_help(puller: Puller) -> None:
    lie(puller.first[0])

    puller.pull()

    assert puller.is_whole()
    assert puller.dropped == {puller.first[0].host: "it sent other bytes than the digest says"}
    assert puller.reserve[0].sent_bytes == 0


def test_two_liars_of_two_are_both_found_and_the_reserve_has_the_truth(puller: Puller) -> None:
    for registry in puller.first:
        lie(registry)

    puller.pull()

    assert puller.is_whole()
    assert set(puller.dropped) == {registry.host for registry in puller.first}


@pytest.mark.parametrize("honest", [0, 1, 2])
def test_two_liars_of_three_without_a_reserve_are_found(puller: Puller, honest: int) -> None:
    puller.first, puller.reserve = [*puller.first, *puller.reserve], []
    liars = [registry for n, registry in enumerate(puller.first) if n != honest]
    for registry in liars:
        lie(registry)

    puller.pull()

    assert puller.is_whole()
    assert puller.first[honest].host not in puller.dropped
    assert set(puller.dropped) <= {registry.host for registry in liars}


def test_wrong_bytes_of_an_earlier_run_are_replaced_and_nobody_is_blamed(puller: Puller) -> None:
    partial = puller.store.blobs.partial_path(puller.digest.filename)
    parts = plans.plan(len(DATA), PART)
    parts[0].completed = PART
    partial.write_bytes(LIES)
    plans.begin(partial, parts)

    puller.pull()

    assert puller.is_whole()
    assert puller.dropped == {}
    assert sum(registry.sent_bytes for registry in puller.first) <= len(DATA) * 2.5


def test_where_everybody_lies_nothing_stays(puller: Puller) -> None:
    for registry in [*puller.first, *puller.reserve]:
        lie(registry)

    with pytest.raises(InvalidDigest, match=r"^digest mismatch"):
        puller.pull()

    assert list(puller.store.blobs.folder.iterdir()) == []
