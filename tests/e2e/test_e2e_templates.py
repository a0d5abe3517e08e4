"""Chat templates in the whole daemon: families' fallbacks, the template for tools, and templates that mean harm."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from fakes.daemon_process import DaemonProcess

GEMMA = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "<{{ m.role }}>{{ m.content }}{% endfor %}"
)
HOSTILE = [
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{{ ['x' * 9999999] * 99999 == ['x' * 9999999] * 99999 }}",
    "{% for i in range(99999) %}{{ 'x' * 9999 }}{% endfor %}",
    "{{ '%1000000000d' % 1 }}",
    "{{ ''.__class__ }}",
]
ASK: dict[str, dict[str, Any]] = {
    "/api/generate": {"prompt": "hi"},
    "/api/chat": {"messages": [{"role": "user", "content": "hi"}]},
}


def test_a_system_text_reaches_a_model_whose_template_refuses_the_role(
    shared: DaemonProcess, put_echo: Callable[..., str]
) -> None:
    name = put_echo(shared, "gemma-like", chat_template=GEMMA)
    messages = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}]

    answer = shared.post("/api/chat", model=name, messages=messages, _debug_render_only=True)

    assert answer["_debug_info"]["rendered_template"] == "<user>be kind\n\nhi"


@pytest.mark.parametrize("path", ASK)
def test_a_hostile_template_is_an_error_of_its_own_request(
    shared: DaemonProcess, put_echo: Callable[..., str], path: str
) -> None:
    honest = put_echo(shared, "honest-template")
    shared.post(path, model=honest, **ASK[path])
    ended, pauses = threading.Event(), []
    watch = threading.Thread(target=lambda: pauses.extend(longest_pauses(shared, ended)))
    watch.start()
    for number, template in enumerate(HOSTILE):
        name = put_echo(shared, f"hostile-{number}", chat_template=template)

        response = shared.request("POST", path, {"model": name, "stream": False, **ASK[path]})

        assert response.status_code == 500, template
        assert "template" in response.json()["error"]
        assert "error" not in shared.post(path, model=honest, **ASK[path])
    ended.set()
    watch.join()
    assert max(pauses) < 30, "in the daemon itself the first of them would take hours"


def longest_pauses(daemon: DaemonProcess, ended: threading.Event) -> list[float]:
    """Seconds that the daemon took for its version, asked again and again until `ended`."""
    seconds = []
    while not ended.is_set():
        before = time.monotonic()
        daemon.request("GET", "/api/version")
        seconds.append(time.monotonic() - before)
    return seconds
