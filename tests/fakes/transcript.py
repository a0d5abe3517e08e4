"""A request and its answer as text for golden files: what differs from run to run stands as 0."""

import json
import re
from typing import Any

from fakes.daemon_process import DaemonProcess


def exchange(daemon: DaemonProcess, method: str, path: str, body: Any) -> str:
    """What was sent and what came back, with the answer's status and type."""
    response = daemon.request(method, path, body)
    kind = response.headers.get("content-type", "")
    text = re.sub(r',"(prompt_cached|draft|draft_accepted)_count":\d+', "", response.text)  # as the cache has it
    text = re.sub(r'"(\w+_duration)":\d+', r'"\1":0', text)
    text = re.sub(r'"(created|modified|expires)_at":"[^"]*"', r'"\1_at":"0"', re.sub(r"call_\w{8}", "call_0", text))
    text = text.replace(str(daemon.home), "HOME")
    return f"{method} {path} {json.dumps(body)}\n{response.status_code} {kind}\n{text.strip()}\n"
