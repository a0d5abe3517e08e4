"""What every handler takes from a request: its body, and the services of the application. Decodes nothing."""

from aiohttp import web

from ollamapy.actions.services import Services

SERVICES = web.AppKey("services", Services)


async def body(request: web.Request) -> bytes:
    """The whole body. One that is too large is refused before it is read."""
    if request.content_length and request.content_length > request.client_max_size:
        raise web.HTTPRequestEntityTooLarge(request.client_max_size, request.content_length)
    return await request.read()


def services(request: web.Request) -> Services:
    """What the verbs work with."""
    return request.app[SERVICES]
