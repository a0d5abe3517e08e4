"""The routes of the Hugging Face hub that a download and a search take, over real sockets: a gated repository.

Its registry, `/v2/`, refuses everything, as the hub's does for such repositories.
"""

import hashlib
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs

COMMIT = "c0ffee" * 6 + "beef"


class HubServer:
    """Has the `files` of one repository, for those who send `token`."""

    def __init__(self, repository: str, files: Mapping[str, bytes], token: str) -> None:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub.requests.append(f"{self.command} {self.path}")
                self._answer(*self._found())

            do_HEAD = do_GET

            def _found(self) -> tuple[int, bytes, dict[str, str]]:
                if self.path.startswith("/v2/"):
                    return 403, b"gated", {}
                if self.headers.get("Authorization") != f"Bearer {token}":
                    return 401, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": "this repository is gated"}
                if self.path.startswith(f"/api/models/{repository}/tree/"):
                    tree = [
                        {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                        for name, data in files.items()
                    ]
                    return 200, json.dumps(tree).encode(), {}
                if self.path.startswith("/api/models"):
                    return 200, json.dumps(self._described()).encode(), {}
                data = files.get(self.path.partition("/resolve/")[2].partition("/")[2])
                if data is None:
                    return 404, b"", {"X-Error-Code": "EntryNotFound"}
                return 200, data, {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": COMMIT}

            def _described(self) -> object:
                """The repository with the sizes of its files, or the list of those that fit a search."""
                siblings = [{"rfilename": name, "size": len(data)} for name, data in files.items()]
                described = {"id": repository, "downloads": 42, "siblings": siblings}
                place, _, query = self.path.partition("?")
                if place == f"/api/models/{repository}":
                    return described
                words = parse_qs(query).get("search", [""])[0]
                return [{"id": repository, "downloads": 42}] if words in repository else []

            def _answer(self, status: int, data: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(data)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self.requests: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()
