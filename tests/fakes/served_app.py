"""The real HTTP application on a free loopback port, in a thread with its own event loop, on a real store.

Nothing is loaded: the pool has no engines. Tests speak real HTTP to it and look at the store behind it.
"""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
from aiohttp import web

from ollamapy.actions.headers import Headers
from ollamapy.actions.metrics import Metrics
from ollamapy.actions.services import Services
from ollamapy.actions.templates import Templates
from ollamapy.names import Digest
from ollamapy.pool.pool import Pool
from ollamapy.remotes.catalogue import Catalogue
from ollamapy.remotes.transfers import Transfers
from ollamapy.server.app import build_app, runner
from ollamapy.settings import Host, Settings
from ollamapy.store.store import Store

SECONDS = 60.0


@dataclass(frozen=True)
class Served:
    """A running application: speak to it through `http`, look behind it through `services`."""

    http: httpx.Client
    services: Services

    @property
    def store(self) -> Store:
        return self.services.store

    def post(self, path: str, **fields: Any) -> httpx.Response:
        return self.http.post(path, json=fields)

    def lines(self, path: str, **fields: Any) -> list[dict[str, Any]]:
        """The lines of a streamed answer, which must begin well."""
        response = self.post(path, **fields)
        assert response.status_code == 200, response.text
        assert response.headers["Content-Type"] == "application/x-ndjson"
        return [msgspec.json.decode(line) for line in response.text.splitlines()]

    def upload(self, data: bytes) -> str:
        """The digest of `data`, which is a blob now."""
        digest, _ = self.store.blobs.put(data)
        return str(digest)

    def create(self, name: str, **fields: Any) -> list[str]:
        """The status lines of a creation that succeeds."""
        lines = self.lines("/api/create", model=name, **fields)
        assert lines[-1] == {"status": "success"}, lines
        return [line["status"] for line in lines]

    def blob(self, digest: str) -> bytes:
        return self.store.blobs.read(Digest.parse(digest))


def settings_for(models: Path, address: str = "127.0.0.1", offline: bool = True, **fields: Any) -> Settings:
    return Settings(host=Host("http", address, 0), home=models.parent, models=models, offline=offline, **fields)


def services_for(settings: Settings, catalogue: Catalogue | None = None, pool: Any = None) -> Services:
    """Services on a store that is not started; `pool` may be anything that answers like one."""
    pool = pool or Pool(settings, {})
    return Services(
        settings=settings,
        store=Store(settings.models),
        catalogue=catalogue or Catalogue(),
        transfers=Transfers(),
        pool=pool,
        templates=Templates(),
        headers=Headers(),
        metrics=Metrics(pool),
        vocabularies=Pool(settings, {}),
    )


@contextmanager
def served(services: Services, headers: Mapping[str, str] | None = None) -> Iterator[Served]:
    """Serves until the block ends; then nothing may be left running."""
    with (
        running(build_app(services)) as port,
        httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers=headers, verify=False, trust_env=False, timeout=SECONDS
        ) as http,
    ):
        yield Served(http, services)
    services.transfers.check()


@contextmanager
def running(app: web.Application) -> Iterator[int]:
    """Runs `app` in a thread; the value is its port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    web_runner = runner(app)
    try:
        yield asyncio.run_coroutine_threadsafe(listen(web_runner), loop).result(SECONDS)
    finally:
        asyncio.run_coroutine_threadsafe(web_runner.cleanup(), loop).result(SECONDS)
        asyncio.run_coroutine_threadsafe(loop.shutdown_default_executor(), loop).result(SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(SECONDS)
        loop.close()


async def listen(web_runner: web.AppRunner) -> int:
    """Opens a free port for a runner, and answers it."""
    await web_runner.setup()
    site = web.TCPSite(web_runner, "127.0.0.1", 0)
    await site.start()
    port: int = web_runner.addresses[0][1]
    return port
