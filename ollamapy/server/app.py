"""Builds the HTTP application: the table of routes, and what every request passes on its way to one.

    log_request → answer_errors → check_guards → a handler of native.py, openai.py, anthropic.py or infill.py

Owns no state but the list of requests in progress. Never opens a port: `runner` hands the application to whoever does.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ollamapy import units
from ollamapy.actions.services import Services
from ollamapy.errors import Error, InvalidInput
from ollamapy.server import (
    anthropic,
    care,
    dialect,
    guard,
    incoming,
    infill,
    native,
    openai,
    openapi,
    pulls,
    registry,
    reply,
    stream,
)
from ollamapy.server.guard import Go, Hosts, Origins, Stop
from ollamapy.server.requestlog import RequestLog
from ollamapy.server.stream import RUNNING, Running

MAX_BODY_BYTES = 256 << 20
"""A JSON body is held in memory; this much lets a chat carry dozens of large photographs in base64.
Uploads of blobs are streamed to the disk and have no bound but its free space."""

SHUTDOWN_SECONDS = 1.0
"""How long aiohttp waits at shutdown for connections whose requests have ended: a client may still be sending."""

log = logging.getLogger(__name__)


def build_app(services: Services) -> web.Application:
    """The application that serves `services`. Raises InvalidInput for an origin in the settings that cannot be one."""
    origins = Origins.of(services.settings.origins)
    hosts = Hosts(guard.is_loopback(services.settings.host.address), socket.gethostname(), guard.is_own_address)
    app = web.Application(
        middlewares=[log_request, answer_errors, check_guards(origins, hosts)], client_max_size=MAX_BODY_BYTES
    )
    app[incoming.SERVICES] = services
    if services.settings.log_requests:
        app[incoming.REQUEST_LOG] = RequestLog()
    app[RUNNING] = Running()
    app.on_response_prepare.append(name_origin(origins))
    app.on_shutdown.append(close_requests)
    native.add_routes(app.router)
    openai.add_routes(app.router)
    anthropic.add_routes(app.router)
    infill.add_routes(app.router)
    openapi.add_routes(app.router)
    care.add_routes(app.router)
    pulls.add_routes(app.router)
    registry.add_routes(app.router)
    return app


def runner(app: web.Application) -> web.AppRunner:
    """A runner of the application that ends a request when its client goes away, and the rest when it is cleaned up."""
    return web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)


async def close_requests(app: web.Application) -> None:
    """At shutdown: what still runs ends with an error, so that no client waits for a daemon that is gone."""
    await app[RUNNING].close()


@web.middleware
async def log_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """One line for each request, when it has ended; 499 when nobody waited for the end."""
    started, status = time.perf_counter_ns(), 499
    try:
        response = await handler(request)
        status = response.status
        return response
    finally:
        log.info(
            "request method=%s path=%s status=%d duration=%s client=%s",
            request.method,
            request.rel_url.raw_path,
            status,
            units.format_duration(time.perf_counter_ns() - started),
            request.remote,
        )


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns whatever stops a handler into an answer: a status of its own, or the last line of a stream already begun.

    1. aiohttp's refusals: unknown path, wrong method, a body too large or torn, each in the contract's words.
    2. The daemon stops: Cancelled. The client is gone: nobody to answer, the cancellation goes on.
    3. An error of ours: its status and text.
    4. Anything else is a fault of ours: 500, and the traceback in the log.
    """
    running = request.app[RUNNING]
    with running.request():
        try:
            if running.is_closing:
                raise stream.stopping()
            return await handler(request)
        except web.HTTPException as refusal:
            return _refused(refusal, request.path)
        except web.RequestPayloadError as error:
            failure: Error = InvalidInput(f"the request body cannot be read: {error}")
        except asyncio.CancelledError:
            if not running.is_closing or _is_gone(request):
                raise
            _take_back_cancellation()
            failure = stream.stopping()
        except Error as error:
            failure = error
        except Exception as error:
            if _is_gone(request):
                return _sent(running)
            log.exception("request failed method=%s path=%s", request.method, request.rel_url.raw_path)
            failure = Error(f"internal error: {type(error).__name__}", hint="the server's log has the details")
        begun = running.started()
        return await begun.end_with(failure) if begun else dialect.error(failure, request.path)


def check_guards(origins: Origins, hosts: Hosts) -> Middleware:
    """The middleware that carries out what the guards decide."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request.headers.get("Host", "")
        decision = origins.decide(request.method, request.headers.get("Origin", ""), host)
        if isinstance(decision, Go):
            decision = hosts.decide(request.method, host)
        return reply.empty(decision.status) if isinstance(decision, Stop) else await handler(request)

    return check


def name_origin(origins: Origins) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """The signal that adds the headers of the Origin decision to an answer, stream or not, before its head is sent."""

    async def on_prepare(request: web.Request, response: web.StreamResponse) -> None:
        host, origin = request.headers.get("Host", ""), request.headers.get("Origin", "")
        response.headers.update(origins.decide(request.method, origin, host).headers)

    return on_prepare


def _sent(running: Running) -> web.StreamResponse:
    """What the client got before it left."""
    begun = running.started()
    return begun.response if begun else reply.empty(499)


def _refused(refusal: web.HTTPException, path: str) -> web.Response:
    if isinstance(refusal, web.HTTPNotFound):
        return reply.text(404, "404 page not found")
    if isinstance(refusal, web.HTTPMethodNotAllowed):
        response = reply.text(405, "405 method not allowed")
        response.headers["Allow"] = ", ".join(sorted(refusal.allowed_methods))
        return response
    failure = Error(refusal.text or refusal.reason)
    failure.status = refusal.status
    return dialect.error(failure, path)


def _is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def _take_back_cancellation() -> None:
    task = asyncio.current_task()
    if task:
        task.uncancel()
