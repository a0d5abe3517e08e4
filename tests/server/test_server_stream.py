"""Streams over real sockets: framing, errors before and after the first line, clients that go away, shutdown."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
import pytest
from aiohttp import ClientSession, web
from fakes.served_app import listen

from ollamapy.errors import Error, InvalidInput
from ollamapy.server import app, stream
from ollamapy.server.stream import RUNNING, Running
from ollamapy.wire.native import DebugInfo, GenerateResponse, Progress

DEADLINE_SECONDS = 120.0


def chunk(text: str, *, done: bool = False, **fields: object) -> GenerateResponse:
    return GenerateResponse(model="m", created_at="now", response=text, done=done, **fields)  # type: ignore[arg-type]


@dataclass
class Generation:
    """An action that says how it was treated. It gives its chunks, then does what `then` says."""

    chunks: tuple[GenerateResponse, ...] = ()
    then: Callable[[], Awaitable[None]] | None = None
    began: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> AsyncIterator[GenerateResponse]:
        try:
            for item in self.chunks:
                yield item
            self.began.set()
            if self.then:
                await self.then()
        finally:
            self.ended.set()


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


def fail_with(error: BaseException) -> Callable[[], Awaitable[None]]:
    async def fail() -> None:
        raise error

    return fail


@asynccontextmanager
async def serving(generation: Generation, *, is_streamed: bool = True) -> AsyncIterator[tuple[str, web.AppRunner]]:
    """The application's middlewares around one route that runs `generation`."""

    async def handle(request: web.Request) -> web.StreamResponse:
        await request.read()
        return await stream.answer(request, generation.run(), is_streamed=is_streamed)

    application = web.Application(middlewares=[app.log_request, app.answer_errors])
    application[RUNNING] = Running()
    application.on_shutdown.append(app.close_requests)
    application.router.add_post("/", handle)
    runner = app.runner(application)
    port = await listen(runner)
    try:
        yield f"http://127.0.0.1:{port}/", runner
    finally:
        await runner.cleanup()


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Runs a test on a loop of its own, within the deadline."""

    async def bounded() -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            await test()

    asyncio.run(bounded())


def decoded(body: bytes) -> list[dict[str, object]]:
    return [msgspec.json.decode(line) for line in body.splitlines()]


def test_every_value_is_a_line_of_json() -> None:
    async def test() -> None:
        generation = Generation((chunk("a"), chunk("b\n"), chunk("", done=True)))
        async with serving(generation) as (url, _), ClientSession() as http, http.post(url, data=b"{}") as response:
            body = await response.read()

            assert response.status == 200
            assert response.headers["Content-Type"] == "application/x-ndjson"
            assert body.endswith(b"}\n")
            assert [line["response"] for line in decoded(body)] == ["a", "b\n", ""]

    run(test)


def test_a_line_is_sent_before_the_next_one_exists() -> None:
    async def test() -> None:
        generation = Generation((chunk("a"),), then=forever)
        async with serving(generation) as (url, _), ClientSession() as http, http.post(url) as response:
            line = await response.content.readline()

            assert b'"response":"a"' in line

    run(test)


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (InvalidInput("no good", hint="do better"), 400, "no good"),
        (Error("broken"), 500, "broken"),
        (ZeroDivisionError("secret path"), 500, "internal error: ZeroDivisionError"),
    ],
)
def test_an_error_before_the_first_line_has_its_own_status(error: Exception, status: int, text: str) -> None:
    async def test() -> None:
        generation = Generation(then=fail_with(error))
        async with serving(generation) as (url, _), ClientSession() as http, http.post(url) as response:
            body = await response.json()

            assert response.status == status
            assert response.headers["Content-Type"].startswith("application/json")
            assert body["error"] == text
            assert body.get("hint", "") != "" or not isinstance(error, InvalidInput)

    run(test)


@pytest.mark.parametrize("error", [Error("broken"), ZeroDivisionError()])
def test_an_error_after_the_first_line_is_the_last_line(error: Exception) -> None:
    async def test() -> None:
        generation = Generation((chunk("a"),), then=fail_with(error))
        async with serving(generation) as (url, _), ClientSession() as http, http.post(url) as response:
            lines = decoded(await response.read())

            assert response.status == 200
            assert len(lines) == 2
            assert str(lines[1]["error"]) in ("broken", "internal error: ZeroDivisionError")
            assert "done" not in lines[1]

    run(test)


def test_without_a_stream_the_answer_is_one_object() -> None:
    async def test() -> None:
        generation = Generation((chunk("whole", done=True, done_reason="stop"),))
        async with (
            serving(generation, is_streamed=False) as (url, _),
            ClientSession() as http,
            http.post(url) as response,
        ):
            body = await response.read()

            assert response.headers["Content-Type"] == "application/json; charset=utf-8"
            assert msgspec.json.decode(body)["response"] == "whole"
            assert generation.ended.is_set()

    run(test)


@pytest.mark.parametrize(
    "only",
    [
        chunk("", done=True, done_reason="load"),
        chunk("", done=True, done_reason="unload"),
        chunk("", debug_info=DebugInfo("prompt")),
    ],
)
def test_loads_unloads_and_rendered_prompts_are_not_streamed(only: GenerateResponse) -> None:
    async def test() -> None:
        async with serving(Generation((only,))) as (url, _), ClientSession() as http, http.post(url) as response:
            assert response.headers["Content-Type"] == "application/json; charset=utf-8"

    run(test)


def test_an_action_that_answers_nothing_is_an_error() -> None:
    async def test() -> None:
        async with serving(Generation()) as (url, _), ClientSession() as http, http.post(url) as response:
            assert response.status == 500

    run(test)


def test_a_line_that_no_client_could_read_becomes_an_error_line() -> None:
    async def test() -> None:
        generation = Generation((chunk("a"), chunk("x" * stream.LINE_LIMIT_BYTES), chunk("never")))
        async with serving(generation) as (url, _), ClientSession() as http, http.post(url) as response:
            lines = decoded(await response.read())

            assert len(lines) == 2
            assert "an answer line of" in str(lines[1]["error"])
            assert generation.ended.is_set()

    run(test)


@pytest.mark.parametrize("chunks", [(), (chunk("a"),)], ids=["before the first line", "in the stream"])
@pytest.mark.parametrize("is_streamed", [True, False])
def test_the_work_ends_at_once_when_the_client_goes_away(
    chunks: tuple[GenerateResponse, ...], is_streamed: bool
) -> None:
    """A client that left must not keep a model busy, and nothing is written that would reveal its absence."""

    async def test() -> None:
        waits = Generation(chunks if is_streamed else (), then=forever)
        async with serving(waits, is_streamed=is_streamed) as (url, _):
            port = int(url.rsplit(":", 1)[1].strip("/"))
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            await waits.began.wait()
            assert not waits.ended.is_set()

            writer.close()

            await waits.ended.wait()

    run(test)


def test_the_work_ends_when_a_client_stops_reading_and_leaves() -> None:
    """The write blocks on a full socket; it must not be left there for ever."""

    async def test() -> None:
        text = "x" * 1_000_000
        flood = Generation(tuple(chunk(text) for _ in range(200)))
        async with serving(flood) as (url, runner):
            port = int(url.rsplit(":", 1)[1].strip("/"))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            await reader.readline()
            assert len(runner.app[RUNNING]) == 1

            writer.transport.abort()

            await flood.ended.wait()
            assert not flood.began.is_set(), "all of it was generated for nobody"

    run(test)


@pytest.mark.parametrize(
    ("chunks", "status"), [((), 499), ((chunk("a"),), 200)], ids=["before the first line", "in the stream"]
)
def test_at_shutdown_a_running_request_ends_with_an_error(chunks: tuple[GenerateResponse, ...], status: int) -> None:
    async def test() -> None:
        waits = Generation(chunks, then=forever)
        async with serving(waits) as (url, runner), ClientSession() as http:
            answer = asyncio.create_task(http.post(url))
            await waits.began.wait()

            await runner.cleanup()

            async with await answer as response:
                lines = decoded(await response.read())
            assert response.status == status
            assert lines[-1] == {"error": "the server is shutting down"}
            assert waits.ended.is_set()
            assert len(runner.app[RUNNING]) == 0

    run(test)


def test_progress_that_is_not_streamed_is_its_last_line() -> None:
    async def progress() -> AsyncIterator[Progress]:
        yield Progress("one")
        yield Progress("success")

    async def handle(request: web.Request) -> web.StreamResponse:
        return await stream.progress(request, progress(), is_streamed=False)

    async def test() -> None:
        application = web.Application()
        application.router.add_post("/", handle)
        runner = app.runner(application)
        port = await listen(runner)
        async with ClientSession() as http, http.post(f"http://127.0.0.1:{port}/") as response:
            assert response.headers["Content-Type"] == "application/json"
            assert await response.json() == {"status": "success"}
        await runner.cleanup()

    run(test)
