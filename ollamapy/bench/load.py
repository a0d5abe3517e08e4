"""Puts load on a server: many clients at once, each chatting turn by turn, bytes and moments kept as they come.

It shares the machine with what it measures, so nothing is decoded while a request runs, and its own processor time is
part of the result. Only this module talks HTTP.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from ollamapy.bench import answers
from ollamapy.bench.answers import Answer, Dialect, Exchange
from ollamapy.bench.measures import Run
from ollamapy.bench.plan import Script
from ollamapy.bench.processes import listener, watching
from ollamapy.errors import Error, InvalidInput, Unreachable
from ollamapy.wire.native import Message

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 600.0
"""A server that says nothing for so long has failed the request."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server that is measured. `pid` 0: its memory cannot be seen; `build` is what it was made for, when it says."""

    label: str
    url: str
    dialect: Dialect
    model: str
    pid: int = 0
    build: str = ""


@dataclass(slots=True)
class Meter:
    """How far a run has come, for those who watch. A piece is about a token."""

    num_running: int = 0
    num_pieces: int = 0
    began: float = 0.0


class Load:
    """Clients in one event loop. To be used as an async context manager."""

    def __init__(self) -> None:
        self.meter = Meter()

    async def __aenter__(self) -> "Load":
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS)
        self._http = aiohttp.ClientSession(
            # A connection of its own for each request: one kept alive may be closed by the server just when it is used.
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            timeout=timeout,
            headers={"Content-Type": "application/json"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def ask(self, target: Target, messages: Sequence[Message], num_output: int) -> Answer:
        """One request by itself. Raises Unreachable, and Error with the server's own text."""
        answer = await self._ask(target, messages, num_output)
        if answer.error:
            raise Error(f"{target.label} at {target.url} does not answer as it should: {answer.error}")
        return answer

    async def find(self, label: str, url: str, dialect: str, model: str) -> Target:
        """The server at an address; a `dialect` "" is found out. Raises Unreachable, InvalidInput."""
        exchange = await self._exchange("GET", f"{url.rstrip('/')}/api/version")
        if exchange.fault:
            raise Unreachable(f"no server of models answers at {url}: {exchange.fault}")
        parts = urlsplit(url)
        is_here = parts.hostname in {"localhost", "127.0.0.1", "::1"}
        pid = listener(parts.port or 80) if is_here else 0
        is_ollama = dialect == "ollama" or (not dialect and exchange.status == 200)
        return Target(label, url, "ollama" if is_ollama else "openai", model, pid)

    async def run(self, target: Target, script: Script, num_clients: int) -> Run:
        """All clients of a run at once. A request that fails is part of the result; when all fail, raises Error."""
        async with watching(target.pid) as watch:
            busy, self.meter = time.process_time(), Meter(began=time.perf_counter())
            clients = [self._chat(target, script, client) for client in range(num_clients)]
            chats = await asyncio.gather(*clients)
            seconds = time.perf_counter() - self.meter.began
            share = (time.process_time() - busy) / seconds
        faults = [turn.error for turns in chats for turn in turns if turn.error]
        if len(faults) == sum(map(len, chats)):
            raise Error(f"{target.label} at {target.url} failed every request: {faults[0]}")
        return Run(seconds, tuple(chats), watch.peak, share)

    async def _chat(self, target: Target, script: Script, client: int) -> tuple[Answer, ...]:
        """The turns of one client, each after the one before; a turn that fails is the last."""
        messages, turns = list(script.opening()), []
        for turn in range(script.workload.turns):
            messages.append(script.question(client, turn))
            answer = await self._ask(target, messages, script.workload.output_tokens)
            turns.append(answer)
            if answer.error:
                break
            messages.append(Message("assistant", answer.text))
        return tuple(turns)

    async def _ask(self, target: Target, messages: Sequence[Message], num_output: int) -> Answer:
        request = answers.body(target.dialect, target.model, messages, num_output)
        exchange = await self._exchange("POST", target.url.rstrip("/") + answers.PATHS[target.dialect], request)
        return answers.read(target.dialect, exchange)

    async def _exchange(self, method: str, url: str, request: bytes | None = None) -> Exchange:
        pieces: list[tuple[float, bytes]] = []
        status, fault = 0, ""
        meter = self.meter
        meter.num_running += 1
        started = time.perf_counter()
        try:
            async with self._http.request(method, url, data=request) as response:
                status = response.status
                async for piece in response.content.iter_any():
                    pieces.append((time.perf_counter(), piece))
                    meter.num_pieces += 1
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise InvalidInput(f"cannot use {url!r} as a server's address", hint="http://host:port") from error
        except aiohttp.ClientConnectorError as error:
            raise Unreachable(f"no server answers at {url}: {error.os_error or error}") from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            fault = f"the connection was lost: {error or type(error).__name__}"
        finally:
            meter.num_running -= 1
        return Exchange(started, time.perf_counter(), status, tuple(pieces), fault)
