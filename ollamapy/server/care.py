"""The routes that Ollama does not have: how the daemon and its store are doing. Decides nothing."""

from aiohttp import web

from ollamapy.actions import fsck as fsck_action
from ollamapy.actions import link as link_action
from ollamapy.actions import usage
from ollamapy.actions.metrics import CONTENT_TYPE
from ollamapy.server import incoming, reply, stream
from ollamapy.server.incoming import services
from ollamapy.wire.care import FsckRequest, LinkRequest, ResolveRequest
from ollamapy.wire.native import decode


def add_routes(router: web.UrlDispatcher) -> None:
    """Adds them all."""
    router.add_get("/metrics", metrics)
    router.add_post("/api/fsck", fsck)
    router.add_get("/api/df", disk_usage)
    router.add_post("/api/gc", collect)
    router.add_post("/api/resolve", resolve)
    router.add_post("/api/link", link)


async def metrics(request: web.Request) -> web.Response:
    return web.Response(body=services(request).metrics.text(), headers={"Content-Type": CONTENT_TYPE})


async def fsck(request: web.Request) -> web.StreamResponse:
    wanted = decode(await incoming.body(request) or b"{}", FsckRequest)
    return await stream.lines(request, fsck_action.fsck(services(request), wanted))


async def disk_usage(request: web.Request) -> web.Response:
    return reply.json(await usage.disk_usage(services(request)))


async def collect(request: web.Request) -> web.Response:
    return reply.json(await usage.collect(services(request)))


async def resolve(request: web.Request) -> web.Response:
    wanted = decode(await incoming.body(request), ResolveRequest)
    return reply.json(await usage.resolve(services(request), wanted.model or wanted.name))


async def link(request: web.Request) -> web.Response:
    wanted = decode(await incoming.body(request), LinkRequest)
    return reply.json(await link_action.link(services(request), wanted))
