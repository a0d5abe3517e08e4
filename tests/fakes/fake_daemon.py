"""A daemon that only talks: it speaks the native API with canned answers and records what it was asked.

As a program it prints `{"port": N}` and ends with its stdin. Models live in memory. `PUT /_fake/answers` puts a canned
answer in front of a route, `GET /_fake/requests` tells what came in, `POST /_fake/reset` starts over.
An answer is {"status", "body"} or {"lines", "then"}, where `then` is "end", "cut" (the connection drops), "hold"
(nothing more comes until the client goes away, which is recorded as a request "GONE") or a list of lines that are sent
when the next canned answer comes in.
"""

import asyncio
import hashlib
import json
import subprocess
import sys
import time
from typing import Any

import httpx
from aiohttp import web

SECONDS = 60.0
DIGEST = "a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72"
DETAILS = {
    "parent_model": "",
    "format": "gguf",
    "family": "llama",
    "families": ["llama"],
    "parameter_size": "134.52M",
    "quantization_level": "Q4_1",
}


def full(name: str) -> str:
    return name if ":" in name else f"{name}:latest"


def ndjson(line: Any) -> bytes:
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"


def model(**shown: Any) -> dict[str, Any]:
    """What /api/show says about a model of the fake."""
    return {
        "modelfile": "FROM m\n",
        "template": "{{ .Prompt }}",
        "details": DETAILS,
        "model_info": {"general.architecture": "llama", "llama.context_length": 8192},
        "capabilities": ["completion"],
        "modified_at": "2026-08-01T01:02:03Z",
        **shown,
    }


def first_models() -> dict[str, dict[str, Any]]:
    return {
        "m:latest": model(),
        "thinker:latest": model(capabilities=["completion", "thinking"]),
        "embed-m:latest": model(capabilities=["embedding"]),
    }


