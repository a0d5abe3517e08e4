"""The daemon: the one place that makes the objects and wires them together. Opens the port, runs until a signal.

Start: bind → lock and open the store → serve. Stop: requests end with an error line → runners end → unlock.
"""

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import sys
from pathlib import Path

from aiohttp import web

from ollamapy import EMULATED_VERSION, __version__
from ollamapy.actions.headers import Headers
from ollamapy.actions.metrics import Metrics
from ollamapy.actions.services import Services
from ollamapy.actions.templates import Templates
from ollamapy.engines import local
from ollamapy.errors import Error
from ollamapy.pool.pool import Pool
from ollamapy.remotes.catalogue import Catalogue
from ollamapy.remotes.discovery import discovery
from ollamapy.remotes.oci.auth import create_key
from ollamapy.remotes.transfers import Transfers
from ollamapy.server.app import build_app, runner
from ollamapy.server.guard import is_loopback
from ollamapy.settings import Host, Settings
from ollamapy.store.store import Store

ENGINES = {"llama": local.start, "echo": local.start}
"""How each kind of model is run."""
_BACKLOG = 1024

log = logging.getLogger(__name__)


def run(settings: Settings) -> int:
    """Serves until SIGINT or SIGTERM and answers the exit code. Raises Error when the port or the store is taken."""
    logging.basicConfig(
        level=settings.log_level, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr, force=True
    )
    for noisy in ("asyncio", "httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    sockets = listen(settings.host)
    make_key(settings.key_file)
    try:
        return asyncio.run(serve(settings, sockets))
    finally:
        for sock in sockets:
            sock.close()


def make_key(path: Path) -> None:
    """Makes the key for registries when there is none, in Ollama's words. Public models need none."""
    if path.exists():
        return
    print(f"Couldn't find '{path}'. Generating new private key.", file=sys.stderr)
    try:
        key = create_key(path)
    except OSError as error:
        log.warning("key not written path=%s reason=%s", path, error.strerror)
        return
    print(f"Your new public key is: \n\n{key.public_line}\n", file=sys.stderr)


def listen(host: Host) -> list[socket.socket]:
    """Listening sockets for `host`. Raises Error with the text that Ollama gives."""
    try:
        if not host.address:
            if socket.has_dualstack_ipv6():
                dual = socket.create_server(
                    ("", host.port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG
                )
                return [dual]
            return [socket.create_server(("", host.port), backlog=_BACKLOG)]
        family, _, _, _, address = socket.getaddrinfo(host.address, host.port, type=socket.SOCK_STREAM)[0]
        return [socket.create_server(address[:2], family=family, backlog=_BACKLOG)]
    except OSError as error:
        place = f"[{host.address}]" if ":" in host.address else host.address
        reason = "address already in use" if error.errno == errno.EADDRINUSE else (error.strerror or str(error)).lower()
        hint = "another program listens there; OLLAMA_HOST names another address" if "in use" in reason else ""
        raise Error(f"listen tcp {place}:{host.port}: bind: {reason}", hint=hint) from error


async def serve(settings: Settings, sockets: list[socket.socket]) -> int:
    """Wires everything, serves on `sockets` and cleans up."""
    log.info("server config env=%s", settings.in_force)
    if settings.unheeded:
        log.warning("environment variables not looked at names=%s", ",".join(settings.unheeded))
    stop = _stop_event()
    store = Store(settings.models)
    async with contextlib.AsyncExitStack() as stack:
        await asyncio.to_thread(store.start, noprune=settings.noprune)
        stack.callback(store.close)
        pool = Pool(settings, ENGINES)
        services = Services(
            settings=settings,
            store=store,
            catalogue=Catalogue.load(settings.catalogue),
            transfers=Transfers(),
            pool=pool,
            templates=Templates(),
            headers=Headers(),
            metrics=Metrics(pool),
            vocabularies=Pool(settings, ENGINES),
        )
        stack.push_async_callback(services.templates.close)
        stack.push_async_callback(services.jobs.close)
        stack.push_async_callback(services.pool.close)
        stack.push_async_callback(services.vocabularies.close)
        web_runner = runner(build_app(services))
        await web_runner.setup()
        stack.push_async_callback(web_runner.cleanup)
        for sock in sockets:
            await web.SockSite(web_runner, sock, backlog=_BACKLOG).start()
        if settings.discover:
            await _discover(stack, services, sockets[0].getsockname()[1])
        names = ", ".join(_address(sock) for sock in sockets)
        log.info("listening address=%s version=%s api=%s pid=%d", names, __version__, EMULATED_VERSION, os.getpid())
        await stop.wait()
        log.info("stopping")
    log.info("stopped")
    return 0


async def _discover(stack: contextlib.AsyncExitStack, services: Services, port: int) -> None:
    """Finds other daemons, and is found by those that may pull from this one. Raises Error."""
    settings = services.settings
    if settings.offline:
        log.warning("discovery off, OLLAMAPY_OFFLINE forbids it")
        return
    address = settings.host.address
    is_open = settings.serve_registry or is_loopback(address)
    await stack.enter_async_context(discovery(services.neighbours, address, port, is_open=is_open))


def _stop_event() -> asyncio.Event:
    """Set by the first SIGINT or SIGTERM; a second one ends the process at once."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if event.is_set():
            os._exit(1)
        event.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    return event


def _address(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
