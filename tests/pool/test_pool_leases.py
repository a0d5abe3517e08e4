"""The pool with real runners: leases, keep-alive, death, and a daemon that stops."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes.frozen import freeze
from fakes.gguf_files import echo_gguf

from ollamapy.engines import local
from ollamapy.engines.base import Runner
from ollamapy.engines.local import LocalRunner
from ollamapy.errors import Cancelled, LoadFailed, RunnerDied
from ollamapy.names import ModelName
from ollamapy.pool.pool import Label, Pool
from ollamapy.pool.state import Demand
from ollamapy.settings import Host, Settings
from ollamapy.wire.manifest import Config
from ollamapy.wire.options import Options
from ollamapy.wire.runner import Finished, Generate, Load

LABEL = Label(ModelName.parse("m"), "0" * 64, Config())
PATIENCE_SECONDS = 120.0
ENDLESS_SECONDS = 600.0
"""Of a step or a load that does not end while a test waits for something else."""


def with_pool(work: Callable[[Pool], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        base = Settings(Host.parse(""), Path("home"), Path("models"))
        pool = Pool(replace(base, **settings), {"echo": local.start})
        try:
            await work(pool)
        finally:
            await pool.close()

    asyncio.run(main())


@pytest.fixture
def model(tmp_path: Path) -> Callable[..., Demand]:
    """Demands for echo models, one file per name."""

    def make(name: str = "a", keep_alive: float | None = None, **switches: object) -> Demand:
        path = tmp_path / f"{name}.gguf"
        if not path.exists():
            path.write_bytes(echo_gguf(**switches))
        load = Load(engine="echo", path=str(path), num_ctx=4096, pool_tokens=8192, num_parallel=8)
        return Demand(load, Options(), keep_alive)

    return make


async def echo(runner: Runner, text: str) -> str:
    parts: list[str] = []
    async for event in runner.generate(Generate(0, text, Options(), 4096)):
        if not isinstance(event, Finished):
            parts.append(event.text)
    return "".join(parts)


async def gone(pool: Pool) -> None:
    """Waits until nothing is loaded."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while pool.loaded():
        assert time.monotonic() < deadline, f"still loaded: {pool!r}"
        await asyncio.sleep(0.01)


def test_requests_at_once_share_one_runner(model: Callable[..., Demand]) -> None:
    async def work(pool: Pool) -> None:
        async def one(n: int) -> tuple[str, int]:
            async with pool.lease(model(), LABEL) as runner:
                assert isinstance(runner, LocalRunner)
                return await echo(runner, f"number {n}"), runner.pid

        answers = await asyncio.gather(*(one(n) for n in range(20)))

        assert [text for text, _ in answers] == [f"number {n}" for n in range(20)]
        assert len({pid for _, pid in answers}) == 1

    with_pool(work)


def test_keep_alive_zero_ends_the_process_after_the_answer(model: Callable[..., Demand]) -> None:
    async def work(pool: Pool) -> None:
        async with pool.lease(model(keep_alive=0.0), LABEL) as runner:
            assert await echo(runner, "bye") == "bye"
        await gone(pool)

    with_pool(work)


def test_an_idle_runner_goes_when_its_keep_alive_is_over(model: Callable[..., Demand]) -> None:
    async def work(pool: Pool) -> None:
        async with pool.lease(model(keep_alive=0.05), LABEL):
            pass
        await gone(pool)

    with_pool(work)


def test_the_limit_evicts_the_idle_runner(model: Callable[..., Demand]) -> None:
    async def work(pool: Pool) -> None:
        async with pool.lease(model("a"), replace(LABEL, name=ModelName.parse("a"))):
            pass
        async with pool.lease(model("b"), replace(LABEL, name=ModelName.parse("b"))):
            assert [loaded.label.name.short for loaded in pool.loaded()] == ["b:latest"]

    with_pool(work, max_loaded_models=1)


def test_a_killed_runner_fails_its_request_and_the_next_one_gets_a_new_one(model: Callable[..., Demand]) -> None:
    async def work(pool: Pool) -> None:
        async with pool.lease(model("slow", step_seconds=0.5), LABEL) as runner:
            assert isinstance(runner, LocalRunner)
            asked = asyncio.create_task(echo(runner, "x" * 4000))  # for more than a minute
            await runner.tokenize("it is alive")
            os.kill(runner.pid, signal.SIGKILL)
            with pytest.raises(RunnerDied):
                await asked
        assert pool.loaded() == []

        async with pool.lease(model("slow"), LABEL) as again:
            assert await echo(again, "ok") == "ok"

    with_pool(work)


def test_a_request_for_a_runner_that_hangs_is_served_by_a_new_one(
    model: Callable[..., Demand], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_QUIET_SECONDS", 0.0)
    monkeypatch.setattr(local, "_PING_SECONDS", 0.2)

    async def work(pool: Pool) -> None:
        async with pool.lease(model(), LABEL) as hung:
            assert isinstance(hung, LocalRunner)
            freeze(hung.pid)

        async with pool.lease(model(), LABEL) as fresh:
            assert fresh is not hung
            assert not hung.is_alive
            assert await echo(fresh, "ok") == "ok"

    with_pool(work)


def test_a_death_leaves_other_models_alone(model: Callable[..., Demand]) -> None:
    async def work(pool: Pool) -> None:
        async with pool.lease(model("good"), LABEL) as good:
            with pytest.raises(RunnerDied):
                async with pool.lease(model("bad", fault="decode-abort"), LABEL) as bad:
                    await echo(bad, "x")

            assert await echo(good, "still here") == "still here"

    with_pool(work)


def test_a_load_that_fails_is_an_error_and_leaves_nothing_loaded(model: Callable[..., Demand]) -> None:
    async def work(pool: Pool) -> None:
        with pytest.raises(LoadFailed):
            async with pool.lease(model("bad", fault="load-exit"), LABEL):
                pass

        assert pool.loaded() == []

    with_pool(work)


def test_a_client_that_leaves_during_the_load_ends_it(model: Callable[..., Demand]) -> None:
    async def work(pool: Pool) -> None:
        async def use() -> None:
            async with pool.lease(model("slow", load_seconds=ENDLESS_SECONDS), LABEL):
                pass

        task = asyncio.create_task(use())
        while not pool._starting:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

        # The queue goes on at once: another model does not wait for the load that nobody wants.
        async with asyncio.timeout(PATIENCE_SECONDS):
            async with pool.lease(model("other"), LABEL) as runner:
                assert await echo(runner, "hi") == "hi"

    with_pool(work, max_loaded_models=1)


def test_closing_the_pool_ends_who_waits_and_who_runs(model: Callable[..., Demand]) -> None:
    async def work(pool: Pool) -> None:
        async def use(demand: Demand) -> str:
            async with pool.lease(demand, LABEL) as runner:
                return await echo(runner, "x" * 500)

        running = asyncio.create_task(use(model("a", step_seconds=ENDLESS_SECONDS)))
        while not pool.loaded():
            await asyncio.sleep(0.01)
        waiting = asyncio.create_task(use(model("b", load_seconds=ENDLESS_SECONDS)))
        while not pool._starting:
            await asyncio.sleep(0.01)
        await pool.close()
        results = await asyncio.gather(running, waiting, return_exceptions=True)

        assert [type(result) for result in results] == [RunnerDied, Cancelled]

    with_pool(work)
