"""The routes of ModelScope that a download takes, over real sockets. Its registry, `/v2/`, refuses everything.

Written after the public API's shape; the real site was never asked.
"""

import hashlib
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote, urlsplit


class ModelScopeServer:
    """Has the `files` of one repository. A file is given out by another path, as by a CDN."""

    def __init__(self, repository: str, files: Mapping[str, bytes]) -> None:
        scope = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                scope.requests.append(f"{self.command} {self.path}")
                status, data, headers = self._found(urlsplit(self.path))
                self.send_response(status)
                for name, value in {"Content-Length": str(len(data)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def _found(self, url: Any) -> tuple[int, bytes, dict[str, str]]:
                path = unquote(url.path)
                if path == f"/api/v1/models/{repository}/repo/files":
                    wanted = url.query == "Revision=master&Recursive=true"
                    return (200, scope.listing(files), {}) if wanted else (400, b"", {})
                if path.startswith("/api/v1/models/"):
                    return 404, json.dumps({"Code": 10010205001, "Message": "not found", "Success": False}).encode(), {}
                place = f"/models/{repository}/resolve/master/"
                if path.startswith(place):
                    return 302, b"", {"Location": f"/cdn/{url.path.removeprefix(place)}?auth_key=1"}
                data = files.get(path.removeprefix("/cdn/"))
                return (404, b"", {}) if data is None else (200, data, {})

            def log_message(self, *_: object) -> None:
                pass

        self.requests: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @staticmethod
    def listing(files: Mapping[str, bytes]) -> bytes:
        """The answer to the question for files, folders among them."""
        folders = {name.rpartition("/")[0] for name in files if "/" in name}
        listed = [{"Name": name, "Path": name, "Type": "tree", "Size": 0, "Sha256": ""} for name in folders]
        for name, data in files.items():
            entry = {"Name": name.rpartition("/")[2], "Path": name, "Type": "blob", "Size": len(data), "IsLFS": True}
            listed.append({**entry, "Revision": "f" * 40, "Sha256": hashlib.sha256(data).hexdigest()})
        answer = {"Code": 200, "Data": {"Files": listed, "IsVisual": 0}, "Message": "success", "Success": True}
        return json.dumps(answer).encode()

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
