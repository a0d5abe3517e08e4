"""The routes around pulls that Ollama does not have: jobs, what is outdated, what there is. Decides nothing."""

from aiohttp import web

from ollamapy.actions import outdated as outdated_action
from ollamapy.actions import pull as pull_action
from ollamapy.actions import search as search_action
from ollamapy.server import incoming, reply
from ollamapy.server.incoming import services
from ollamapy.wire.jobs import JobList
from ollamapy.wire.native import PullRequest, decode


def add_routes(router: web.UrlDispatcher) -> None:
    """Adds them all."""
    router.add_get("/api/jobs", jobs)
    router.add_post("/api/jobs", begin)
    router.add_post("/api/jobs/{id}/pause", pause)
    router.add_post("/api/jobs/{id}/resume", resume)
    router.add_delete("/api/jobs/{id}", cancel)
    router.add_get("/api/outdated", outdated)
    router.add_get("/api/search", search)


async def jobs(request: web.Request) -> web.Response:
    known = services(request).jobs
    return reply.json(JobList(tuple(map(known.listed, known.all()))))


async def begin(request: web.Request) -> web.Response:
    return reply.json(pull_action.begin(services(request), decode(await incoming.body(request), PullRequest)))


async def pause(request: web.Request) -> web.Response:
    known = services(request).jobs
    job = known.get(request.match_info["id"])
    job.pause()
    return reply.json(known.listed(job))


async def resume(request: web.Request) -> web.Response:
    known = services(request).jobs
    job = known.get(request.match_info["id"])
    job.resume()
    return reply.json(known.listed(job))


async def cancel(request: web.Request) -> web.Response:
    known = services(request).jobs
    job = known.get(request.match_info["id"])
    await known.cancel(job)
    return reply.json(known.listed(job))


async def outdated(request: web.Request) -> web.Response:
    return reply.json(await outdated_action.outdated(services(request)))


async def search(request: web.Request) -> web.Response:
    return reply.json(await search_action.search(services(request), request.query.get("q", "")))
