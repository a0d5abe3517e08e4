"""Requests made up from `/openapi.json`: whatever is sent, nothing breaks inside the daemon."""

import json
from typing import Any

import hypothesis
import pytest
import schemathesis
from fakes.daemon_process import ANSWER_SECONDS, DaemonProcess
from schemathesis.specs.openapi.schemas import OpenApiSchema

from ollamapy.server.openapi import DESCRIBED

NUM_EXAMPLES = 15
HELLO = [{"role": "user", "content": "hello"}]
MISSING = {"prompt": "hello", "input": "hello", "messages": HELLO, "max_tokens": 9}
"""What a request needs to get past the first refusal, where it has nothing of its own."""


@pytest.fixture(scope="module")
def schema(shared: DaemonProcess) -> OpenApiSchema:
    return schemathesis.openapi.from_dict(shared.request("GET", "/openapi.json").json())


def completed(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """`body` with a model that is there, and never with a name that would be looked for on the network."""
    if path == "/api/create":
        return {**body, "from": "echo"}
    if path in ("/api/copy", "/api/delete"):
        return body
    needed = {name: value for name, value in MISSING.items() if not body.get(name)}
    return {**body, **needed, "model": "echo"}


def answer_to(daemon: DaemonProcess, path: str, case: Any) -> str:
    """The body of the answer to a made-up request; only schemathesis itself can send a form."""
    arguments = case.as_transport_kwargs(base_url=daemon.url)
    if "files" in arguments:
        return str(case.call(base_url=daemon.url, timeout=ANSWER_SECONDS).text)
    body = arguments.get("json")
    if isinstance(body, dict):
        body = completed(path, body)
    content = json.dumps(body) if body is not None else arguments.get("data")
    return daemon.client.request(case.method, case.formatted_path, content=content).text


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path"), sorted(DESCRIBED), ids=str)
def test_no_request_breaks_the_daemon(shared: DaemonProcess, schema: OpenApiSchema, method: str, path: str) -> None:
    """A 500 that the contract asks for (an option of the wrong type) has a text of its own; a fault has this one."""

    @hypothesis.settings(
        max_examples=NUM_EXAMPLES, deadline=None, suppress_health_check=list(hypothesis.HealthCheck), database=None
    )
    @hypothesis.given(case=schema[path][method].as_strategy())
    def check(case: Any) -> None:
        assert "internal error" not in answer_to(shared, path, case)

    check()
    assert "request failed" not in shared.log
