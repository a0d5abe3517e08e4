"""A thousand clients that leave when they like: in the queue, in their prompt, in their answer."""

import asyncio
import contextlib
from collections.abc import Callable
from random import Random
from typing import Any

import httpx
from fakes.daemon_process import DEADLINE_SECONDS, DaemonProcess

NUM_CLIENTS = 1000
AT_ONCE = 200
"""Connections of this process; as one leaves, the next one comes."""


def storm(daemon: DaemonProcess, model: str) -> list[str]:
    """What each client was told before it left. Of ten one stays, and one goes after the first words."""

    async def visit(client: httpx.AsyncClient, places: asyncio.Semaphore, number: int) -> str:
        random = Random(number)
        prompt = f"{number % 7} is my number, " * random.randint(1, 40)
        body = {"model": model, "prompt": prompt, "raw": True, "options": {"num_predict": random.randint(2, 60)}}
        patience = DEADLINE_SECONDS if number % 10 < 2 else random.uniform(0, 1.0)
        text = ""
        async with places:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience), client.stream("POST", "/api/generate", json=body) as response:
                    assert response.status_code == 200, await response.aread()
                    async for line in response.aiter_lines():
                        text += line
                        if number % 10 == 1:
                            break
        return text

    async def visit_all() -> list[str]:
        places, limits = asyncio.Semaphore(AT_ONCE), httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=daemon.url, limits=limits, timeout=DEADLINE_SECONDS) as client:
            return await asyncio.gather(*(visit(client, places, number) for number in range(NUM_CLIENTS)))

    return asyncio.run(visit_all())


def test_a_storm_of_clients_that_leave_leaves_nothing_behind(
    start: Callable[..., DaemonProcess], put_echo: Callable[..., str]
) -> None:
    """The runner looks through its books whenever it is idle, and ends when they do not balance."""
    daemon = start()
    put_echo(daemon, "slow", step_seconds=0.01)
    daemon.post("/api/generate", model="slow")
    pids = daemon.runner_pids()

    told = storm(daemon, "slow")
    whole: Any = daemon.post("/api/generate", model="slow", prompt="after the storm", raw=True)

    assert any(not text for text in told)
    assert any(text and '"done":true' not in text for text in told)
    assert any('"done":true' in text for text in told)
    assert not any('"error"' in text for text in told)
    assert whole["response"] == "after the storm"
    assert daemon.runner_pids() == pids
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.log
    assert "no room in the pool" not in daemon.log
