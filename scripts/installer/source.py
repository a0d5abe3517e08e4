"""The checkout: its version, what it asks for, and a fingerprint of everything that gets installed. It only reads."""

import hashlib
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

LLAMA = "llama-cpp-python"


@dataclass(frozen=True)
class Source:
    """A checkout of ollamapy."""

    folder: Path

    @cached_property
    def project(self) -> dict[str, Any]:
        """pyproject.toml."""
        return tomllib.loads((self.folder / "pyproject.toml").read_text())

    @property
    def version(self) -> str:
        return str(self.project["project"]["version"])

    @property
    def llama(self) -> str:
        """The requirement on llama-cpp-python, e.g. `llama-cpp-python>=0.3.36`."""
        return next(str(line) for line in self.project["project"]["dependencies"] if line.startswith(LLAMA))

    @property
    def libraries(self) -> list[str]:
        """The requirements on everything else."""
        return [line for line in self.project["project"]["dependencies"] if not line.startswith(LLAMA)]

    def fingerprint(self) -> str:
        """Changes when anything changes that an installation copies."""
        digest = hashlib.sha256()
        for path in sorted(self._installed_files()):
            digest.update(f"{path.relative_to(self.folder)}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def _installed_files(self) -> Iterator[Path]:
        yield self.folder / "pyproject.toml"
        for name in ("ollamapy", "modelfiles", "registry"):
            for path in (self.folder / name).rglob("*"):
                if path.is_file() and "__pycache__" not in path.parts:
                    yield path
