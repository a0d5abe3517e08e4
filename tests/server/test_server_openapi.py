"""The description of the API: every route is in it, its types are the wire's, and the page needs no network."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from fakes.served_app import Served, served, services_for, settings_for

from ollamapy.server.openapi import DESCRIBED, describe, routes_of


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    services = services_for(settings_for(tmp_path_factory.mktemp("home") / "models"))
    services.store.start()
    with served(services) as running:
        yield running
    services.store.close()


@pytest.fixture(scope="module")
def document(api: Served) -> dict[str, Any]:
    found: dict[str, Any] = api.http.get("/openapi.json").json()
    return found


def test_every_route_is_described_and_every_described_route_exists(document: dict[str, Any]) -> None:
    shown = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}

    assert set(DESCRIBED) == shown
    assert all(operation["summary"] != path for path, each in document["paths"].items() for operation in each.values())


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))

    assert names == set(document["components"]["schemas"])


def test_requests_and_answers_fit_their_schemas(document: dict[str, Any], api: Served) -> None:
    def schema(path: str, method: str) -> dict[str, Any]:
        operation = document["paths"][path][method]
        found = operation["responses"]["200"]["content"]["application/json"]["schema"]
        return {**found, "components": document["components"]}

    for path in ("/api/version", "/api/status", "/api/tags", "/api/ps", "/v1/models"):
        jsonschema.validate(api.http.get(path).json(), schema(path, "get"))


def test_streams_and_parameters_are_described(document: dict[str, Any]) -> None:
    paths = document["paths"]

    assert "application/x-ndjson" in paths["/api/chat"]["post"]["responses"]["200"]["content"]
    assert "text/event-stream" in paths["/v1/messages"]["post"]["responses"]["200"]["content"]
    assert [item["name"] for item in paths["/v1/models/{model}"]["get"]["parameters"]] == ["model"]
    assert "application/octet-stream" in paths["/api/blobs/{digest}"]["post"]["requestBody"]["content"]
    assert "multipart/form-data" in paths["/v1/audio/transcriptions"]["post"]["requestBody"]["content"]


def test_a_route_that_nobody_described_is_there_by_its_path() -> None:
    document = describe([("POST", "/api/new/{thing}")])

    operation = document["paths"]["/api/new/{thing}"]["post"]
    assert (operation["summary"], operation["parameters"][0]["name"]) == ("/api/new/{thing}", "thing")


def test_a_head_beside_a_get_is_not_a_route_of_its_own() -> None:
    from aiohttp import web

    async def handler(request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_get("/a", handler)
    app.router.add_head("/b", handler)
    app.router.add_route("*", "/c", handler)

    assert routes_of(app.router) == [("GET", "/a"), ("HEAD", "/b")]


def test_the_page_works_offline(api: Served) -> None:
    page = api.http.get("/docs")

    assert page.headers["Content-Type"].startswith("text/html")
    assert "openapi.json" in page.text
    assert not re.search(r"https?://|//cdn|@import|src=", page.text)