class Daemon:
    """The state behind the routes."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.models = first_models()
        self.blobs: set[str] = set()
        self.answers: dict[str, dict[str, Any]] = {}
        self.requests: list[dict[str, Any]] = []
        self.is_answer_new = asyncio.Event()

    def app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_get("/_fake/requests", self.tell_requests)
        app.router.add_put("/_fake/answers", self.set_answers)
        app.router.add_post("/_fake/reset", self.do_reset)
        app.router.add_route("*", "/{path:.*}", self.serve)
        return app

    async def tell_requests(self, request: web.Request) -> web.Response:
        return web.json_response(self.requests)

    async def set_answers(self, request: web.Request) -> web.Response:
        self.answers.update(await request.json())
        self.is_answer_new.set()
        self.is_answer_new = asyncio.Event()
        return web.Response()

    async def do_reset(self, request: web.Request) -> web.Response:
        self.reset()
        return web.Response()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        is_blob = request.path.startswith("/api/blobs/")
        body = json.loads(raw) if raw and not is_blob else {}
        agent = request.headers.get("User-Agent", "")
        self.requests.append({"method": request.method, "path": request.path, "body": body, "agent": agent})
        if request.path in self.answers:
            return await self.canned(request, self.answers[request.path])
        if is_blob:
            return self.blob(request, raw)
        handler = getattr(self, "on_" + request.path.removeprefix("/api/"), None)
        if request.path == "/":
            return web.Response(text="Ollama is running")
        if not handler:
            return web.Response(status=404, text="404 page not found")
        return await handler(request, body)

    async def canned(self, request: web.Request, answer: dict[str, Any]) -> web.StreamResponse:
        if "lines" in answer:
            return await self.stream(request, answer["lines"], answer.get("then", "end"))
        body = answer.get("body", "")
        if isinstance(body, str):
            return web.Response(status=answer.get("status", 200), text=body)
        return web.json_response(body, status=answer.get("status", 200))

    async def stream(self, request: web.Request, lines: list[Any], then: Any = "end") -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        for line in lines:
            await response.write(ndjson(line))
        if isinstance(then, list):
            await self.is_answer_new.wait()
            for line in then:
                await response.write(ndjson(line))
        if then == "cut":
            assert request.transport
            request.transport.abort()
        if then == "hold":
            try:
                await asyncio.Event().wait()
            finally:
                self.requests.append({"method": "GONE", "path": request.path, "body": {}})
        return response

    def blob(self, request: web.Request, raw: bytes) -> web.Response:
        digest = request.path.rpartition("/")[2]
        if request.method == "HEAD":
            return web.Response(status=200 if digest in self.blobs else 404)
        if digest != "sha256:" + hashlib.sha256(raw).hexdigest():
            return web.json_response({"error": "digest mismatch"}, status=400)
        self.blobs.add(digest)
        return web.Response(status=201)

    def missing(self, name: str, text: str = "model '{}' not found") -> web.Response | None:
        if full(name) in self.models:
            return None
        return web.json_response({"error": text.format(name)}, status=404)

    async def on_version(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"version": "0.30.0"})

    async def on_tags(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        rows = [
            {"name": name, "model": name, "modified_at": "2026-08-01T01:02:03Z", "size": 2_019_393_189}
            | {"digest": DIGEST, "details": DETAILS, "capabilities": shown["capabilities"]}
            for name, shown in self.models.items()
        ]
        return web.json_response({"models": rows})

    async def on_ps(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"models": []})

    async def on_show(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return self.missing(body["model"]) or web.json_response(self.models[full(body["model"])])

    async def on_copy(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if answer := self.missing(body["source"], 'model "{}" not found'):
            return answer
        self.models[full(body["destination"])] = self.models[full(body["source"])]
        return web.Response()

    async def on_delete(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if answer := self.missing(body["model"]):
            return answer
        del self.models[full(body["model"])]
        return web.Response()

    async def on_pull(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        lines: list[Any] = [{"status": "pulling manifest"}]
        if body["model"].startswith("nope"):
            return await self.stream(request, [*lines, {"error": "pull model manifest: file does not exist"}])
        self.models[full(body["model"])] = model()
        part = {"status": f"pulling {DIGEST[:12]}", "digest": f"sha256:{DIGEST}", "total": 4000}
        lines += [part, part | {"completed": 1000}, part | {"completed": 4000}, {"status": "success"}]
        return await self.stream(request, lines)

    async def on_create(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        self.models[full(body["model"])] = model()
        return await self.stream(request, [{"status": "writing manifest"}, {"status": "success"}])

    async def on_generate(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if answer := self.missing(body["model"]):
            return answer
        if not body.get("prompt"):
            reason = "unload" if body.get("keep_alive") == 0 else "load"
            return web.json_response(self.chunk(body, response="", done=True, done_reason=reason))
        return await self.answer(request, body, body["prompt"], lambda text: {"response": text})

    async def on_chat(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if answer := self.missing(body["model"]):
            return answer
        text = body["messages"][-1]["content"]
        return await self.answer(request, body, text, lambda text: {"message": {"role": "assistant", "content": text}})

    async def on_embed(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"model": body["model"], "embeddings": [[0.6, -0.8]]})

    async def answer(self, request: web.Request, body: Any, text: str, wrap: Any) -> web.StreamResponse:
        said = [self.chunk(body, **wrap(part)) for part in ("You said: ", text)]
        end = {"total_duration": 1_234_567_891, "load_duration": 12_500_000, "eval_count": 259}
        end |= {"prompt_eval_count": 26, "prompt_eval_duration": 130_079_000, "eval_duration": 4_232_710_375}
        last = self.chunk(body, **wrap(""), done=True, done_reason="stop", **end)
        return await self.stream(request, [*said, last])

    def chunk(self, body: Any, **fields: Any) -> dict[str, Any]:
        return {"model": body["model"], "created_at": "2026-08-01T01:02:03Z", "done": False, **fields}


class FakeDaemon:
    """The fake in a process of its own, seen from a test."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        self.port = json.loads(self.process.stdout.readline())["port"]
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(base_url=self.url, trust_env=False, timeout=SECONDS)

    def close(self) -> None:
        self.http.close()
        self.process.communicate(timeout=SECONDS)

    def reset(self) -> None:
        self.http.post("/_fake/reset").raise_for_status()

    def answer(self, path: str, **answer: Any) -> None:
        """Puts a canned answer in front of a route."""
        self.http.put("/_fake/answers", json={path: answer}).raise_for_status()

    def requests(self, path: str) -> list[Any]:
        """The bodies of the requests that came in for `path`."""
        return [asked["body"] for asked in self.log() if asked["path"] == path and asked["method"] != "GONE"]

    def log(self) -> list[Any]:
        return self.http.get("/_fake/requests").json()

    def wait_for(self, method: str, path: str) -> None:
        """Returns when such a request has come in; fails after `SECONDS`."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if any((asked["method"], asked["path"]) == (method, path) for asked in self.log()):
                return
            time.sleep(0.01)
        raise AssertionError(f"no {method} {path} came in; there were {self.log()}")


async def main() -> None:
    runner = web.AppRunner(Daemon().app(), handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 0, shutdown_timeout=0.1)
    await site.start()
    print(json.dumps({"port": runner.addresses[0][1]}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
