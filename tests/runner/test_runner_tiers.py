"""What the pool has no room for comes back from host memory and from files: faster than computing, and the same."""

from dataclasses import replace
from pathlib import Path

import pytest
from fakes.echo_loop import Served, WatchedEcho, serve
from hypothesis import given, settings
from hypothesis import strategies as st

from ollamapy.runner.prefix import Restore, Spill
from ollamapy.runner.snapshots import Snapshots
from ollamapy.runner.tiers import HostMemory, Tiers, blocks, open_tiers
from ollamapy.wire.options import Options
from ollamapy.wire.runner import Generate, Load

PLENTY = 1 << 20

LONG = "abcdefgh" * 40
"""320 tokens: five blocks."""


@pytest.fixture(autouse=True)
def _all_the_time_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A runner that ends saves what it can in two seconds, and a busy machine may pause for as long."""
    monkeypatch.setattr("ollamapy.runner.tiers._SAVE_SECONDS", 120.0)


def request(request_id: int, prompt: str, scope: str = "", num_predict: int = 5) -> Generate:
    options = Options(num_predict=num_predict)
    return Generate(request_id, prompt, options, 1000, wants_tokens=True, scope=scope)


def num_computed(model: WatchedEcho) -> int:
    return sum(len(chunk.tokens) for step in model.steps for chunk in step)


def tiers(model: WatchedEcho, folder: Path | None = None, host_bytes: int = PLENTY) -> Tiers:
    return Tiers(model, HostMemory(host_bytes), Snapshots(folder, "echo", PLENTY) if folder else None)


def test_blocks_of_the_same_beginning_have_the_same_keys() -> None:
    one, other = (list(blocks("", [*range(50), last])) for last in (1, 2))

    assert [(block.start, block.end) for block in one] == [(0, 16), (16, 32), (32, 48)]
    assert one == other
    assert one != list(blocks("", [9, *range(200)]))
    assert not {block.key for block in one} & {block.key for block in blocks("somebody else", [*range(200)])}


def test_host_memory_keeps_the_latest_within_its_budget() -> None:
    host = HostMemory(10)
    for key in "abc":
        host.put(key, b"1234")
    host.put("large", b"12345678901")
    host.put("empty", b"")

    assert list(host.items()) == [("c", b"1234"), ("b", b"1234")]
    assert repr(host) == "<HostMemory 2 blocks, 8 of 10 bytes>"


def test_what_was_used_stays_in_host_memory() -> None:
    host = HostMemory(10)
    host.put("a", b"1234")
    host.put("b", b"1234")
    host.get("a")
    host.put("c", b"1234")

    assert (host.get("a"), host.get("b")) == (b"1234", None)


@pytest.mark.parametrize("can_cut", [True, False])
def test_an_evicted_prefix_comes_back_from_host_memory(can_cut: bool) -> None:
    """A pool for one long prompt, and two that take turns."""
    model = WatchedEcho(pool_tokens=400, num_parallel=1, can_cut=can_cut)
    prompts = [LONG, "x" + LONG, LONG, "x" + LONG]

    served = serve_in_turn(model, prompts, tiers(model))

    cached = [served[index].finished.num_prompt_cached for index in range(4)]
    assert cached[:2] == [0, 0]
    assert min(cached[2:]) >= 256
    assert [served[index].text for index in range(4)] == [prompt[:5] for prompt in prompts]


def serve_in_turn(model: WatchedEcho, prompts: list[str], below: Tiers) -> Served:
    return serve(model, [request(index, prompt) for index, prompt in enumerate(prompts)], tiers=below)


@pytest.mark.parametrize("can_cut", [True, False])
def test_a_prefix_outlives_its_runner_in_files(can_cut: bool, tmp_path: Path) -> None:
    first = WatchedEcho(can_cut=can_cut)
    serve(first, [request(1, LONG)], tiers=tiers(first, tmp_path))
    second = WatchedEcho(can_cut=can_cut)

    served = serve(second, [request(1, LONG)], tiers=tiers(second, tmp_path))

    assert served[1].text == LONG[:5]
    assert served[1].finished.num_prompt_cached >= 320
    assert num_computed(second) < 10


@pytest.mark.parametrize("can_cut", [True, False])
def test_what_left_the_pool_never_crosses_scopes(can_cut: bool) -> None:
    model = WatchedEcho(pool_tokens=400, num_parallel=1, can_cut=can_cut)
    asked = [("mine", LONG), ("other", "x" + LONG), ("yours", LONG), ("mine", LONG)]

    served = serve(model, [request(n, prompt, scope) for n, (scope, prompt) in enumerate(asked)], tiers=tiers(model))

    cached = [served[n].finished.num_prompt_cached for n in range(4)]
    assert cached[:3] == [0, 0, 0]
    assert cached[3] >= 256


@pytest.mark.parametrize("can_cut", [True, False])
def test_a_prefix_never_crosses_scopes_in_files(can_cut: bool, tmp_path: Path) -> None:
    first = WatchedEcho(can_cut=can_cut)
    serve(first, [request(1, LONG, "mine")], tiers=tiers(first, tmp_path))
    second = WatchedEcho(can_cut=can_cut)

    served = serve(second, [request(1, LONG, "yours")], tiers=tiers(second, tmp_path))

    assert served[1].finished.num_prompt_cached == 0


@pytest.mark.parametrize(
    ("key", "identity", "num_cached"), [("weights", "echo", 320), ("others", "echo", 0), ("weights", "echo 2", 0)]
)
def test_snapshots_of_other_weights_or_of_another_build_are_not_used(
    key: str, identity: str, num_cached: int, tmp_path: Path
) -> None:
    def ask(key: str, identity: str) -> int:
        model = WatchedEcho()
        model.info = replace(model.info, identity=identity)
        kept = {"snapshot_folder": str(tmp_path), "snapshot_key": key, "snapshot_bytes": PLENTY}
        load = Load("echo", "", 1000, 1000, 1, **kept)  # type: ignore[arg-type]
        return serve(model, [request(1, LONG)], tiers=open_tiers(load, model))[1].finished.num_prompt_cached

    assert [ask("weights", "echo"), ask(key, identity)] == [0, num_cached]


@pytest.mark.parametrize("can_cut", [True, False])
def test_a_damaged_snapshot_is_computed_again(can_cut: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = WatchedEcho(can_cut=can_cut)
    serve(first, [request(1, LONG)], tiers=tiers(first, tmp_path))
    for path in tmp_path.glob("*/*.kv"):
        path.write_bytes(path.read_bytes()[:-1])
    second = WatchedEcho(can_cut=can_cut)

    served = serve(second, [request(1, LONG)], tiers=tiers(second, tmp_path))

    assert served[1].text == LONG[:5]
    assert "it is damaged" in caplog.text


def test_a_snapshot_that_the_engine_does_not_take_is_replaced(tmp_path: Path) -> None:
    for block in blocks("", [*LONG.encode()]):
        Snapshots(tmp_path, "echo", PLENTY).save(block.key, b"nonsense")
    models = [WatchedEcho() for _ in range(2)]

    served = [serve(model, [request(1, LONG)], tiers=tiers(model, tmp_path))[1] for model in models]

    assert [answer.text for answer in served] == [LONG[:5]] * 2
    assert num_computed(models[0]) >= 320
    assert num_computed(models[1]) < 10


def test_a_folder_that_cannot_be_written_fails_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_bytes(b"")
    model = WatchedEcho()

    served = serve(model, [request(1, LONG)], tiers=tiers(model, tmp_path / "file" / "folder"))

    assert served[1].text == LONG[:5]
    assert "snapshots not saved" in caplog.text


def test_a_runner_that_has_no_time_to_save_all_keeps_to_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        Snapshots(tmp_path, "an older build", PLENTY).save(f"{number:072x}", bytes(1000))
    monkeypatch.setattr("ollamapy.runner.tiers._SAVE_SECONDS", -1.0)
    model = WatchedEcho()

    serve(model, [request(1, LONG)], tiers=Tiers(model, HostMemory(0), Snapshots(tmp_path, "echo", 5000)))

    assert sum(path.stat().st_size for path in tmp_path.rglob("*.kv")) <= 5000


def test_a_part_of_a_block_that_is_in_the_pool_is_not_restored_twice() -> None:
    model = WatchedEcho()
    below, tokens = tiers(model), [*LONG.encode()]
    model._slots[0] = {}
    for position, token in enumerate(tokens):
        model._put(model._slots[0], position, token)
    below.spill(Spill("", 0, tokens, 100))
    model.remove(0, 100, -1)

    assert below.reach("", tokens, 320, 100) == 320
    below.restore(Restore("", 0, tokens, 100))

    assert model.held(0) == tokens
    assert below.reach("", tokens, 320, 10) == 10, "the first block was never spilled"


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["abc", "abd", "xyz"]), st.integers(20, 50)), min_size=1, max_size=12),
    st.integers(310, 700),
    st.sampled_from([0, 2000, PLENTY]),
    st.booleans(),
)
def test_no_tier_changes_an_answer(
    asked: list[tuple[str, int]], pool_tokens: int, host_bytes: int, can_cut: bool
) -> None:
    model = WatchedEcho(pool_tokens=pool_tokens, num_parallel=3, can_cut=can_cut)
    requests = [request(index, word * count, num_predict=-1) for index, (word, count) in enumerate(asked)]

    served = serve(model, requests, tiers=tiers(model, host_bytes=host_bytes))

    assert [served[one.id].text for one in requests] == [one.prompt for one in requests]
