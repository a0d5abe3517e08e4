"""`/v2/`: the daemon as a read-only OCI registry over its store, so that another machine can pull from this one.

Open on loopback addresses; elsewhere only when the settings say so. Never changes anything.
"""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from ollamapy.actions import registry
from ollamapy.errors import Error, InvalidInput, NotFound, Refused
from ollamapy.names import Digest
from ollamapy.server.guard import is_loopback
from ollamapy.server.incoming import services

_REPOSITORY = r"{repository:[^/]+(?:/[^/]+){0,2}}"
_CODES = {NotFound: "NAME_UNKNOWN", InvalidInput: "NAME_INVALID", Refused: "DENIED"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_routes(router: web.UrlDispatcher) -> None:
    """Adds them all."""
    router.add_get("/v2/", _open(root))
    router.add_get("/v2/_catalog", _open(catalog))
    router.add_get(f"/v2/{_REPOSITORY}/tags/list", _open(tags))
    router.add_get(f"/v2/{_REPOSITORY}/manifests/{{reference}}", _open(manifest))
    router.add_get(f"/v2/{_REPOSITORY}/blobs/{{digest}}", _open(blob))


def _open(handler: Handler) -> Handler:
    """The handler where the registry is open, with errors in a registry's shape."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            _require_open(request)
            return await handler(request)
        except Error as error:
            code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), "UNKNOWN")
            return _json({"errors": [{"code": code, "message": error.message}]}, status=error.status)

    return handle


def _require_open(request: web.Request) -> None:
    settings = services(request).settings
    if not (settings.serve_registry or is_loopback(settings.host.address)):
        raise Refused("this daemon does not give its models to other machines; OLLAMAPY_SERVE_REGISTRY=1 lets it")


async def root(request: web.Request) -> web.Response:
    return _json({})


async def catalog(request: web.Request) -> web.Response:
    return _json({"repositories": await asyncio.to_thread(registry.repositories, services(request).store)})


async def tags(request: web.Request) -> web.Response:
    repository = request.match_info["repository"]
    found = await asyncio.to_thread(registry.tags, services(request).store, repository)
    return _json({"name": repository, "tags": found})


async def manifest(request: web.Request) -> web.Response:
    repository, reference = request.match_info["repository"], request.match_info["reference"]
    stored = await asyncio.to_thread(registry.find_manifest, services(request).store, repository, reference)
    headers = {"Docker-Content-Digest": f"sha256:{stored.digest}", "ETag": f'"sha256:{stored.digest}"'}
    return web.Response(body=stored.raw, content_type=registry.media_type(stored), headers=headers)


async def blob(request: web.Request) -> web.StreamResponse:
    """The file, or the range of it that was asked for."""
    digest = Digest.parse(request.match_info["digest"])
    path = await asyncio.to_thread(
        registry.find_blob, services(request).store, request.match_info["repository"], digest
    )
    headers = {"Docker-Content-Digest": str(digest), "Content-Type": "application/octet-stream"}
    return web.FileResponse(path, headers=headers)


def _json(value: object, status: int = 200) -> web.Response:
    headers = {"Docker-Distribution-API-Version": "registry/2.0"}
    return web.json_response(value, status=status, headers=headers)
