"""A runner in a child process: what the daemon sees of it, alive and dying."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import pytest
from fakes.frozen import freeze
from fakes.gguf_files import echo_gguf

from ollamapy.child import Exit
from ollamapy.engines import local
from ollamapy.engines.failures import load_failure
from ollamapy.engines.local import LocalRunner, patience_seconds
from ollamapy.errors import Error, LoadFailed, ModelFileError, OutOfMemory, PromptTooLong, RunnerDied
from ollamapy.wire.options import Options
from ollamapy.wire.runner import Finished, Generate, Load, LoadError, Output

PATIENCE_SECONDS = 120.0
ENDLESS_SECONDS = 600.0
"""Of a step or a load that does not end while a test waits for something else."""


def load(path: Path) -> Load:
    return Load(engine="echo", path=str(path), num_ctx=4096, pool_tokens=8192, num_parallel=8)


def ask(prompt: str, **fields: object) -> Generate:
    return Generate(0, prompt, Options(), 4096, **fields)  # type: ignore[arg-type]


def with_runner(path: Path, work: Callable[[LocalRunner, list[object]], Awaitable[None]]) -> None:
    """Runs `work` with a loaded runner and the list of deaths that it reported."""

    async def main() -> None:
        deaths: list[object] = []
        runner = await local.start(load(path), deaths.append, PATIENCE_SECONDS)
        try:
            await work(runner, deaths)
        finally:
            await runner.stop()

    asyncio.run(main())


async def answer(runner: LocalRunner, request: Generate) -> tuple[str, Finished]:
    texts: list[str] = []
    async for event in runner.generate(request):
        if isinstance(event, Finished):
            return "".join(texts), event
        texts.append(event.text)
    raise AssertionError("the answer had no end")


@pytest.fixture
def echo(tmp_path: Path) -> Callable[..., Path]:
    def make(**switches: object) -> Path:
        path = tmp_path / "echo.gguf"
        path.write_bytes(echo_gguf(**switches))
        return path

    return make


def test_an_answer_streams_and_ends(echo: Callable[..., Path]) -> None:
    async def work(runner: LocalRunner, deaths: list[object]) -> None:
        text, finished = await answer(runner, ask("héllo"))

        assert text == "héllo"
        assert finished.reason == "stop"
        assert not deaths

    with_runner(echo(), work)


def test_many_requests_at_once_get_their_own_answers(echo: Callable[..., Path]) -> None:
    async def work(runner: LocalRunner, deaths: list[object]) -> None:
        answers = await asyncio.gather(*(answer(runner, ask(f"number {n}")) for n in range(40)))

        assert [text for text, _ in answers] == [f"number {n}" for n in range(40)]

    with_runner(echo(), work)


def test_a_prompt_that_is_too_long_is_an_error_with_its_numbers(echo: Callable[..., Path]) -> None:
    async def work(runner: LocalRunner, deaths: list[object]) -> None:
        with pytest.raises(PromptTooLong, match="exceeds the available context size") as caught:
            await answer(runner, ask("x" * 5000))

        assert (caught.value.num_prompt, caught.value.limit) == (5001, 4096)

    with_runner(echo(), work)


def test_tokenize_and_detokenize_answer_while_a_request_decodes(echo: Callable[..., Path]) -> None:
    async def work(runner: LocalRunner, deaths: list[object]) -> None:
        async with aclosing(runner.generate(ask("a long answer " * 20))) as events:
            await anext(events)
            tokens = await runner.tokenize("abc", add_special=False)

            assert await runner.detokenize(tokens) == "abc"

    with_runner(echo(step_seconds=0.01), work)


def test_closing_the_iterator_cancels_in_the_runner(echo: Callable[..., Path]) -> None:
    async def work(runner: LocalRunner, deaths: list[object]) -> None:
        async with aclosing(runner.generate(ask("x" * 4000))) as events:
            assert isinstance(await anext(events), Output)

        # With the long request gone, its cells are free: one that needs them all is served at once.
        text, _ = await asyncio.wait_for(answer(runner, ask("y" * 10)), PATIENCE_SECONDS)
        assert text == "y" * 10

    with_runner(echo(step_seconds=0.005), work)


@pytest.mark.parametrize("fault", ["prefill-exit", "prefill-abort", "decode-segv", "decode-kill"])
def test_a_runner_that_dies_fails_its_own_requests_with_the_reason(fault: str, echo: Callable[..., Path]) -> None:
    async def work(runner: LocalRunner, deaths: list[object]) -> None:
        with pytest.raises(RunnerDied, match="model runner has unexpectedly stopped") as caught:
            await answer(runner, ask("hello"))

        assert "exit status 3" in caught.value.hint or "SIG" in caught.value.hint
        assert deaths == [runner]
        assert not runner.is_alive

    with_runner(echo(fault=fault), work)


def test_a_killed_runner_fails_everybody_who_waits(echo: Callable[..., Path]) -> None:
    async def work(runner: LocalRunner, deaths: list[object]) -> None:
        asks = [asyncio.create_task(answer(runner, ask("x" * 500))) for _ in range(5)]
        await runner.tokenize("the reader thread is alive")
        os.kill(runner.pid, signal.SIGKILL)
        results = await asyncio.gather(*asks, return_exceptions=True)

        assert all(isinstance(result, RunnerDied) for result in results)

    with_runner(echo(step_seconds=ENDLESS_SECONDS), work)


def test_a_runner_that_hangs_is_ended_as_if_it_had_died(
    echo: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_QUIET_SECONDS", 0.0)
    monkeypatch.setattr(local, "_PING_SECONDS", 0.2)

    async def work(runner: LocalRunner, deaths: list[object]) -> None:
        asked = asyncio.create_task(answer(runner, ask("x" * 500)))
        await runner.tokenize("it has read the request")
        freeze(runner.pid)
        await asyncio.gather(runner.check(), runner.check())

        assert deaths == [runner]
        assert not runner.is_alive
        with pytest.raises(RunnerDied, match="SIGKILL"):
            await asked

    with_runner(echo(step_seconds=ENDLESS_SECONDS), work)


def test_a_silent_runner_that_answers_is_left_alone(echo: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_QUIET_SECONDS", 0.0)
    monkeypatch.setattr(local, "_PING_SECONDS", PATIENCE_SECONDS)

    async def work(runner: LocalRunner, deaths: list[object]) -> None:
        asked = asyncio.create_task(answer(runner, ask("hi")))
        await runner.check()

        assert deaths == []
        assert (await asked)[0] == "hi"

    with_runner(echo(step_seconds=0.5), work)


def test_a_runner_that_spoke_lately_is_not_asked(echo: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_QUIET_SECONDS", float("inf"))

    async def work(runner: LocalRunner, deaths: list[object]) -> None:
        freeze(runner.pid)
        await runner.check()
        os.kill(runner.pid, signal.SIGCONT)

        assert runner.is_alive
        assert deaths == []

    with_runner(echo(), work)


@pytest.mark.parametrize(("num_bytes", "seconds"), [(0, 10.0), (1000, 10.01), (10_000_000, 110.0)])
def test_a_runner_with_much_to_read_has_more_time_to_answer(num_bytes: int, seconds: float) -> None:
    assert patience_seconds(num_bytes) == pytest.approx(seconds)


@pytest.mark.parametrize("fault", ["load-exit", "load-abort", "load-error"])
def test_a_load_that_fails_says_how(fault: str, echo: Callable[..., Path]) -> None:
    async def main() -> None:
        with pytest.raises(LoadFailed) as caught:
            await local.start(load(echo(fault=fault)), lambda _: None, PATIENCE_SECONDS)

        assert any(word in caught.value.message for word in ("exit status 3", "SIGABRT", "told not to load"))

    asyncio.run(main())


def test_a_load_without_a_sign_of_life_times_out(echo: Callable[..., Path]) -> None:
    async def main() -> None:
        with pytest.raises(LoadFailed, match="timed out waiting for llama-server to start"):
            await local.start(load(echo(load_seconds=ENDLESS_SECONDS)), lambda _: None, 1.0)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("code", "stderr", "kind"),
    [
        ("model_file", ("llama_model_load: unknown model architecture: 'odd'",), ModelFileError),
        ("model_file", ("ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer",), OutOfMemory),
        ("model_file", ("cudaMalloc failed: Out of Memory", "failed to load model"), OutOfMemory),
        ("load_failed", ("error loading model: std::bad_alloc",), OutOfMemory),
        ("load_failed", (), LoadFailed),
        ("", (), LoadFailed),
    ],
)
def test_why_a_model_does_not_load_is_its_file_unless_it_was_memory(
    code: str, stderr: tuple[str, ...], kind: type[Error]
) -> None:
    failure = load_failure(LoadError("llama.cpp could not load m.gguf", "a hint", code), Exit(1, stderr))

    assert type(failure) is kind
    assert failure.message.startswith("unable to load model: llama.cpp could not load m.gguf")
    assert failure.message.endswith(stderr[-1] if stderr else "m.gguf")
    assert failure.hint == "a hint"
