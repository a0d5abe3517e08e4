"""How large a runner is made."""

from pathlib import Path

import pytest

from ollamapy.pool.memory import ModelShape, available_bytes, needs_reload, plan_load, pool_tokens, request_num_ctx
from ollamapy.settings import Host, Settings
from ollamapy.wire.options import Options

SHAPE = ModelShape(engine="llama", num_ctx_train=8192, kv_bytes=23040)
GIB = 1 << 30


def settings(**fields: object) -> Settings:
    return Settings(Host.parse(""), Path("home"), Path("models"), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "environment", "expected"),
    [(None, 0, 4096), (None, 2048, 2048), (1024, 2048, 1024), (1, 0, 4), (100_000, 0, 8192), (None, 100_000, 8192)],
)
def test_the_context_is_asked_else_the_environments_else_4096_within_what_was_trained(
    asked: int | None, environment: int, expected: int
) -> None:
    assert request_num_ctx(Options(num_ctx=asked), SHAPE, settings(context_length=environment)) == expected


def test_a_model_that_does_not_say_its_context_gets_what_is_asked() -> None:
    assert request_num_ctx(Options(num_ctx=9000), ModelShape("llama", 0), settings()) == 9000


@pytest.mark.parametrize(
    ("num_ctx", "free", "expected"),
    [(4096, 16 * GIB, 8192), (8192, 16 * GIB, 8192), (512, 16 * GIB, 2048), (4096, GIB // 4, 4096), (4096, 0, 4096)],
)
def test_the_pool_shares_what_memory_allows_and_always_holds_one_context(
    num_ctx: int, free: int, expected: int
) -> None:
    assert pool_tokens(num_ctx, SHAPE, settings(), free) == expected


def test_num_parallel_gives_exactly_so_many_contexts() -> None:
    assert pool_tokens(4096, SHAPE, settings(num_parallel=3), 0) == 3 * 4096


def test_the_echo_model_runs_on_the_echo_engine_and_every_other_on_llama() -> None:
    plan = plan_load("m", (), Options(), ModelShape("echo", 4096), settings(), GIB)

    assert plan.engine == "echo"
    assert plan_load("m", (), Options(), SHAPE, settings(), GIB).engine == "llama"


def test_the_machine_says_how_much_memory_is_free() -> None:
    assert available_bytes() > 0


def test_prefixes_are_kept_under_the_digests_of_weights_and_adapters() -> None:
    plan = plan_load("/blobs/sha256-a", ("/blobs/sha256-b",), Options(), SHAPE, settings(), 10 * GIB)

    assert (plan.snapshot_key, plan.snapshot_folder) == ("sha256-a sha256-b", "home/cache/prefixes")
    assert (plan.snapshot_bytes, plan.host_cache_bytes) == (2 * GIB, GIB)


def test_without_a_budget_there_is_no_folder() -> None:
    assert plan_load("m", (), Options(), SHAPE, settings(snapshot_bytes=0), GIB).snapshot_folder == ""


def test_a_model_that_makes_vectors_keeps_no_prefixes() -> None:
    plan = plan_load("m", (), Options(), SHAPE, settings(), GIB, "embed")

    assert (plan.snapshot_folder, plan.host_cache_bytes) == ("", 0)


def test_a_quantized_cache_affords_more_cells() -> None:
    plans = {
        kv_type: plan_load("m", (), Options(num_ctx=512, kv_type=kv_type), SHAPE, settings(), 100_000_000)
        for kv_type in ("f32", "f16", "q4_0")
    }

    assert {kv_type: plan.pool_tokens for kv_type, plan in plans.items()} == {"f32": 542, "f16": 1085, "q4_0": 2048}


def test_options_of_the_engine_go_before_the_environments() -> None:
    environment = settings(kv_cache_type="q8_0", flash_attention=True)

    plain = plan_load("m", (), Options(), SHAPE, environment, GIB)
    asked = plan_load("m", (), Options(kv_type="f16", flash_attention=False, use_mlock=True), SHAPE, environment, GIB)

    assert (plain.kv_type, plain.flash_attention, plain.use_mlock) == ("q8_0", True, False)
    assert (asked.kv_type, asked.flash_attention, asked.use_mlock) == ("f16", False, True)
    assert needs_reload(plain, plain.pool_tokens, asked, Options())
    assert not needs_reload(plain, plain.pool_tokens, plain, Options())


@pytest.mark.parametrize(
    ("asked", "num_ctx_train", "expected"), [(512, 8192, 2048), (4096, 8192, 4096), (512, 1024, 1024)]
)
def test_a_model_that_sees_images_has_room_for_them(asked: int, num_ctx_train: int, expected: int) -> None:
    shape = ModelShape("llama", num_ctx_train, sees_images=True)

    assert request_num_ctx(Options(num_ctx=asked), shape, settings()) == expected


@pytest.mark.parametrize("kind", ["projector", "draft"])
def test_another_projector_or_draft_is_a_reason_to_reload_and_vectors_need_none(kind: str) -> None:
    without = plan_load("m", (), Options(), SHAPE, settings(), GIB)
    with_it = plan_load("m", (), Options(), SHAPE, settings(), GIB, **{kind: "p"})

    assert needs_reload(without, without.pool_tokens, with_it, Options())
    assert not needs_reload(with_it, with_it.pool_tokens, with_it, Options())
    assert getattr(plan_load("m", (), Options(), SHAPE, settings(), GIB, "embed", **{kind: "p"}), kind) == ""
