"""Writes the bodies of inference requests to a folder, each with a script that sends it again.

For whoever looks for what a client sends: OLLAMA_DEBUG_LOG_REQUESTS. Never changes a request, never fails one.
"""

import asyncio
import itertools
import logging
import shlex
import tempfile
import time
from pathlib import Path

from aiohttp import web

PATHS = frozenset(
    {
        "/api/generate",
        "/api/chat",
        "/api/embed",
        "/api/embeddings",
        "/api/rerank",
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/messages",
        "/v1/rerank",
        "/v1/responses",
    }
)

log = logging.getLogger(__name__)


class RequestLog:
    """A folder of its own for this daemon, readable for its user alone."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ollama-request-logs-"))
        self._numbers = itertools.count(1)
        log.info("requests are logged folder=%s", self.folder)

    async def write(self, request: web.Request, body: bytes) -> None:
        """Writes one request, if it is one of inference."""
        if request.path in PATHS:
            await asyncio.to_thread(self._write, str(request.url), request.path, body)

    def _write(self, url: str, path: str, body: bytes) -> None:
        moment = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        stem = f"{moment}_{next(self._numbers):06}_{path.strip('/').replace('/', '_')}"
        name = f"{stem}_body.json"
        script = self.folder / f"{stem}_request.sh"
        try:
            (self.folder / name).write_bytes(body)
            script.write_text(replay(url, name))
            script.chmod(0o700)
        except OSError as error:
            log.warning("request not logged path=%s reason=%s", path, error.strerror)


def replay(url: str, name: str) -> str:
    """A shell script that sends the file `name` beside it to `url` again."""
    return (
        '#!/bin/sh\ncd "$(dirname "$0")" && exec curl --no-buffer -H "Content-Type: application/json" '
        f"--data-binary @{shlex.quote(name)} {shlex.quote(url)}\n"
    )
