"""Server-sent events over real sockets: framing, several sources, silence, errors before and after the first event."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiohttp import ClientSession, web
from fakes.served_app import listen

from ollamapy.errors import Error, InvalidInput
from ollamapy.server import app, sse
from ollamapy.server.openai import FRAMING
from ollamapy.server.stream import RUNNING, Running

DEADLINE_SECONDS = 120.0
Source = AsyncGenerator[str, None]


class Said(msgspec.Struct, frozen=True):
    index: int
    text: str


NAMED = sse.Framing(lambda value: sse.named_frame("said", value), lambda _: b"never")


class Plain:
    """Says every value, and at last that it is the last."""

    def push(self, index: int, answer: str) -> Iterator[Said]:
        yield Said(index, answer)

    def finish(self) -> Iterator[Said]:
        yield Said(-1, "end")


async def says(*texts: str, then: BaseException | None = None, ended: asyncio.Event | None = None) -> Source:
    """Gives its texts, then fails or ends; `ended` is set when nobody can get more of it."""
    try:
        for text in texts:
            yield text
        if then:
            raise then
    finally:
        if ended:
            ended.set()


async def waits(event: asyncio.Event, *texts: str, ended: asyncio.Event | None = None) -> Source:
    """Is silent until `event`."""
    try:
        await event.wait()
        for text in texts:
            yield text
    finally:
        if ended:
            ended.set()


@asynccontextmanager
async def serving(
    make: Callable[[], Sequence[Source]], framing: sse.Framing = FRAMING, keep_alive_seconds: float = 60.0
) -> AsyncIterator[tuple[str, web.AppRunner]]:
    """The application's middlewares around one route that streams the sources."""

    async def handle(request: web.Request) -> web.StreamResponse:
        await request.read()
        return await sse.answer(request, make(), Plain(), framing, keep_alive_seconds=keep_alive_seconds)

    application = web.Application(middlewares=[app.log_request, app.answer_errors])
    application[RUNNING] = Running()
    application.on_shutdown.append(app.close_requests)
    application.router.add_post("/v1/x", handle)
    runner = app.runner(application)
    port = await listen(runner)
    try:
        yield f"http://127.0.0.1:{port}/v1/x", runner
    finally:
        await runner.cleanup()


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Runs a test on a loop of its own, within the deadline."""

    async def bounded() -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            await test()

    asyncio.run(bounded())


async def posted(make: Callable[[], Sequence[Source]], framing: sse.Framing = FRAMING) -> tuple[int, str, bytes]:
    """Status, content type and body of the answer."""
    async with serving(make, framing) as (url, _), ClientSession() as http, http.post(url) as response:
        return response.status, response.headers["Content-Type"], await response.read()


def test_every_value_is_an_event_and_done_is_the_last() -> None:
    async def test() -> None:
        status, kind, body = await posted(lambda: [says("a", "b\n")])

        assert (status, kind) == (200, "text/event-stream")
        assert body == (
            b'data: {"index":0,"text":"a"}\n\n'
            b'data: {"index":0,"text":"b\\n"}\n\n'
            b'data: {"index":-1,"text":"end"}\n\n'
            b"data: [DONE]\n\n"
        )

    run(test)


def test_events_may_have_a_name() -> None:
    async def test() -> None:
        _, _, body = await posted(lambda: [says("a")], NAMED)

        assert body.startswith(b'event: said\ndata: {"index":0,"text":"a"}\n\n')
        assert body.endswith(b'event: said\ndata: {"index":-1,"text":"end"}\n\n')

    run(test)


def test_several_sources_run_side_by_side() -> None:
    async def test() -> None:
        second_spoke = asyncio.Event()

        async def second() -> Source:
            yield "b"
            second_spoke.set()

        _, _, body = await posted(lambda: [waits(second_spoke, "a"), second()])

        assert body.index(b'"text":"b"') < body.index(b'"text":"a"') < body.index(b"[DONE]")

    run(test)


def test_comments_go_out_while_an_action_is_silent() -> None:
    async def test() -> None:
        go_on = asyncio.Event()
        async with (
            serving(lambda: [waits(go_on, "a")], keep_alive_seconds=0.001) as (url, _),
            ClientSession() as http,
            http.post(url) as response,
        ):
            assert [await response.content.readline() for _ in range(4)] == [b": keep-alive\n", b"\n"] * 2
            go_on.set()
            body = await response.read()

        assert b'data: {"index":0,"text":"a"}\n\n' in body
        assert body.endswith(b"data: [DONE]\n\n")

    run(test)


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [(InvalidInput("no good"), 400, "invalid_request_error"), (Error("broken"), 500, "api_error")],
)
def test_an_error_before_the_first_event_has_its_own_status(error: Error, status: int, kind: str) -> None:
    async def test() -> None:
        found, content_type, body = await posted(lambda: [says(then=error)])

        assert (found, content_type) == (status, "application/json")
        expected = {"message": error.message, "type": kind, "param": None, "code": None}
        assert msgspec.json.decode(body) == {"error": expected}

    run(test)


def test_an_error_after_the_first_event_is_the_last_one_without_done() -> None:
    async def test() -> None:
        status, _, body = await posted(lambda: [says("a", then=Error("broken"))])

        assert status == 200
        *_, last, empty = body.split(b"\n\n")
        assert empty == b""
        assert last == b'data: {"error":{"message":"broken","type":"api_error","param":null,"code":null}}'

    run(test)


def test_an_error_in_one_source_ends_the_others() -> None:
    async def test() -> None:
        ended = asyncio.Event()
        status, _, _ = await posted(lambda: [waits(asyncio.Event(), ended=ended), says(then=Error("broken"))])

        assert status == 500
        assert ended.is_set()

    run(test)


def test_a_client_that_goes_away_ends_the_action() -> None:
    async def test() -> None:
        ended = asyncio.Event()

        async def source() -> Source:
            try:
                yield "a"
                await asyncio.get_running_loop().create_future()
            finally:
                ended.set()

        async with serving(lambda: [source()]) as (url, _):
            async with ClientSession() as http, http.post(url) as response:
                await response.content.readline()
            await ended.wait()

    run(test)


def test_a_daemon_that_stops_says_so_in_the_stream() -> None:
    async def test() -> None:
        async def source() -> Source:
            yield "a"
            await asyncio.get_running_loop().create_future()

        async with (
            serving(lambda: [source()]) as (url, runner),
            ClientSession() as http,
            http.post(url) as response,
        ):
            await response.content.readline()
            await runner.cleanup()
            body = await response.read()

        assert b"the server is shutting down" in body
        assert b"[DONE]" not in body

    run(test)


def test_the_whole_answer_is_the_last_value_of_each_source() -> None:
    async def test() -> None:
        assert await sse.wholes([says("a", "b"), says("c")]) == ["b", "c"]
        with pytest.raises(Error, match="broken"):
            await sse.wholes([says("a"), says("b", then=Error("broken"))])

    run(test)
