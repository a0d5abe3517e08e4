"""The routes that Ollama does not have: how the daemon and its store are doing. Decides nothing."""

from aiohttp import web

from ollamapy.actions.metrics import CONTENT_TYPE
from ollamapy.server.incoming import services


def add_routes(router: web.UrlDispatcher) -> None:
    router.add_get("/metrics", metrics)


async def metrics(request: web.Request) -> web.Response:
    return web.Response(body=services(request).metrics.text(), headers={"Content-Type": CONTENT_TYPE})
