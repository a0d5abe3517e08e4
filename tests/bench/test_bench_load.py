"""The load generator against a real HTTP server that answers well, badly, or not at all."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import pytest
from aiohttp import web

from ollamapy.bench import plan
from ollamapy.bench.compare import Bench
from ollamapy.bench.load import Load, Target
from ollamapy.bench.peer import Fixed
from ollamapy.bench.plan import Scale, Script, Workload
from ollamapy.bench.result import Point
from ollamapy.errors import Error, InvalidInput, Unreachable

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SCRIPT = Script(Workload(prompt_tokens=20, output_tokens=3, turns=2), Scale(5.0, 1.0), "t", 0)


class Server:
    """Speaks the OpenAI dialect; `asked` are the bodies that came."""

    def __init__(self, num_failing: int = 0) -> None:
        self.asked: list[dict[str, Any]] = []
        self._num_failing = num_failing

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append(body)
        if len(self.asked) <= self._num_failing:
            return web.json_response({"error": {"message": "no slot"}}, status=503)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        num_words = sum(len(message["content"].split()) for message in body["messages"])
        for index in range(body["max_tokens"]):
            await response.write(_event({"choices": [{"delta": {"content": f" w{index}"}}]}))
        await response.write(_event({"choices": [{"delta": {}, "finish_reason": "length"}]}))
        usage = {"prompt_tokens": num_words + 5, "completion_tokens": body["max_tokens"]}
        await response.write(_event({"choices": [], "usage": usage}) + b"data: [DONE]\n\n")
        return response


async def drop(request: web.Request) -> web.StreamResponse:
    """The beginning of an answer, and then the connection is gone."""
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(_event({"choices": [{"delta": {"content": "w"}}]}))
    assert request.transport is not None
    request.transport.abort()
    return response


def _event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def against(chat: Handler, use: Callable[[Load, Target], Coroutine[Any, Any, T]]) -> T:
    """What `use` makes of a server whose chat route is `chat`."""

    async def run() -> T:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", chat)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        try:
            async with Load() as load:
                return await use(load, await load.find("it", f"http://127.0.0.1:{port}", "", "m"))
        finally:
            await runner.cleanup()

    return asyncio.run(run())


class Watched:
    """A Watcher that keeps what it saw."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.points: list[Point] = []

    def began(self, text: str) -> None:
        self.stages.append(text)

    def ended(self, point: Point) -> None:
        self.points.append(point)


def test_a_server_without_ollamas_version_route_is_taken_for_openais() -> None:
    async def find(load: Load, target: Target) -> Target:
        return target

    assert against(Server().chat, find).dialect == "openai"


def test_all_clients_chat_turn_by_turn() -> None:
    server = Server()

    run = against(server.chat, lambda load, target: load.run(target, SCRIPT, 4))

    assert [[turn.num_output for turn in turns] for turns in run.answers] == [[3, 3]] * 4
    assert all(turn.text == " w0 w1 w2" for turns in run.answers for turn in turns)
    later = [body["messages"] for body in server.asked if len(body["messages"]) == 3]
    assert [[message["role"] for message in messages] for messages in later] == [["user", "assistant", "user"]] * 4
    assert len({messages[0]["content"] for messages in later}) == 4


def test_a_request_that_fails_is_part_of_the_result_and_ends_its_clients_chat() -> None:
    run = against(Server(num_failing=1).chat, lambda load, target: load.run(target, SCRIPT, 4))

    assert sorted(len(turns) for turns in run.answers) == [1, 2, 2, 2]
    assert [turn.error for turns in run.answers for turn in turns if turn.error] == ["503: no slot"]


def test_a_server_that_fails_every_request_is_an_error() -> None:
    with pytest.raises(Error, match="failed every request: 503: no slot"):
        against(Server(num_failing=9).chat, lambda load, target: load.run(target, SCRIPT, 4))


def test_a_connection_that_breaks_off_is_said() -> None:
    with pytest.raises(Error, match="the connection was lost"):
        against(drop, lambda load, target: load.ask(target, [plan.task(1, "x")], 3))


@pytest.mark.parametrize("dialect", ["", "ollama", "openai"])
def test_nobody_at_the_address_is_said_before_anything_is_measured(dialect: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(Unreachable, match="no server answers at"):
            asyncio.run(_find(url, dialect))


@pytest.mark.parametrize("url", ["", "nonsense", "http://", "http://127.0.0.1:99999", "ftp://127.0.0.1"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="cannot use"):
        asyncio.run(_find(url, ""))


async def _find(url: str, dialect: str) -> Target:
    async with Load() as load:
        return await load.find("it", url, dialect, "m")


def test_two_servers_are_measured_in_turn_with_the_same_texts() -> None:
    server, watched = Server(), Watched()

    async def measure(load: Load, target: Target) -> list[Point]:
        other = Target("other", target.url, "openai", "n")
        bench = Bench(load, target, Workload(60, 3), watched, Fixed(other))
        return await bench.measure((1, 2))

    points = against(server.chat, measure)

    assert [(point.label, point.num_clients) for point in points] == [("it", 1), ("other", 1), ("it", 2), ("other", 2)]
    assert watched.points == points
    assert [point.summary.num_requests for point in points] == [4, 4, 6, 6]
    assert [round(point.summary.prompt_tokens) for point in points] == [60] * 4
    asked = [(body["model"], body["messages"][0]["content"]) for body in server.asked if body["max_tokens"] == 3]
    assert [model for model, _ in asked[:8]] == ["m", "n", "n", "m", "m", "n", "n", "m"]
    assert sorted(text for model, text in asked if model == "m") == sorted(
        text for model, text in asked if model == "n"
    )
    assert len({text for _, text in asked}) == 4 + 6


def test_a_warm_prefix_is_known_before_the_runs_that_count() -> None:
    server = Server()

    async def measure(load: Load, target: Target) -> list[Point]:
        return await Bench(load, target, Workload(20, 3, 50, is_warm=True), Watched()).measure((2,))

    against(server.chat, measure)

    systems = [body["messages"][0]["content"] for body in server.asked if body["messages"][0]["role"] == "system"]
    assert len(systems) == 2 + 3 * 2
    assert len(set(systems)) == 1
